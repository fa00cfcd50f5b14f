"""Reading a request's body: bounded in size and in time."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from config.errors import RouterError

READ_S = 30.0
"""How long a body may take to arrive."""

DRAIN_BYTES = 16 * 2**20
"""What is read and thrown away of a body too large: a client that is still sending would see a
broken connection instead of the answer."""


class BodyError(RouterError):
    """A body that is too large, too slow or incomplete, with the HTTP status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The raw body; BodyError with 400, 408 or 413."""
    try:
        async with asyncio.timeout(READ_S):
            body = await _read(request, most_bytes)
    except TimeoutError:
        raise BodyError(408, f"the body did not arrive within {READ_S:g} s") from None
    except ClientDisconnect:
        raise BodyError(400, "the client left before its request was complete") from None
    return body


async def _read(request: Request, most_bytes: int) -> bytes:
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= most_bytes:
            body += chunk
        elif size > DRAIN_BYTES or declared_bytes(request) > DRAIN_BYTES:
            break
    if size > most_bytes:
        raise BodyError(413, f"the body is larger than {most_bytes // 2**20} MB")
    return bytes(body)


def declared_bytes(request: Request) -> int:
    """What `Content-Length` says, 0 where it says nothing."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else 0
