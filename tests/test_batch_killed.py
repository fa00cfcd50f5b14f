"""SIGKILL loses no line of a batch and has none answered twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.batch import run
from tests.conftest import SettingsFor
from tests.telemetry.conftest import postgres
from tests.telemetry.postgres import PostgresServer

__all__ = ["postgres"]


@pytest.fixture
def folder(settings_for: SettingsFor, tmp_path: Path) -> Path:
    """Where the classifier need not be trained."""
    settings_for()
    return tmp_path


async def test_two_thousand_lines_are_answered_once_by_two_replicas_that_are_killed_three_times(
    folder: Path, postgres: PostgresServer
) -> None:
    report = await run(folder, 2_000, 3, database_url=postgres.database())
    assert report.wrong == []
    assert report.kills == 3


async def test_a_lone_process_that_was_killed_goes_on_with_its_batch(folder: Path) -> None:
    report = await run(folder, 150, 1, processes=1)
    assert report.wrong == []
    assert report.kills == 1
