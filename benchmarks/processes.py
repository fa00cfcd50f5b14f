"""Services in processes of their own, for the benchmarks: how they start and end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import aiohttp

from benchmarks.bench import ROOT


class Service(NamedTuple):
    """Its address, and the process that serves there."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """CPU seconds that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def process(*command: str) -> AsyncIterator[Service]:
    """A service of this repository in a process of its own, which prints its address."""
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert running.stdout is not None
    try:
        async with asyncio.timeout(60):
            while b"http://" not in (line := await running.stdout.readline()):
                if not line:
                    raise RuntimeError(f"{command} did not start")
        draining = asyncio.create_task(running.stdout.read())
        yield Service(line.decode().split()[-1], running.pid)
        draining.cancel()
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


def steady(**options: float) -> tuple[str, ...]:
    return ("-m", "benchmarks.steady", *(f"--{name}={value}" for name, value in options.items()))


@asynccontextmanager
async def command(
    *words: str, env: dict[str, str] | None = None, log: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program in a group of its own, which ends with the block."""
    with (log or Path(os.devnull)).open("ab") as out:
        running = await asyncio.create_subprocess_exec(
            *words,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.terminate()
            try:
                await asyncio.wait_for(running.wait(), 40)
            except TimeoutError:
                os.killpg(running.pid, signal.SIGKILL)
                await running.wait()


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def until(url: str) -> None:
    """Until that address answers with 200."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(150):
        while True:
            with suppress(aiohttp.ClientError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.2)
