"""The real embedding model, loaded once, and small knowledge bases."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from vectorstore.embeddings import Embedder
from vectorstore.knowledge import Knowledge

GARDEN = {
    "tower.md": "# The Eiffel Tower\n\n## Height\n\nIt is 330 metres tall and stands in Paris.\n\n"
    "## Paint\n\nIt is painted every seven years, with sixty tonnes of paint.\n",
    "bees.md": "# Bees\n\nA honey bee visits flowers and brings nectar to the hive.\n",
    "tides.txt": "The Moon pulls at the sea, and so there are tides twice a day.\n",
}


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    return Embedder.load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "documents"
    place.mkdir()
    for name, text in GARDEN.items():
        (place / name).write_text(text)
    return place


@pytest.fixture
async def knowledge(tmp_path: Path, embedder: Embedder) -> AsyncIterator[Knowledge]:
    """A knowledge base with nothing in it."""
    base = Knowledge.open(tmp_path / "data", embedder)
    yield base
    base.close()


def run_chroma(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A real Chroma server over that folder on a loopback port, once it listens."""
    program = str(Path(sys.executable).parent / "chroma")
    command = [program, "run", "--path", str(folder), "--port", str(port)]
    with folder.with_suffix(".log").open("ab") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert server.poll() is None, folder.with_suffix(".log").read_text()
            select.select([], [], [], 0.05)
    return server


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def chroma_server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real Chroma server on a free loopback port, and its process."""
    port = free_port()
    server = run_chroma(tmp_path / "served", port)
    yield f"http://127.0.0.1:{port}", server
    server.kill()
    server.wait()
