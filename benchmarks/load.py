"""Many callers of one service over HTTP, as cheap as Python makes them: the service is what is
measured. Each keeps a connection and asks again as soon as it has its answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

STREAM_END, TOKEN = b"0\r\n\r\n", b"word"
PATIENCE_S = 120.0


@dataclass
class Figures:
    """What the callers saw, in seconds; `failed` has what was no whole answer."""

    firsts: list[float] = field(default_factory=list)
    wholes: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    took_s: float = 0.0
    cpu_s: float = 0.0
    """Of the service, where its process is known."""

    @property
    def rate(self) -> float:
        return len(self.wholes) / self.took_s

    def share(self, values: list[float], share: float) -> float:
        """The value that this share of them stays below."""
        return sorted(values)[min(int(len(values) * share), len(values) - 1)]


class Caller(asyncio.Protocol):
    """One connection: a request, its answer, and again."""

    def __init__(self, bodies: Iterator[bytes], figures: Figures, *, stream: bool) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._bodies, self._figures, self._stream = bodies, figures, stream
        self._received, self._first = bytearray(), 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._figures.failed.append(f"connection lost: {exc}")
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        if not self._first and TOKEN in data:
            self._first = now - self._began
        if self._whole(data):
            self._answered(now - self._began)

    def _ask(self) -> None:
        body = next(self._bodies, None)
        if body is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._began, self._first = time.perf_counter(), 0.0
        self._received.clear()
        self._transport.write(body)

    def _whole(self, data: bytes) -> bool:
        if self._received.find(b"\r\ntransfer-encoding: chunked", 0, 500) >= 0:
            return data.endswith(STREAM_END)
        head, found, body = self._received.partition(b"\r\n\r\n")
        return bool(found) and len(body) >= _length(bytes(head))

    def _answered(self, took: float) -> None:
        said = self._received
        complete = b"[DONE]" in said[-200:] if self._stream else b'"content":"word' in said
        if said.startswith(b"HTTP/1.1 200") and complete:
            self._figures.firsts.append(self._first)
            self._figures.wholes.append(took)
        else:
            self._figures.failed.append(bytes(said[:200]).decode(errors="replace"))
        self._ask()


def _length(head: bytes) -> int:
    fields = (line.partition(b":") for line in head.lower().splitlines())
    return next((int(value) for name, _, value in fields if name == b"content-length"), 0)


async def volley(
    url: str, prompts: Iterator[str], callers: int, requests: int, *, stream: bool = True
) -> Figures:
    """So many requests to `url` (up to the port) by so many callers at once."""
    place, figures = urlsplit(url), Figures()
    bodies = (request(next(prompts), stream=stream) for _ in range(requests))
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [
        loop.create_connection(
            lambda: Caller(bodies, figures, stream=stream), str(place.hostname), place.port or 80
        )
        for _ in range(callers)
    ]
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*[caller.done for _, caller in await asyncio.gather(*made)])
    figures.took_s = time.perf_counter() - began
    return figures


def request(prompt: str, *, stream: bool) -> bytes:
    """A chat completion's request, byte for byte."""
    said = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": prompt}]}
    body = json.dumps(said).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
