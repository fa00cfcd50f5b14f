"""The connections of one event loop to one host, shared by all its providers."""

from __future__ import annotations

import asyncio
import functools
import ssl
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from config.hosts import Host

CONNECT_S = 5.0
CONNECTIONS = 1000
"""High enough that hanging calls cannot block a healthy one (clients default to 50 to 100);
admission control keeps the real number far below."""
KEEPALIVE_S = 20.0
"""Less than hosted services allow an idle connection (a minute and more): a call on a connection
that is just being closed looks like a failing provider."""
KEEPALIVE_PLAIN_S = 3.0
"""Less than the five seconds of uvicorn (vLLM and most self-hosted servers). llama.cpp's server
closes a connection after every stream, whatever it announces, so none is kept there."""

LINGER_S = 0.25
"""How long a connection may take to end the body of a complete answer before it is closed."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is served, and its key."""

    base_url: str
    key: str | None = None


class Endpoint(Protocol):
    """Provides the address of a model; the embedded one has an address only while it runs."""

    @property
    def known(self) -> Address | None:
        """The address, if it is known without a lookup."""
        ...

    async def address(self) -> Address:
        """Raises ProviderError if there is none."""
        ...

    def refused(self) -> bool:
        """Report that the last address refused a connection; True if `address` may return another
        one."""
        ...


@dataclass(frozen=True, slots=True)
class FixedEndpoint:
    """The address in the configuration."""

    host: Host

    @property
    def known(self) -> Address:
        assert self.host.url is not None, "the host is disabled"
        return Address(self.host.url, self.host.key.get_secret_value() if self.host.key else None)

    async def address(self) -> Address:
        return self.known

    def refused(self) -> bool:
        return False


@dataclass(eq=False)
class Pool:
    """Created and used within one event loop; reopens by itself after `close`."""

    host_name: str
    host: Host
    refusals: dict[str, frozenset[str]] = field(default_factory=dict)
    """Parameters, and values of them, that a model here rejected; see `providers.request`."""
    think_first: set[str] = field(default_factory=set)
    """Models here whose last answer began inside a thought; see `MessageReader.thinks_first`."""
    unknown_words: set[str] = field(default_factory=set)
    """Unknown finish reasons of this host; see `providers.finish`."""
    on_close: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    _session: aiohttp.ClientSession | None = None
    _lingering: set[aiohttp.ClientResponse] = field(default_factory=set)

    def session(self, url: str) -> aiohttp.ClientSession:
        """The open session: no cookies, no `.netrc`, no time limit except for connecting."""
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=self._connector(url.startswith("https:")),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
                proxy=_proxy(url),
                trace_configs=[_noting_reuse()],
            )
        return self._session

    def _connector(self, secure: bool) -> aiohttp.TCPConnector:
        if secure:
            return aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE_S, ssl=tls())
        if self.host.kind == "llama_cpp":
            return aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True)
        return aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEPALIVE_PLAIN_S)

    def keep(self, response: aiohttp.ClientResponse) -> None:
        """Let a response that was read up to its end mark finish by itself.

        The last bytes of the body are often still on their way; aiohttp reuses the connection once
        they have arrived.
        """
        if not response.closed:
            self._lingering.add(response)
            asyncio.get_running_loop().call_later(LINGER_S, self._drop, response)

    def _drop(self, response: aiohttp.ClientResponse) -> None:
        self._lingering.discard(response)
        response.close()

    async def close(self) -> None:
        """Abort every call in flight and close the connections."""
        for response in list(self._lingering):
            self._drop(response)
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        closers, self.on_close = self.on_close, []
        for closer in closers:
            await closer()


@dataclass(slots=True)
class Sending:
    """Observes a request while it is sent: pass it as `trace_request_ctx`."""

    reused: bool = False
    """Whether it was sent on a connection that had served an earlier request."""


def _noting_reuse() -> aiohttp.TraceConfig:
    async def note(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.reused = True

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_reuseconn.append(note)
    return tracing


@functools.cache
def tls() -> ssl.SSLContext:
    """The system's certificates and Mozilla's: some Python builds come without any of their own.

    Reading them takes 50 ms, once.
    """
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _proxy(url: str) -> str | None:
    """The operating system's proxy for that address; none for loopback.

    Looked up once for each session: aiohttp's `trust_env` would look it up in a thread for every
    request, and read passwords from `.netrc`.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or host == "::1" or host.startswith("127."):
        return None
    if urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)
