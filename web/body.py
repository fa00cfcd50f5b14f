"""Reading a request's body: bounded in size and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request

from config.errors import RouterError

READ_S = 30.0
"""How long a body may take to arrive."""

LARGE_BYTES = 4 * 2**20
"""A larger body needs a place of those that a process has for such."""

LARGE_AT_ONCE = 8
"""How many of them a process holds at once, from their reading to the end of their answers."""

DRAIN_BYTES = 32 * 2**20
"""What is read and thrown away of a body too large: a client that is still sending would see a
broken connection instead of the answer."""


class BodyError(RouterError):
    """A body that is too large, too slow or incomplete, with the HTTP status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LargeBodies:
    """The places for large bodies of a process; each is held by one request, until it leaves."""

    def __init__(self, most: int = LARGE_AT_ONCE) -> None:
        self._most = most
        self._held: set[str] = set()

    def enter(self, request_id: str) -> bool:
        """Whether there is a place for this request; one that has its own keeps it."""
        if request_id not in self._held and len(self._held) >= self._most:
            return False
        self._held.add(request_id)
        return True

    def leave(self, request_id: str) -> None:
        """Its answer is out, or nobody waits for it."""
        self._held.discard(request_id)


async def read_body(
    request: Request, most_bytes: int, may_be_large: Callable[[], bool] | None = None
) -> bytes:
    """The raw body; BodyError with 400, 408, 413 or 429.

    `may_be_large` is asked once it is larger than LARGE_BYTES: False is 429.
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
        raise BodyError(429, "too many large bodies are under way; try again in a moment")
    return bytes(body)


def declared_bytes(request: Request) -> int:
    """What `Content-Length` says, 0 where it says nothing."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else 0
