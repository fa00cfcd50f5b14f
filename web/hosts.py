"""The host names the service answers to, and the pages that may use it: the outermost layer.

On a loopback address, a foreign web page could act through this machine's browser: by a name of its
own that resolves to 127.0.0.1 (DNS rebinding), or by cross-site requests.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.models import Environment

if TYPE_CHECKING:
    from fastapi import FastAPI

LOOPBACK = "127.0.0.1"
API = ("/v1/", "/router/", "/health", "/ready", "/metrics", "/openapi.json")
"""The paths that ROUTER_CORS_ORIGINS opens: the page itself is for its own origin only."""

RATE_LIMIT = [f"x-ratelimit-{of}-requests" for of in ("limit", "remaining", "reset")]
READING = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def is_loopback(host: str) -> bool:
    """`localhost` or a loopback address."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback
    return False


@dataclass(frozen=True, slots=True)
class Names:
    """The accepted host names; `strict` is False if the service is open to other machines and no
    names are given, since its names are then unknown."""

    allowed: frozenset[str]
    strict: bool

    @classmethod
    def of(cls, environment: Environment, host: str) -> Names:
        allowed = {name.lower() for name in environment.allowed_hosts}
        open_to_all = environment.space_id is not None or not is_loopback(host)
        return cls(frozenset(allowed | {host.lower()}), bool(allowed) or not open_to_all)

    def serves(self, name: str | None) -> bool:
        if not self.strict:
            return name is not None
        return name is not None and (is_loopback(name) or name in self.allowed)


def name_of(netloc: str) -> str | None:
    """The host's name in lower case without its port, or None if it is invalid."""
    with suppress(ValueError):
        parts = urlsplit(f"//{netloc}")
        _ = parts.port
        if parts.netloc == netloc and "@" not in netloc and not netloc.endswith(":"):
            return (parts.hostname or "").removesuffix(".") or None
    return None


class HostCheck:
    """ASGI middleware: a request under a foreign name, or from a foreign page to change something,
    is refused in one sentence, and has no effect."""

    def __init__(self, app: ASGIApp, names: Names, origins: Collection[str] = ()) -> None:
        self.app = app
        self.names = names
        self.origins = frozenset(origins)
        self.api = CORSMiddleware(
            app,
            allow_origins=[*origins],
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=["x-request-id", "retry-after", *RATE_LIMIT],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = self._wrong_host(scope, headers) or self._wrong_origin(scope, headers)
        if problem is not None:
            await _refuse(problem, scope, receive, send)
            return
        opened = self.origins and scope["path"].startswith(API)
        await (self.api if opened else self.app)(scope, receive, _with_headers(send))

    def _serves(self, scope: Scope, name: str | None) -> bool:
        """Also the address that the connection came to, by which probes and scrapers ask: a page
        that calls the service by it was loaded from it."""
        own = scope.get("server")
        reached = own is not None and name is not None and _same_address(name, own[0])
        return reached or self.names.serves(name)

    def _wrong_host(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        given = headers.getlist("host")
        if len(given) == 1 and self._serves(scope, name_of(given[0])):
            return None
        if len(given) != 1:
            return 421, "a request needs one Host header: a loopback name or ROUTER_ALLOWED_HOSTS"
        return 421, (
            f"the service is not served under the name “{given[0][:100]}”:"
            " put it into ROUTER_ALLOWED_HOSTS"
        )

    def _wrong_origin(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Only writing requests are refused: without CORS a foreign page cannot read a response."""
        origins = headers.getlist("origin")
        if scope["type"] == "http" and scope["method"] in READING:
            return None
        if all(self._may_write(scope, origin, headers["host"]) for origin in origins):
            return None
        sentence = (
            f"a page of “{origins[0][:100]}” may not use the service: put its host name into"
            " ROUTER_ALLOWED_HOSTS, or its origin into ROUTER_CORS_ORIGINS for the API"
        )
        return 403, sentence

    def _may_write(self, scope: Scope, origin: str, host: str) -> bool:
        if origin in self.origins and scope["path"].startswith(API):
            return True
        scheme, _, netloc = origin.partition("://")
        if scheme not in ("http", "https"):
            return False
        if not self.names.strict:
            return netloc == host
        return self._serves(scope, name_of(netloc))


def _same_address(name: str, own: str) -> bool:
    """Whether both are the same IP address, written as IPv4 or within IPv6."""
    with suppress(ValueError):
        one, other = ipaddress.ip_address(name), ipaddress.ip_address(own)
        mapped = getattr(one, "ipv4_mapped", None), getattr(other, "ipv4_mapped", None)
        return (mapped[0] or one) == (mapped[1] or other)
    return False


def guard(app: FastAPI, environment: Environment, host: str = LOOPBACK) -> None:
    """Put the check around the whole application, unless it is already there."""
    standing: list[object] = [one.cls for one in app.user_middleware]
    if HostCheck not in standing:
        names = Names.of(environment, host)
        app.add_middleware(HostCheck, names=names, origins=environment.cors_origins)


def _with_headers(send: Send) -> Send:
    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sender


def with_cookie(send: Send, name: str, value: str) -> Send:
    """Send the response with a cookie that scripts and foreign pages do not get."""

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            cookie = f"{name}={value}; Path=/; HttpOnly; SameSite=Lax"
            MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return sender


async def _refuse(problem: tuple[int, str], scope: Scope, receive: Receive, send: Send) -> None:
    """In OpenAI's format for everyone: nothing is known about a caller under a wrong name."""
    status, message = problem
    if scope["type"] != "http":
        await send({"type": "websocket.close", "code": 1008, "reason": ""})
        return
    kinds = {"type": "invalid_request_error", "param": None, "code": "not_allowed"}
    body = {"error": {"message": message, **kinds}}
    headers = {"connection": "close", "x-request-id": uuid.uuid4().hex}
    await JSONResponse(body, status, headers)(scope, receive, _with_headers(send))
