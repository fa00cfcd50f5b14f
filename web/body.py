"""Reading a request's body: bounded in size and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request

from config.errors import RouterError

READ_S = 30.0
"""How long a body may take to arrive, in seconds."""

LARGE_BYTES = 4 * 2**20
"""A larger body needs one of the process's places for large bodies."""

LARGE_AT_ONCE = 8
"""Number of those places; each is held from reading the body to the end of the answer."""

DRAIN_BYTES = 32 * 2**20
"""Bytes of an oversized body that are read and discarded: a client that is still sending would see
a broken connection instead of the response."""


class BodyError(RouterError):
    """A body that is too large, too slow or incomplete, with the HTTP status for it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LargeBodies:
    """A process's places for large bodies; each is held by one request until it leaves."""

    def __init__(self, most: int = LARGE_AT_ONCE) -> None:
        self._most = most
        self._held: set[str] = set()

    def enter(self, request_id: str) -> bool:
        """Whether there is a place for this request; one that already has a place keeps it."""
        if request_id not in self._held and len(self._held) >= self._most:
            return False
        self._held.add(request_id)
        return True

    def leave(self, request_id: str) -> None:
        """Its answer was sent, or the client has left."""
        self._held.discard(request_id)


async def read_body(
    request: Request, most_bytes: int, may_be_large: Callable[[], bool] | None = None
) -> bytes:
    """The raw body; raises BodyError with 400, 408, 413 or 429.

    `may_be_large` is called once the body exceeds LARGE_BYTES: False is 429.
    """
    try:
        async with asyncio.timeout(READ_S):
            body = await _read(request, most_bytes, may_be_large)
    except TimeoutError:
        raise BodyError(408, f"the body did not arrive within {READ_S:g} s") from None
    except ClientDisconnect:
        raise BodyError(400, "the client left before its request was complete") from None
    return body


async def _read(
    request: Request, most_bytes: int, may_be_large: Callable[[], bool] | None
) -> bytes:
    body, size, full = bytearray(), 0, False
    async for chunk in request.stream():
        before, size = size, size + len(chunk)
        if may_be_large and before <= LARGE_BYTES < size <= most_bytes:
            full = not may_be_large()
        if size > most_bytes or full:
            body.clear()
        else:
            body += chunk
        if (full or size > most_bytes) and max(size, declared_bytes(request)) > DRAIN_BYTES:
            break
    if size > most_bytes:
        raise BodyError(413, f"the body is larger than {most_bytes / 2**20:.2g} MB")
    if full:
        raise BodyError(429, "too many large bodies at once; try again in a moment")
    return bytes(body)


def declared_bytes(request: Request) -> int:
    """The value of `Content-Length`, 0 if it is absent."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else 0
