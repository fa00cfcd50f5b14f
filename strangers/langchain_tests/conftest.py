"""What langchain-tests downloads, as local bytes; and a router in this process."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from graph.router import Router
from strangers.service import write_config
from tests.upstream import Behaviour, Upstream


def png() -> bytes:
    """One grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\x00\x80")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


@pytest.fixture(autouse=True)
def local_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite's pictures, recordings and PDFs come from here, whatever their address."""

    def get(url: str, **_: Any) -> httpx.Response:
        data = b"%PDF-1.4\n%%EOF\n" if str(url).endswith(".pdf") else png()
        return httpx.Response(200, content=data, request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", get)
    monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "llm-router")


@pytest.fixture(scope="session")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router of this process over the scripted upstream."""
    folder: Path = tmp_path_factory.mktemp("router")
    with Upstream.in_thread() as upstream:
        for name in ("scripted", "cheap"):
            upstream.behave(name, Behaviour(text="The scripted model answers.", capable=True))
        write_config(folder / "config", upstream.base_url)
        router = Router.from_config(folder / "config", folder / "data", environ={}, dotenv=None)
        yield router
        router.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all: LangChain keeps a client's connections from test to test."""
    for item in items:
        if pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
