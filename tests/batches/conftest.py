"""Batches on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batches.database import BatchDatabase
from tests.telemetry.conftest import database_url, postgres

__all__ = ["database_url", "postgres"]


@pytest.fixture
def database(database_url: str | None, tmp_path: Path) -> Iterator[BatchDatabase]:
    """An empty one, once of each kind."""
    opened = BatchDatabase(database_url, tmp_path)
    yield opened
    opened.close()
