"""SIGKILL under load: `python -m benchmarks.kill [--down]`.

The service answers streaming clients and is killed in the middle, again and again on the same
data folder; with `--down` while the log's database is out of reach. Every request whose last byte
reached its client must have its complete row in the log, and the database must open clean.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.bench import write_config
from telemetry.log import InteractionLog
from tests.upstream import Behaviour, Upstream

ROUNDS = 20
CALLERS = 16
NOWHERE = "postgres://router@127.0.0.1:9/log"
SERVE = """
import sys, uvicorn
from config.environment import quiet
quiet()
from api.server import create_app
from cli.serve import listen
from graph.router import Router
from telemetry.console import configure
configure(level="ERROR")
listening = listen("127.0.0.1", 0)
print(listening.getsockname()[1], flush=True)
environ = {"ROUTER_DATABASE_URL": sys.argv[3]} if sys.argv[3] else {}
app = create_app(Router.from_config(sys.argv[1], sys.argv[2], environ=environ))
uvicorn.Server(uvicorn.Config(app, log_config=None)).run(sockets=[listening])
"""


@dataclass
class Tally:
    """Request ids whose `[DONE]` reached the client, and rounds that were played."""

    whole: list[str] = field(default_factory=list)
    rounds: int = 0


async def ask(session: aiohttp.ClientSession, url: str, tally: Tally) -> None:
    """Ask until the service is gone; note each answer that came to its very end."""
    body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "Well?"}]}
    while True:
        request_id, last = "", ""
        async with session.post(f"{url}/v1/chat/completions", json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    chunk = json.loads(line[6:])
                    request_id = chunk.get("router", {}).get("request_id", request_id)
                last = line.decode().strip() or last
        if last == "data: [DONE]":
            tally.whole.append(request_id)


async def up(session: aiohttp.ClientSession, url: str) -> None:
    """Wait until the service accepts connections: it does once it is warm."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with session.get(f"{url}/health"):
                    return
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


async def play(config: Path, data: Path, tally: Tally, load_s: float, url: str = "") -> None:
    """One life of the service: until it answers, then under load, then killed."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVE, str(config), str(data), url), stdout=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    url = f"http://127.0.0.1:{int(await running.stdout.readline())}"
    try:
        await load(url, tally, load_s, running)
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    tally.rounds += 1


async def load(url: str, tally: Tally, load_s: float, running: asyncio.subprocess.Process) -> None:
    """Ask from many callers at once, and kill the service under them."""
    enough = len(tally.whole) + CALLERS
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(None)) as session:
        await up(session, url)
        callers = [asyncio.create_task(ask(session, url, tally)) for _ in range(CALLERS)]
        while len(tally.whole) < enough:
            done, _ = await asyncio.wait(callers, timeout=0.01)
            if done:
                raise RuntimeError("the service did not answer") from done.pop().exception()
        await asyncio.sleep(load_s)
        running.send_signal(signal.SIGKILL)
        await running.wait()
        await asyncio.gather(*callers, return_exceptions=True)


async def missing(data: Path, tally: Tally) -> list[str]:
    """What is not in the log once it was opened again: that takes over what waited on the disk."""
    log = await asyncio.to_thread(InteractionLog.open, None, data)
    await log.close()
    return await asyncio.to_thread(_missing, data, tally)


def _missing(data: Path, tally: Tally) -> list[str]:
    """The whole answers whose rows are not complete; RuntimeError for a damaged database."""
    with closing(sqlite3.connect(data / "router.db")) as database:
        (state,) = database.execute("PRAGMA integrity_check").fetchone()
        if state != "ok":
            raise RuntimeError(f"the database is damaged: {state}")
        logged = {
            request_id
            for (request_id,) in database.execute(
                "SELECT i.request_id FROM interactions i JOIN attempts a USING (request_id) "
                "WHERE i.success AND a.served"
            )
        }
    return [request_id for request_id in tally.whole if request_id not in logged]


async def run(folder: Path, rounds: int, *, down: bool = False) -> Tally:
    """Play so many rounds on one data folder; RuntimeError if anything is missing.

    `down`: the service is told of a database that nobody can reach, and the log is opened in the
    data folder afterwards.
    """
    tally, draw = Tally(), random.Random(1)
    with Upstream.in_thread() as upstream:
        upstream.default = Behaviour(tokens=10, ttft_s=0.01, token_s=0.002)
        config = write_config(upstream.base_url, upstream.base_url, folder)
        for _ in range(rounds):
            await play(
                config, folder / "data", tally, draw.uniform(0.0, 0.5), NOWHERE if down else ""
            )
            if lost := await missing(folder / "data", tally):
                raise RuntimeError(f"{len(lost)} whole answers are not in the log: {lost[:3]}")
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--down", action="store_true", help="while the log's database is down")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = asyncio.run(run(Path(folder), args.rounds, down=args.down))
    print(f"killed {tally.rounds} times: {len(tally.whole)} whole answers, each one in the log")
    return 0


if __name__ == "__main__":
    sys.exit(main())
