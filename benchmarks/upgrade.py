"""A rolling upgrade under load: `python -m benchmarks.upgrade [--before REV] [--replicas N]`.

Replicas of an earlier commit serve over one PostgreSQL and callers ask without a pause. One replica
after the other is replaced by this tree, as an orchestrator does it: the new one is started and
asked until it is ready, traffic goes to it and no more to the old one, which gets SIGTERM. Then the
same way back. Every request must be answered to its end at the first try and stand in the log, and
a batch that was left with the old version be finished.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.batch import line
from benchmarks.bench import ROOT, write_config
from telemetry.log import InteractionLog
from tests.telemetry.postgres import PostgresServer, postgres_bin
from tests.upstream import Behaviour, Upstream

CALLERS = 4
REPLICAS = 2
LINES = 60
ENOUGH = 3
"""Requests of each caller between two steps of the upgrade."""
ENDS = (0, -signal.SIGTERM)
"""uvicorn ends in good order, then by the signal that it was sent."""


@dataclass
class Report:
    """What callers got, and what went wrong, as sentences."""

    answered: list[str] = field(default_factory=list)
    by_version: Counter[str] = field(default_factory=Counter)
    batch: str = "none"
    wrong: list[str] = field(default_factory=list)


class Replica:
    """A process of one version; `name` says of which."""

    def __init__(self, name: str, tree: Path, config: Path, data: Path, database_url: str) -> None:
        self.name = name
        self._tree = tree
        self._arguments = ["--no-ui", "--port", "0", "--config", str(config), "--data", str(data)]
        self._environ = {**os.environ, "ROUTER_DATABASE_URL": database_url, "ROUTER_API_KEYS": ""}
        self.url = ""
        self._process: asyncio.subprocess.Process | None = None
        self._read: asyncio.Task[None] | None = None

    async def start(self, session: aiohttp.ClientSession) -> None:
        """Returns when it is ready for traffic."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "app.py", *self._arguments),
            cwd=self._tree,
            env=self._environ,
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stderr is not None
        said = b""
        async for raw in self._process.stderr:
            said += raw
            if b"Serving on " in raw:
                self.url = raw.decode().rpartition("Serving on ")[2].strip()
                break
        else:
            raise RuntimeError(f"{self.name} did not start: {said.decode()[-500:]}")
        self._read = asyncio.create_task(_drain(self._process.stderr))
        async with asyncio.timeout(90):
            while not await self._ready(session):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)

    async def _ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/ready") as reply:
                return reply.status == 200
        except aiohttp.ClientError:
            return False

    async def stop(self) -> int:
        """Its exit code."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.terminate()
        return await self._process.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    """A pipe that nobody reads would stop the process."""
    async for _ in stream:
        pass


class Load:
    """Callers that ask one replica after the other of those that get traffic."""

    def __init__(self, session: aiohttp.ClientSession, report: Report) -> None:
        self._session = session
        self._report = report
        self.rotation: list[Replica] = []
        self._turn = itertools.count()
        self._moved = asyncio.Event()
        self.over = False

    async def call(self, number: int) -> None:
        """Ask until it is over, every second time for a stream."""
        for stream in itertools.cycle((True, False)):
            if self.over:
                return
            at = self.rotation[next(self._turn) % len(self.rotation)]
            body = {**line(number)["body"], "stream": stream}
            try:
                answered = await self._ask(at, body)
            except aiohttp.ClientError as error:
                self._report.wrong.append(f"{at.name}: {type(error).__name__}: {error}")
                continue
            self._report.answered.append(answered)
            self._report.by_version[at.name] += 1
            self._moved.set()

    async def _ask(self, at: Replica, body: dict[str, Any]) -> str:
        """The request's id, once its answer is there to the end."""
        async with self._session.post(f"{at.url}/v1/chat/completions", json=body) as reply:
            text = await reply.text()
            if reply.status != 200 or (body["stream"] and not text.endswith("data: [DONE]\n\n")):
                raise aiohttp.ClientError(f"{reply.status} {text[-200:]}")
            return reply.headers["x-request-id"]

    async def more(self) -> None:
        """Until every caller has been answered some times more, on the average."""
        enough = len(self._report.answered) + ENOUGH * CALLERS
        async with asyncio.timeout(120):
            while len(self._report.answered) < enough:
                self._moved.clear()
                await self._moved.wait()


