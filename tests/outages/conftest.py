"""The servers that fail: PostgreSQL and Chroma."""

from __future__ import annotations

from tests.telemetry.conftest import postgres
from tests.vectorstore.conftest import chroma_server

__all__ = ["chroma_server", "postgres"]
