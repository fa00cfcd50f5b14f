"""The HTTP/1.1 half of the misbehaving upstream: connections, parsing, writing, aborts.

A bare `asyncio.Protocol` rather than a web framework, because the faults are below one: a reset
instead of a close, a body cut in mid-chunk, headers without a body, and the instant at which a
client went away.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

Handler = Callable[["Exchange"], Awaitable[None]]


class ClientGoneError(Exception):
    """The client closed the connection before the response was complete."""


@dataclass(eq=False)
class Exchange:
    """One request and the means to answer it, badly if wanted."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    raw_body: bytes
    connection: Connection
    started: bool = False  # headers are out
    ended: bool = False  # the response is complete, as intended
    outcome: Literal["running", "done", "cut", "aborted"] = "running"
    events: list[str] = field(default_factory=list)

    async def head(
        self, status: int, content_type: str, length: int | None, extra: dict[str, str]
    ) -> None:
        """Send the status line and headers; `length=None` announces chunks."""
        lines = [f"HTTP/1.1 {status} {'OK' if status < 300 else 'Error'}"]
        if content_type:
            lines.append(f"content-type: {content_type}")
        lines.append(
            "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        )
        lines += [f"{name}: {value}" for name, value in extra.items()]
        self.started = True
        await self.connection.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def chunk(self, data: bytes) -> None:
        await self.connection.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_chunks(self) -> None:
        await self.connection.write(b"0\r\n\r\n")
        self.finish()

    async def whole(
        self, status: int, body: bytes, content_type: str, extra: dict[str, str] | None = None
    ) -> None:
        await self.head(status, content_type, len(body), extra or {})
        await self.connection.write(body)
        self.finish()

    def finish(self) -> None:
        self.ended, self.outcome = True, "done"

    def reset(self) -> None:
        """Tear the connection down with a TCP reset."""
        self.ended, self.outcome = True, "cut"
        self.connection.reset()

    def close(self) -> None:
        """Close the connection cleanly, whatever was promised in the headers."""
        self.ended, self.outcome = True, "cut"
        self.connection.close()


class Connection(asyncio.Protocol):
    """One client connection: requests in turn, each answered by a task that dies with it."""

    def __init__(self, handler: Handler, opened: set[Connection]) -> None:
        self._handler = handler
        self._opened = opened
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        self._opened.add(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._opened.discard(self)
        self._transport = None
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    # what an exchange uses

    async def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            raise ClientGoneError
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    # parsing

    def _next(self) -> None:
        if self._task is not None:
            return
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        request_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        method, path, _ = request_line.split(" ", 2)
        exchange = Exchange(method, path, headers, rest[:length], self)
        self._task = asyncio.get_running_loop().create_task(self._serve(exchange))

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
        except ClientGoneError:
            exchange.outcome = "aborted"
        finally:
            self._task = None
        if self._transport is not None and not self._transport.is_closing():
            self._next()
