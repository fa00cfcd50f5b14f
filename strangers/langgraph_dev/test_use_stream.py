"""LangGraph's hook for React, `useStream`, in a page without a browser: see `use_stream/`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from strangers.__main__ import node_bin, npm_environment
from strangers.langgraph_dev.conftest import ANSWER, Server
from tests.upstream import Behaviour

SUITE = Path(__file__).with_name("use_stream")
BETWEEN_S = 0.2
"""Between two words: what has come together is shown together."""


def test_a_page_shows_the_router_by_use_stream(server: Server) -> None:
    path = f"{node_bin()}{os.pathsep}{os.environ['PATH']}"
    server.upstream.behave("scripted", Behaviour(text=ANSWER, token_s=BETWEEN_S))
    cut = Behaviour(tokens=6, token_s=BETWEEN_S, cut_after=3, cut="close")
    server.upstream.behave("cut", cut)
    environment = {"PATH": path, "LANGGRAPH_URL": server.url, "ANSWER": ANSWER}
    done = subprocess.run(
        ["node", "--test", "--test-force-exit"],
        cwd=npm_environment(SUITE),
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    server.upstream.behave("scripted", Behaviour(text=ANSWER))
    assert done.returncode == 0, done.stdout[-6000:]
