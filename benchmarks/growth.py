"""A start on a long log: `python -m benchmarks.growth [--requests N] [--postgres]`.

Fills a log with so many requests, starts the service on it without a snapshot and again with one,
and measures the time to `/ready`, the first answer, `--priorities` and one page of the log.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.bench import write_config
from telemetry import tables
from telemetry.database import Database
from tests.telemetry.postgres import PostgresServer, postgres_bin
from tests.telemetry.rows import attempt, request
from tests.upstream import Behaviour, Upstream

REQUESTS = 1_000_000
BATCH = 5_000
SPACING_S = 7.0
SERVE = """
import sys
import app
sys.exit(app.main(sys.argv[1:]))
"""


def rows(n: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Requests and their attempts up to now, three categories, one in fourteen failed."""
    draw, now = random.Random(1), time.time()
    for i in range(n):
        at = now - (n - i) * SPACING_S
        category = draw.choice(("technical", "creative", "general"))
        provider, failed = draw.choice(("first", "cheap")), i % 14 == 0
        row = dict(request(f"{i:032x}", at=at, category=category, winner=provider))
        tried = dict(
            attempt(
                provider=provider,
                outcome="failed" if failed else "ok",
                error="server" if failed else None,
                ttft_ms=draw.uniform(80, 900),
            )
        )
        shared = {"request_id": row["request_id"], "at": at, "category": category}
        yield (
            tables.encode(tables.interactions, row, text=False) | {"changed": 1 + i // 20},
            tables.encode(tables.attempts, tried | shared, text=False, revision=0),
        )


def fill(url: str | None, data: Path, n: int) -> None:
    """Written past the log's own way, which would take an hour."""
    database = Database.open(url, data)
    made = rows(n)
    for _ in range(0, n, BATCH):
        batch = [pair for _, pair in zip(range(BATCH), made, strict=False)]
        with database.writing.begin() as connection:
            connection.execute(tables.interactions.insert(), [one for one, _ in batch])
            connection.execute(tables.attempts.insert(), [other for _, other in batch])
    database.close()


async def start(config: Path, data: Path, url: str | None, note: str) -> None:
    """Start the service, wait until it is ready, ask once, read a page, and stop it."""
    environment = {**os.environ, **({"ROUTER_DATABASE_URL": url} if url else {})}
    began = time.monotonic()
    arguments = ("--config", str(config), "--data", str(data), "--port", "0", "--no-ui")
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVE, *arguments), env=environment, stderr=subprocess.PIPE
    )
    assert service.stderr is not None
    try:
        while b"Serving on" not in (line := await service.stderr.readline()):
            if not line:
                raise RuntimeError("the service ended")
        address = line.decode().split()[-1]
        drain = asyncio.create_task(service.stderr.read())
        async with aiohttp.ClientSession() as session:
            health_s = await _until(session, f"{address}/health", began)
            ready_s = await _until(session, f"{address}/ready", began)
            answer_s = await _timed(_ask(session, address))
            page_s = await _timed(_get(session, f"{address}/router/interactions?limit=100"))
        print(
            f"{note}: /health {health_s:.1f} s, /ready {ready_s:.1f} s, first answer "
            f"{answer_s * 1000:.0f} ms, a page of the log {page_s * 1000:.0f} ms",
            flush=True,
        )
    finally:
        service.send_signal(signal.SIGINT)
        await service.wait()
        await drain


async def _until(session: aiohttp.ClientSession, url: str, began: float) -> float:
    async with asyncio.timeout(120):
        while True:
            try:
                async with session.get(url) as reply:
                    if reply.status == 200:
                        return time.monotonic() - began
            except aiohttp.ClientConnectorError:
                pass
            await asyncio.sleep(0.02)


async def _ask(session: aiohttp.ClientSession, address: str) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    async with session.post(f"{address}/v1/chat/completions", json=body) as reply:
        if reply.status != 200:
            raise RuntimeError(await reply.text())


async def _get(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as reply:
        await reply.read()
        reply.raise_for_status()


async def _timed(work: Any) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began


def priorities(config: Path, data: Path, url: str | None, note: str) -> None:
    environment = {**os.environ, **({"ROUTER_DATABASE_URL": url} if url else {})}
    began = time.monotonic()
    command = [sys.executable, "app.py", "--config", str(config), "--data", str(data)]
    subprocess.run(
        [*command, "--priorities", "--json"],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    print(f"{note}: --priorities {time.monotonic() - began:.1f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--postgres", action="store_true")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = None
        if args.postgres:
            binaries = postgres_bin()
            if binaries is None:
                parser.error("PostgreSQL's server programs are not installed")
            server = PostgresServer(binaries)
            server.start()
            stack.callback(server.stop)
            url = server.database()
        upstream = stack.enter_context(Upstream.in_thread())
        upstream.default = Behaviour(tokens=10, ttft_s=0.01, token_s=0.002)
        config = write_config(upstream.base_url, upstream.base_url, folder)
        began = time.monotonic()
        fill(url, folder / "data", args.requests)
        where = "PostgreSQL" if url else "SQLite"
        print(f"{where}: {args.requests} requests written in {time.monotonic() - began:.0f} s")
        for note in ("first start", "second start"):
            asyncio.run(start(config, folder / "data", url, f"{where}, {note}"))
            priorities(config, folder / "data", url, f"{where}, after the {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
