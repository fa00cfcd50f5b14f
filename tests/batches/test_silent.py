"""A database that is silent keeps no caller and no end of the process waiting."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from api.batch_worker import BatchStore
from batches.database import BatchDatabase
from config.errors import StorageError
from tests.telemetry.postgres import PostgresServer


async def test_a_silent_database_is_an_error_in_time_and_no_reason_to_stay(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    store = BatchStore(BatchDatabase(postgres.database(), tmp_path))
    assert await store.run(store.batches.settle) == []
    postgres.pause()
    try:
        with pytest.raises(StorageError, match="do not answer"):
            await store.run(store.batches.settle, within_s=0.05)
        await asyncio.wait_for(asyncio.to_thread(store.close), 5)
    finally:
        postgres.resume()