async def run(
    folder: Path, before: Path, database_url: str, replicas: int, *, back: bool
) -> Report:
    """Upgrade from the tree `before` to this one and, with `back`, back again."""
    report = Report()
    with Upstream.in_thread() as upstream:
        upstream.default = Behaviour(tokens=10, ttft_s=0.05, token_s=0.03)
        config = write_config(upstream.base_url, upstream.base_url, folder)
        (config / "knowledge").mkdir()  # nothing to ingest

        def made(name: str, tree: Path) -> list[Replica]:
            data = folder / "data"
            return [Replica(name, tree, config, data, database_url) for _ in range(replicas)]

        waves = [made("before", before), made("now", ROOT)]
        if back:
            waves.append(made("before, again", before))
        timeout = aiohttp.ClientTimeout(60)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                await _roll(waves, session, report)
        finally:
            await asyncio.gather(*(one.stop() for wave in waves for one in wave))
    await _check_log(folder, database_url, report)
    return report


async def _roll(waves: list[list[Replica]], session: aiohttp.ClientSession, report: Report) -> None:
    """One wave replaces the one before it, replica by replica, while callers ask."""
    load, old = Load(session, report), waves[0]
    for replica in old:
        await replica.start(session)
    load.rotation = list(old)
    async with asyncio.TaskGroup() as callers:
        for number in range(CALLERS):
            callers.create_task(load.call(number))
        await load.more()
        batch = await _leave(session, old[0].url)
        for new in waves[1:]:
            for out, into in zip(old, new, strict=True):
                await into.start(session)
                load.rotation.append(into)
                load.rotation.remove(out)
                if (code := await out.stop()) not in ENDS:
                    report.wrong.append(f"a replica of {out.name} ended with {code}")
                await load.more()
            old = new
        if batch:
            report.batch = await _finished(session, old[0].url, batch)
        load.over = True


async def _leave(session: aiohttp.ClientSession, url: str) -> str | None:
    """A batch at the old version; None where it knows no such thing."""
    data = b"".join(json.dumps(line(n)).encode() + b"\n" for n in range(LINES))
    form = aiohttp.FormData({"purpose": "batch"})
    form.add_field("file", io.BytesIO(data), filename="in.jsonl")
    async with session.post(f"{url}/v1/files", data=form) as reply:
        if reply.status == 404:
            return None
        file = await reply.json()
    body = {
        "input_file_id": file["id"],
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    async with session.post(f"{url}/v1/batches", json=body) as reply:
        return str((await reply.json())["id"])


async def _finished(session: aiohttp.ClientSession, url: str, batch_id: str) -> str:
    async with asyncio.timeout(120):
        while True:
            async with session.get(f"{url}/v1/batches/{batch_id}") as reply:
                if reply.status == 404:
                    return "of a version that knows no batches"
                batch = await reply.json()
            if batch["status"] not in ("validating", "in_progress"):
                return f"{batch['status']} {batch['request_counts']['completed']}"
            await asyncio.sleep(0.1)


async def _check_log(folder: Path, database_url: str, report: Report) -> None:
    log = await asyncio.to_thread(InteractionLog.open, database_url, folder / "data")
    logged = {row["request_id"] for row in await log.recent(None) if row["success"]}
    await log.close()
    if lost := set(report.answered) - logged:
        report.wrong.append(f"{len(lost)} answers are not in the log")


def tree_of(revision: str, folder: Path) -> Path:
    """The files of a commit; CalledProcessError where the history does not have it."""
    packed = subprocess.run(
        ["git", "archive", revision], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default="HEAD~1", metavar="REV")
    parser.add_argument("--replicas", type=int, default=REPLICAS)
    args = parser.parse_args()
    binaries = postgres_bin()
    if binaries is None:
        parser.error("PostgreSQL's server programs are not installed")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = PostgresServer(binaries)
        stack.callback(server.stop)
        server.start()
        before = tree_of(args.before, folder / "before")
        url = server.database()
        report = asyncio.run(run(folder, before, url, args.replicas, back=True))
    print(f"{len(report.answered)} requests answered and logged: {dict(report.by_version)}")
    print(f"the batch that was left before: {report.batch}")
    for sentence in report.wrong:
        print(f"WRONG: {sentence}")
    return int(bool(report.wrong))


if __name__ == "__main__":
    sys.exit(main())
