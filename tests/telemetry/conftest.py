"""The log on both databases."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from telemetry.log import InteractionLog
from tests.telemetry.postgres import PostgresServer, postgres_bin


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running server; skipped where its programs are not installed, unless CI promises them."""
    folder = postgres_bin()
    if folder is None:
        reason = "PostgreSQL's server programs (initdb, pg_ctl) are not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    server = PostgresServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
async def log(database_url: str | None, tmp_path: Path) -> AsyncIterator[InteractionLog]:
    """An empty log, once on each database."""
    opened = InteractionLog.open(database_url, tmp_path)
    yield opened
    await opened.close()
