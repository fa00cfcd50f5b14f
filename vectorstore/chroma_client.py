"""A client of a Chroma server with a time limit on every call.

Chroma's own client sets no timeout before its constructor has received its first replies, so that
it waits forever for a server that falls silent just then; and it never closes its connections.
Importing this takes as long as importing Chroma: a second.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
from chromadb.api import ServerAPI
from chromadb.api.client import Client
from chromadb.auth import UserIdentity
from chromadb.config import Settings


class BoundedClient(Client):
    """Raises what Chroma raises. `close` when done; it closes itself if it cannot be
    constructed."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """`timeout_s` bounds each step of each call."""
        self._timeout_s = timeout_s
        self._sessions: list[httpx.Client] = []
        place = urlsplit(url)
        secure = place.scheme == "https"
        try:
            super().__init__(
                settings=Settings(
                    anonymized_telemetry=False,
                    chroma_api_impl="chromadb.api.fastapi.FastAPI",
                    chroma_server_host=place.hostname or "localhost",
                    chroma_server_http_port=place.port or (443 if secure else 8000),
                    chroma_server_ssl_enabled=secure,
                    # Reading certificates takes 50 ms, twice, at each attempt during an outage.
                    chroma_server_ssl_verify=None if secure else False,
                )
            )
        except BaseException:
            self._disconnect()
            raise

    def get_user_identity(self) -> UserIdentity:
        """The constructor's first request to the server."""
        self._bound(self._server)
        return super().get_user_identity()

    def close(self) -> None:
        super().close()
        self._disconnect()

    def _validate_tenant_database(self, tenant: str, database: str) -> None:
        """The constructor's second request, in a session of its own."""
        self._bound(self._admin_client._server)  # type: ignore[attr-defined]
        super()._validate_tenant_database(tenant, database)

    def _bound(self, server: ServerAPI) -> None:
        session = getattr(server, "_session", None)
        assert isinstance(session, httpx.Client)  # of Chroma's HTTP client, in the pinned range
        session.timeout = httpx.Timeout(self._timeout_s)
        self._sessions.append(session)

    def _disconnect(self) -> None:
        for session in self._sessions:
            session.close()
