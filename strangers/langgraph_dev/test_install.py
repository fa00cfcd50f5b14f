"""LangGraph's server installs beside the application, by the one command that the docs name."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = next(iter(filter(None, [str(ROOT / ".venv/bin/uv"), shutil.which("uv")])))


@pytest.fixture(scope="module")
def resolved() -> dict[str, str]:
    """What `uv pip install -r requirements-studio.txt` would bring today, by name."""
    options = ["--no-header", "--no-annotate", "--quiet", "--python", sys.executable]
    command = [UV, "pip", "compile", *options, str(ROOT / "requirements-studio.txt")]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    pinned = (line.split(";")[0].strip() for line in lines if "==" in line)
    return dict(pin.split("==", 1) for pin in pinned)


def test_the_server_and_the_application_resolve_together(resolved: dict[str, str]) -> None:
    assert {"langgraph", "langgraph-cli", "langgraph-api", "langgraph-runtime-inmem"} <= set(
        resolved
    )
    assert {"gradio", "chromadb", "structlog"} <= set(resolved)


def test_no_old_release_of_the_command_line_stands_in(resolved: dict[str, str]) -> None:
    """An old one has no extra named inmem, says so in passing, and knows no `dev`."""
    assert tuple(map(int, resolved["langgraph-cli"].split("."))) >= (0, 4, 40)
