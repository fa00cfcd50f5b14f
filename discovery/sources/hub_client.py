"""The Hugging Face Hub through its own client library, with bounds on time and on the hosts
contacted.

The library retries for minutes, waits as long as a 429 demands, follows every redirect and any
`next` page, and uses one global session. This module replaces that session by one that behaves the
same except inside `bounded`: there each request has a timeout, a failure is final and becomes one
sentence, and no request goes to a host that the user did not configure.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from discovery.sources.source import RefusedError, SourceError

if TYPE_CHECKING:
    import httpx2

_RESET = re.compile(r";\s*t=(\d+)")
"""Seconds until the hub's rate limit resets: `"api";r=0;t=55` (draft-ietf-httpapi-ratelimit)."""
REQUEST_S = 10.0
CONNECT_S = 4.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the requests of one task may do."""

    endpoint: str
    until: float
    """Unix time after which no request is started."""
    elsewhere: bool = False
    """Whether a redirect may lead to another public host: files are on a CDN, the API is not."""


_bounds: ContextVar[Bounds | None] = ContextVar("hub_bounds", default=None)


@dataclass(frozen=True, slots=True)
class HubPlace:
    """The hub and the login there; None: the library's own default."""

    url: str | None = None
    token: SecretStr | None = None

    @property
    def endpoint(self) -> str:
        """The address without a trailing slash."""
        from huggingface_hub import constants

        return (self.url or str(constants.ENDPOINT)).rstrip("/")

    @property
    def key(self) -> str | None:
        return self.token.get_secret_value().strip() if self.token else None


@contextmanager
def bounded(bounds: Bounds) -> Iterator[None]:
    """Bound the hub requests of this task or thread (and of threads that inherit its context)."""
    _install()
    token = _bounds.set(bounds)
    try:
        yield
    finally:
        _bounds.reset(token)


def _install() -> None:
    """Install our session in the library, again if other code has replaced it meanwhile."""
    import httpx2
    from huggingface_hub import get_session, set_client_factory

    theirs = get_session()
    if getattr(theirs, "bounds_requests", False):
        return
    hooks = theirs.event_hooks["request"]

    class Session(httpx2.Client):
        bounds_requests = True

        def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            bounds = _bounds.get()
            if bounds is None:
                return super().send(request, **options)
            _limit(request, bounds)
            try:
                response = super().send(request, **options)
            except httpx2.TransportError as error:
                raise SourceError(f"hub: {_host(bounds.endpoint)} {_why(error)}") from error
            if response.status_code == 429 or response.status_code >= 500:
                response.close()
                raise SourceError(_refusal(response, bounds))
            return response

    def hook(request: httpx2.Request) -> None:
        bounds = _bounds.get()
        if bounds is not None:
            check_address(str(request.url), bounds)

    set_client_factory(
        lambda: Session(
            event_hooks={"request": [*hooks, hook]}, follow_redirects=True, timeout=None
        )
    )


def _limit(request: httpx2.Request, bounds: Bounds) -> None:
    left = bounds.until - time.time()
    if left <= 0:
        raise SourceError(f"hub: {_host(bounds.endpoint)} was too slow")
    whole = min(REQUEST_S, left)
    request.extensions["timeout"] = {
        "connect": min(CONNECT_S, left),
        "read": whole,
        "write": whole,
        "pool": whole,
    }


def check_address(url: str, bounds: Bounds) -> None:
    """Raise RefusedError unless `url` may be requested; every redirect is checked here too.

    The endpoint's own origin is always allowed. Another one only if `elsewhere` is set, and then
    not a private address, unless the endpoint itself is private.
    """
    if _origin(url) == _origin(bounds.endpoint):
        return
    where = f"hub: {_host(bounds.endpoint)} led to {_host(url)}"
    if not bounds.elsewhere:
        raise RefusedError(f"{where}, which is not the configured hub; refused")
    if _private(url) and not _private(bounds.endpoint):
        raise RefusedError(f"{where}, an address of a private network; refused")
    if urlsplit(url).scheme != "https" and urlsplit(bounds.endpoint).scheme == "https":
        raise RefusedError(f"{where} without encryption; refused")


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return parts.scheme, (parts.hostname or "").lower(), port


def _private(url: str) -> bool:
    """Whether any address of the host is private. A name that does not resolve counts as public: a
    proxy resolves it, or the connection fails."""
    host = urlsplit(url).hostname or ""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return any(not ipaddress.ip_address(a.split("%")[0]).is_global for a in found)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _why(error: Exception) -> str:
    import httpx2

    if isinstance(error, httpx2.TimeoutException):
        return "was too slow"
    if isinstance(error, httpx2.ConnectError):
        return "cannot be reached"
    return f"broke off ({type(error).__name__})"


def _refusal(response: httpx2.Response, bounds: Bounds) -> str:
    host = f"hub: {_host(bounds.endpoint)}"
    if response.status_code != 429:
        return f"{host} fails (status {response.status_code})"
    wait = response.headers.get("retry-after", "")
    if limit := _RESET.search(response.headers.get("ratelimit", "")):
        wait = limit[1]
    return f"{host} rate-limits this client" + (f": try again in {wait} s" if wait else "")
