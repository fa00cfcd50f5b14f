"""An upload to the page: read whole in its bounds, given to Gradio, bound to its session."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO

import orjson
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Send

from ui.uploads import MOST_BYTES, MOST_FILES, Files
from web.body import BodyError, declared_bytes

UPLOAD_S = 600.0
"""How long an upload may take: 50 MB at less than 1 Mbit/s."""
ENVELOPE = 64 * 2**10
"""What the form around the files takes."""
IN_MEMORY = 2**20

FULL = f"at most {MOST_FILES} files and {MOST_BYTES // 2**20} MB may be uploaded in a session"


Written = tuple[int, dict[str, str], bytes]
"""What Gradio answers: status, headers, body."""


class Uploading:
    """Gradio leaves what it has written where the sender goes away in the middle, so it is given
    the upload only when all of it is here."""

    def __init__(self, app: ASGIApp, files: Files) -> None:
        self.app = app
        self.files = files

    async def __call__(self, request: Request, session: str, send: Send) -> None:
        room = self.files.room_bytes(session)
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as spool:
            await _receive(request, spool, room + ENVELOPE if room else 0)
            spool.seek(0)
            whole = replayed(_chunks(spool), request.receive)
            status, headers, body = await answer_to(self.app, request, whole)
        if status == 200 and not await asyncio.to_thread(
            self.files.upload, session, orjson.loads(body)
        ):
            raise BodyError(413, FULL)
        response = PlainTextResponse(body, status, headers)
        await response(request.scope, request.receive, send)


async def answer_to(app: ASGIApp, request: Request, receive: Receive) -> Written:
    """All that Gradio answers, not compressed."""
    headers = MutableHeaders(raw=list(request.scope["headers"]))
    del headers["accept-encoding"]
    started: Message = {}
    body = bytearray()

    async def take(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        else:
            body.extend(message.get("body", b""))

    await app({**request.scope, "headers": headers.raw}, receive, take)
    kept = {name.decode(): value.decode() for name, value in started["headers"]}
    kept.pop("content-length", None)
    return started["status"], kept, bytes(body)


async def _receive(request: Request, spool: IO[bytes], most_bytes: int) -> None:
    if declared_bytes(request) > most_bytes:
        raise BodyError(413, FULL)
    size = 0
    try:
        async with asyncio.timeout(UPLOAD_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most_bytes:
                    raise BodyError(413, FULL)
                spool.write(chunk)
    except TimeoutError:
        raise BodyError(408, f"the upload did not arrive within {UPLOAD_S:g} s") from None
    except ClientDisconnect:
        raise BodyError(400, "the client left before its upload was complete") from None


def _chunks(spool: IO[bytes]) -> Iterator[bytes]:
    while chunk := spool.read(2**18):
        yield chunk


def replayed(chunks: Iterable[bytes], receive: Receive) -> Receive:
    """A body that was read already, then whatever else the client sends."""
    left = iter(chunks)
    over = False

    async def again() -> Message:
        nonlocal over
        if over:
            return await receive()
        chunk = next(left, b"")
        over = not chunk
        return {"type": "http.request", "body": chunk, "more_body": not over}

    return again
