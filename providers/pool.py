"""The connections of one event loop to one host, shared by all its providers."""

from __future__ import annotations

import functools
import ssl
import urllib.request
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from config.models import Host

CONNECT_S = 5.0
CONNECTIONS = 1000
"""High enough that calls which hang cannot keep a healthy one waiting (clients default to 50 to
100); admission control keeps the real number far below."""
KEEPALIVE_PLAIN_S = 4.0
"""Below the 5 s after which uvicorn (vLLM) and Node close an idle connection: a call written into
a connection that is just being closed would look like a failing provider."""
KEEPALIVE_TLS_S = 20.0
"""Hosted services keep idle connections for a minute and more, and a TLS handshake is dear."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a model is served, and the key for it."""

    base_url: str
    key: str | None = None


class Endpoint(Protocol):
    """Knows the address of a model, which for the embedded one exists only once it runs."""

    async def address(self) -> Address:
        """Raises ProviderError when there is none."""
        ...

    def refused(self) -> bool:
        """The last address refused a connection; True if `address` may know another one."""
        ...


@dataclass(frozen=True, slots=True)
class FixedEndpoint:
    """The address in the configuration."""

    host: Host

    async def address(self) -> Address:
        assert self.host.url is not None, "the host is disabled"
        key = self.host.key.get_secret_value().strip() if self.host.key else None
        return Address(self.host.url, key)

    def refused(self) -> bool:
        return False


@dataclass(eq=False)
class Pool:
    """Created and used within one event loop; reopens by itself after `close`."""

    host_name: str
    host: Host
    refusals: dict[str, frozenset[str]] = field(default_factory=dict)
    """Parameters that a model here was found to refuse; see `openai_chat`."""
    _session: aiohttp.ClientSession | None = None

    def session(self, url: str) -> aiohttp.ClientSession:
        """The open session; no cookies, no `.netrc`, no time limit but for connecting."""
        if self._session is None or self._session.closed:
            secure = url.startswith("https:")
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS,
                keepalive_timeout=KEEPALIVE_TLS_S if secure else KEEPALIVE_PLAIN_S,
                ssl=_tls() if secure else True,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
                proxy=_proxy(url),
            )
        return self._session

    async def close(self) -> None:
        """End every call in flight and close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


@functools.cache
def _tls() -> ssl.SSLContext:
    """The system's certificates and Mozilla's: some Python builds come without any of their own."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _proxy(url: str) -> str | None:
    """The operating system's proxy for that address; none for this machine itself.

    Asked once for each session: aiohttp's `trust_env` would ask in a thread at every request.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or host == "::1" or host.startswith("127."):
        return None
    if urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)
