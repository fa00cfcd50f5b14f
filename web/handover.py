"""Hands the page's paths on to the one worker process that has the page.

Gradio keeps its sessions in memory, so with several worker processes only one serves the page. It
listens on a Unix socket in addition to the common port; the other workers forward to it whatever
they do not serve. The socket is in a folder that no other user can enter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import cast

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

CALLER = b"x-router-caller"
"""Address of the original caller: a JSON list of host, port and scheme."""

CONNECT_S = 2.0
HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"})


class HandedOn:
    """ASGI application: forwards to the page's worker and streams its response back.

    While that worker is being replaced, the response is one sentence and 503 with Retry-After.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the Unix socket of the page's worker."""
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        # No client around it: that would keep one caller's cookies and send them with the requests
        # of all others, and ask for a compression that the caller may not know.
        self._transport = httpx2.AsyncHTTPTransport(uds=str(path), limits=limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body_read = asyncio.Event()
        request = Request(scope, receive)
        asking = asyncio.create_task(self._ask(request, body_read, send), name="hand-on")
        leaving = asyncio.create_task(_gone(body_read, receive), name="caller-left")
        try:
            await asyncio.wait({asking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, leaving):
                task.cancel()
            await asyncio.wait({asking, leaving})
        if not asking.cancelled():
            asking.result()

    async def close(self) -> None:
        await self._transport.aclose()

    async def _ask(self, request: Request, body_read: asyncio.Event, send: Send) -> None:
        raw_path = cast("bytes", request.scope.get("raw_path") or request.url.path.encode())
        target = raw_path + (b"?" + query if (query := request.scope["query_string"]) else b"")
        url = httpx2.URL(f"http://page{target.decode('latin-1')}")
        content = None
        if {"content-length", "transfer-encoding"} & set(request.headers):
            content = _body(request, body_read)
        else:
            body_read.set()
        outgoing = httpx2.Request(
            request.method,
            url,
            headers=_headers(request.scope),
            content=content,
            extensions={"timeout": httpx2.Timeout(None, connect=CONNECT_S).as_dict()},
        )
        started = False
        try:
            answer = await self._transport.handle_async_request(outgoing)
            try:
                await send(
                    {
                        "type": "http.response.start",
                        "status": answer.status_code,
                        "headers": [
                            (k, v) for k, v in answer.headers.raw if k.lower() not in HOP_BY_HOP
                        ],
                    }
                )
                started = True
                async for piece in answer.aiter_raw():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            finally:
                await answer.aclose()
        except httpx2.TransportError:
            if started:
                raise
            message = "the page's process is being replaced: try again in a moment"
            refusal = JSONResponse({"detail": message}, 503, {"retry-after": "1"})
            await refusal(request.scope, request.receive, send)


class Handed:
    """ASGI middleware of the page's worker: a forwarded request appears to come from its caller."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            callers = [value for name, value in scope["headers"] if name == CALLER]
            kept = [(name, value) for name, value in scope["headers"] if name != CALLER]
            scope = {**scope, "headers": kept}
            if callers and scope.get("client") is None:  # over the Unix socket only
                host, port, scheme = json.loads(callers[0])
                scope |= {"client": (host, port) if host else None, "scheme": scheme}
        await self.app(scope, receive, send)


def _headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    host, port = scope.get("client") or (None, None)
    caller = json.dumps([host, port, scope["scheme"]]).encode()
    passed = [(k, v) for k, v in scope["headers"] if k not in HOP_BY_HOP and k != CALLER]
    return [*passed, (CALLER, caller)]


async def _body(request: Request, read: asyncio.Event) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    finally:
        read.set()


async def _gone(body_read: asyncio.Event, receive: Receive) -> None:
    """Return when the caller has disconnected, once its request is complete."""
    await body_read.wait()
    with suppress(asyncio.CancelledError):
        while (await receive())["type"] != "http.disconnect":
            pass
