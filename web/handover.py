"""Forwards requests for the page to the process that has it.

Gradio keeps its sessions in memory. With several worker processes only one serves the page: it
listens on a Unix socket in addition to the common port, in a folder that no other user can enter,
and the other workers forward to it whatever they do not serve. Between replicas, a browser's
requests are forwarded to the one that its page was loaded from (`web/round_robin.py`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self, cast

import httpx2
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

CALLER = b"x-router-caller"
"""The original caller: a JSON list of host, port, scheme and version of HTTP."""
REPLICA = b"x-router-replica"
"""The replica that a request was forwarded to."""

CONNECT_S = 2.0
HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
FORWARDED = (b"x-forwarded-for", b"x-forwarded-proto")
MISDIRECTED = 421

Headers = list[tuple[bytes, bytes]]


class HandedOn:
    """ASGI application: forwards to another process and streams its response back.

    While that process is being replaced, the response is one sentence and 503 with Retry-After; to
    another replica it is 421, which then serves the caller itself.
    """

    def __init__(
        self, base: str, transport: httpx2.AsyncHTTPTransport, mark: Callable[[Scope], Headers]
    ) -> None:
        """`mark` gives the headers that are added, for the receiver to know whom to serve."""
        self._base = base
        self._mark = mark
        # No client around it: that would keep one caller's cookies and send them with the requests
        # of all others, and ask for a compression that the caller may not know.
        self._transport = transport

    @classmethod
    def to_worker(cls, path: Path) -> Self:
        """To the page's worker of this service, at its Unix socket."""
        transport = httpx2.AsyncHTTPTransport(uds=str(path), limits=_limits())
        return cls("http://page", transport, _as_caller)

    @classmethod
    def to_replica(cls, url: str, name: str) -> Self:
        """To another service of this kind: it answers 421 unless it is called `name`."""
        transport = httpx2.AsyncHTTPTransport(limits=_limits())
        return cls(url, transport, partial(_as_proxy, name))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not await self.reach(scope, receive, send):
            message = "the page's process is being replaced: try again in a moment"
            forwarded = any(name == REPLICA for name, _ in scope["headers"])
            status = MISDIRECTED if forwarded else 503
            refusal = JSONResponse({"detail": message}, status, {"retry-after": "1"})
            await refusal(scope, receive, send)

    async def reach(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Forward the request; False if no process was there for it, and nothing was sent."""
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
        return asking.cancelled() or asking.result()

    async def close(self) -> None:
        await self._transport.aclose()

    async def _ask(self, request: Request, body_read: asyncio.Event, send: Send) -> bool:
        raw_path = cast("bytes", request.scope.get("raw_path") or request.url.path.encode())
        target = raw_path + (b"?" + query if (query := request.scope["query_string"]) else b"")
        content = None
        if has_body(request):
            content = _body(request, body_read)
        else:
            body_read.set()
        outgoing = httpx2.Request(
            request.method,
            self._base,
            headers=self._headers(request.scope),
            content=content,
            # The target is no part of the address: none can lead to another host, or be rewritten.
            extensions={
                "target": target,
                "timeout": httpx2.Timeout(None, connect=CONNECT_S).as_dict(),
            },
        )
        started = False
        try:
            answer = await self._transport.handle_async_request(outgoing)
            try:
                if answer.status_code == MISDIRECTED:
                    return False
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
            return False
        except ClientDisconnect:
            return True  # in the middle of its body: nobody is left to be answered
        return True

    def _headers(self, scope: Scope) -> Headers:
        marks = self._mark(scope)
        left_out = HOP_BY_HOP | {CALLER} | {name for name, _ in marks}
        return [*((k, v) for k, v in scope["headers"] if k not in left_out), *marks]


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
                host, port, scheme, version = json.loads(callers[0])
                scope |= {"client": (host, port) if host else None, "scheme": scheme}
                scope["http_version"] = version
        await self.app(scope, receive, send)


def has_body(request: Request) -> bool:
    """Whether the request comes with a body."""
    return bool({"content-length", "transfer-encoding"} & set(request.headers))


def _limits() -> httpx2.Limits:
    return httpx2.Limits(max_connections=None, max_keepalive_connections=20)


def _as_caller(scope: Scope) -> Headers:
    host, port = scope.get("client") or (None, None)
    said = [host, port, scope["scheme"], scope.get("http_version", "1.1")]
    return [(CALLER, json.dumps(said).encode())]


def _as_proxy(name: str, scope: Scope) -> Headers:
    """As any proxy says who called: the receiver believes it as far as it believes proxies."""
    host, _ = scope.get("client") or ("unknown", 0)
    said = zip(FORWARDED, (host.encode(), scope["scheme"].encode()), strict=True)
    return [(REPLICA, name.encode()), *said]


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
