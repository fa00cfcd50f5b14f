"""Files that people upload: read whole in their bounds, given to Gradio, bound to their session."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import orjson
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Send

from web.body import BodyError, declared_bytes

MOST_FILES = 20
MOST_BYTES = 50 * 2**20
"""What one session may have uploaded at a time."""

MOST_IN_ALL = 1024 * 2**20
"""What all sessions may: past it, the session that uploaded longest ago loses its files."""

MOST_MADE = 10_000
UPLOAD_S = 600.0
"""How long an upload may take: 50 MB at less than 1 Mbit/s."""
ENVELOPE = 64 * 2**10
"""What the form around the files takes."""
IN_MEMORY = 2**20

FULL = f"at most {MOST_FILES} files and {MOST_BYTES // 2**20} MB may be uploaded in a session"


Written = tuple[int, dict[str, str], bytes]
"""What Gradio answers: status, headers, body."""


class Files:
    """Files by their exact paths. A session is whoever holds its cookie."""

    def __init__(self, most_in_all: int = MOST_IN_ALL) -> None:
        self._most_in_all = most_in_all
        self._uploaded: OrderedDict[str, dict[str, int]] = OrderedDict()
        self._made: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()

    def holds(self, session: str, path: str) -> bool:
        """Uploaded in this session, and still there."""
        return path in self._uploaded.get(session, ()) and Path(path).is_file()

    def may_read(self, session: str, path: str) -> bool:
        return (session, path) in self._made or self.holds(session, path)

    def room_bytes(self, session: str) -> int:
        """What this session may still upload; 0 where it has its number of files."""
        held = self._uploaded.get(session, {})
        if len(held) >= MOST_FILES:
            return 0
        return max(0, MOST_BYTES - sum(held.values()))

    def upload(self, session: str, paths: Iterable[str]) -> bool:
        """Take in what was just written; False, and the new ones deleted, beyond the bounds."""
        with self._lock:
            held = self._uploaded.setdefault(session, {})
            new = {path: Path(path).stat().st_size for path in paths if path not in held}
            after = held | new
            if len(after) > MOST_FILES or sum(after.values()) > MOST_BYTES:
                self._delete(session, new)
                return False
            held.update(new)
            self._uploaded.move_to_end(session)
            self._make_room()
            return True

    def made(self, session: str, path: str) -> None:
        """An event wrote this file for the session to read."""
        with self._lock:
            self._made[session, path] = None
            if len(self._made) > MOST_MADE:
                self._made.popitem(last=False)

    def release(self, session: str, paths: Iterable[str]) -> None:
        """These uploads have been used: delete them and give their room back."""
        with self._lock:
            held = self._uploaded.get(session, {})
            found = [path for path in paths if held.pop(path, None) is not None]
            self._delete(session, found)

    def _make_room(self) -> None:
        while sum(sum(held.values()) for held in self._uploaded.values()) > self._most_in_all:
            session, held = self._uploaded.popitem(last=False)
            self._delete(session, held)

    def _delete(self, session: str, paths: Iterable[str]) -> None:
        """The same document uploaded by two has one path, so it goes with the last of them."""
        for path in paths:
            others = (held for name, held in self._uploaded.items() if name != session)
            if not any(path in held for held in others):
                Path(path).unlink(missing_ok=True)


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
