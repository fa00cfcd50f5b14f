"""LangSmith gets the graph's runs where its variables are set, and no word of a prompt."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream

ROOT = Path(__file__).parents[2]
CANARY = "zebra-canary-5127"

SCRIPT = """
import asyncio, sys
from graph.router import Router
from langchain_core.tracers.langchain import wait_for_all_tracers

async def main():
    async with Router.from_config(sys.argv[1], sys.argv[2], dotenv=None) as router:
        stream = router.graph.astream({"prompt": sys.argv[3]}, stream_mode=["messages", "values"])
        async for mode, part in stream:
            last = part
    assert last["answer"]["success"], last

asyncio.run(main())
wait_for_all_tracers()
"""


@pytest.fixture
def smith() -> Iterator[tuple[str, list[bytes]]]:
    """LangSmith's address on loopback, and what was sent there."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"{}")

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(b"{}")

        do_PATCH = do_POST  # noqa: N815

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    server.shutdown()
    server.server_close()
    thread.join()


def test_langsmith_sees_the_nodes_and_no_text(
    settings_for: SettingsFor, smith: tuple[str, list[bytes]]
) -> None:
    url, bodies = smith
    with Upstream.in_thread() as upstream:
        upstream.behave("first", Behaviour(text=f"An answer with {CANARY}."))
        settings = settings_for(upstream)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(settings.data_dir),
            "PYTHONPATH": str(ROOT),
            "LANGSMITH_TRACING": "true",
            "LANGSMITH_ENDPOINT": url,
            "LANGSMITH_API_KEY": "ls-none",
            "LANGSMITH_DISABLE_RUN_COMPRESSION": "true",
        }
        folders = [str(settings.config_dir), str(settings.data_dir)]
        command = [sys.executable, "-c", SCRIPT, *folders, f"What is a {CANARY}?"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    sent = b"".join(bodies)
    assert b"classify" in sent, done.stderr[-2000:]
    assert CANARY.encode() not in sent
