"""The page in a process of its own, so that its CPU and memory can be read alone, and a browser.

    python -m benchmarks.page_server CONFIG DATA

prints the address and serves until its standard input closes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.environment import quiet

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"]


@dataclass(frozen=True, slots=True)
class Page:
    """A running server. CPU and memory are read from Linux's /proc."""

    url: str
    pid: int

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that the process has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@asynccontextmanager
async def served(config: Path, data: Path) -> AsyncIterator[Page]:
    """The page over that configuration, warm and answering."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.page_server", str(config), str(data)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the server has no pipes")
    try:
        url = (await process.stdout.readline()).decode().strip()
        yield Page(url, process.pid)
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """A browser without a window."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-headless-shell"),
            args=FLAGS,
        )
        yield browser
        await browser.close()


async def serve(folder: Path, data: Path) -> None:
    quiet()
    import uvicorn
    from fastapi import FastAPI

    from graph.router import Router
    from telemetry.console import configure
    from ui.page import mount

    configure(json=False, level="ERROR")  # standard output is for the address alone
    async with Router.from_config(folder, data, environ={}) as router:
        await router.warm()
        app = mount(FastAPI(), router, write=True)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            # An open tab holds a connection for as long as it lives: it is not waited for.
            config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve([listener]))
            print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
            server.should_exit = True
            await serving


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
