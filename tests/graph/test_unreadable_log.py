"""A log that cannot be read costs what was learned, never an answer."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from config.errors import StorageError
from graph.router import Router
from tests.conftest import SettingsFor
from tests.upstream import Upstream


async def test_the_first_request_after_the_start_is_answered_too(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    settings = settings_for(upstream)
    async with Router(settings) as router:
        with closing(sqlite3.connect(settings.data_dir / "router.db")) as database:
            database.execute("DROP TABLE interactions")
        assert (await router.answer("Is everything well?")).success
        with pytest.raises(StorageError):
            await router.priorities()
