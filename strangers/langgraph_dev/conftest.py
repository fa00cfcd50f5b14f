"""`langgraph dev` in a fresh clone: no key, no `.env`, no data, blocking calls detected."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from strangers.service import free_port, write_config
from tests.upstream import Behaviour, Upstream

ROOT = Path(__file__).parents[2]
START_S = 90.0
ANSWER = "The first answers at once."
LEFT_OUT = shutil.ignore_patterns(
    ".*", "data", "__pycache__", "node_modules", "*.pyc", "benchmarks", "pictures"
)


@dataclass(frozen=True)
class Server:
    url: str
    process: psutil.Process
    upstream: Upstream
    log: Path
    clone: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server over a loopback provider, in a copy of the project."""
    clone = tmp_path_factory.mktemp("clone") / "router"
    shutil.copytree(ROOT, clone, ignore=LEFT_OUT)
    with Upstream.in_thread() as upstream:
        upstream.behave("scripted", Behaviour(text=ANSWER))
        upstream.behave("cheap", Behaviour(text="The fallback answers."))
        write_config(clone.parent / "config", upstream.base_url)
        shutil.rmtree(clone / "config" / "knowledge")
        shutil.copytree(clone.parent / "config", clone / "config", dirs_exist_ok=True)
        port, log = free_port(), clone.parent / "server.log"
        command = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser"]
        command += ["--no-reload", "--port", str(port)]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(clone.parent),
            "LANGGRAPH_CLI_NO_ANALYTICS": "1",
            "PYTHONUNBUFFERED": "1",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=clone, env=environment, stdout=output, stderr=output
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, f"{url}/ok", log)
            yield Server(url, psutil.Process(process.pid), upstream, log, clone)
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    give_up_at = time.monotonic() + START_S
    while time.monotonic() < give_up_at and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-4000:]}")
