"""Keeps a browser at the replica that its page was loaded from, behind any load balancer.

The page gives its browser a cookie with its replica's name. A replica that receives a request with
another's name forwards it there, as long as that replica is running; otherwise it serves the page
itself, which takes up the stored conversation like after a restart.
"""

from __future__ import annotations

import socket

from sqlalchemy.engine import make_url
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.models import Environment
from runtime.replicas import Pages
from web.handover import MISDIRECTED, REPLICA, HandedOn, has_body
from web.hosts import is_loopback, with_cookie

COOKIE = "router-replica"


class RoundRobin:
    """ASGI middleware around the page, or around the way to its worker."""

    def __init__(self, app: ASGIApp, pages: Pages) -> None:
        self.app = app
        self._pages = pages
        self._ways: dict[str, HandedOn] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = self._pages.own
        if scope["type"] != "http" or own is None:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        meant = request.headers.get(REPLICA.decode())
        if meant is not None:
            await self._forwarded(meant == own, scope, receive, send)
            return
        kept = request.cookies.get(COOKIE)
        way = self._way(kept)
        if way is None:
            await self.app(scope, receive, _named(own, kept, request, send))
        elif has_body(request):
            await way(scope, receive, send)
        elif not await way.reach(scope, receive, send):
            await self.app(scope, _nothing_then(receive), _named(own, kept, request, send))

    async def aclose(self) -> None:
        """Close the connections to other replicas."""
        ways, self._ways = self._ways, {}
        for way in ways.values():
            await way.close()

    async def _forwarded(self, rightly: bool, scope: Scope, receive: Receive, send: Send) -> None:
        """A request that another replica took for this one's: it is not forwarded again."""
        if rightly:
            await self.app(scope, receive, send)
        else:
            refusal = JSONResponse({"detail": "this is another replica"}, MISDIRECTED)
            await refusal(scope, receive, send)

    def _way(self, name: str | None) -> HandedOn | None:
        """To the replica that has the browser's page; None if that is this one, or gone."""
        if name is None or name == self._pages.own or name not in self._pages.others:
            return None
        if name not in self._ways:
            self._ways[name] = HandedOn.to_replica(self._pages.others[name], name)
        return self._ways[name]


def own_address(environment: Environment, host: str, port: int) -> str | None:
    """Where other replicas reach this one; None if it has no others.

    ROUTER_REPLICA_URL if it is set. Else, with a database server, the address that this machine
    has towards it, or the loopback one if the service is served on that alone.
    """
    if environment.replica_url is not None:
        return environment.replica_url
    if environment.database_url is None or environment.database_url.startswith("sqlite"):
        return None
    if is_loopback(host):
        return f"http://{_bracketed(host)}:{port}"
    named = make_url(environment.database_url).host
    own = host if host not in ("0.0.0.0", "::") else _address_towards(named)  # noqa: S104
    return f"http://{_bracketed(own)}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _address_towards(host: str | None) -> str:
    """This machine's address on the way to `host`; no packet is sent for it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as way:
            way.connect(address)
            return str(way.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def _named(own: str, kept: str | None, request: Request, send: Send) -> Send:
    """Give the browser this replica's name with the page."""
    if request.scope["path"] != "/" or kept == own:
        return send
    return with_cookie(send, COOKIE, own)


def _nothing_then(receive: Receive) -> Receive:
    """An empty body, which an earlier reader may have taken, and what comes after it."""
    begun = False

    async def again() -> Message:
        nonlocal begun
        if not begun:
            begun = True
            return {"type": "http.request", "body": b"", "more_body": False}
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return again
