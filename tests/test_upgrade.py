"""Two versions serve over one PostgreSQL while one replaces the other, and no request is lost."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.upgrade import ROOT, run, tree_of
from tests.telemetry.conftest import postgres
from tests.telemetry.postgres import PostgresServer

__all__ = ["postgres"]

BEFORE = "HEAD~1"


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The files of the commit before."""
    known = subprocess.run(["git", "rev-parse", "--verify", BEFORE], cwd=ROOT, capture_output=True)
    if known.returncode:
        pytest.skip("the commit before is not there: this is a shallow clone, or no clone at all")
    return tree_of(BEFORE, tmp_path / "before")


async def test_a_replica_of_the_commit_before_is_replaced_under_load_without_a_lost_request(
    before: Path, tmp_path: Path, postgres: PostgresServer
) -> None:
    report = await run(tmp_path, before, postgres.database(), replicas=1, back=False)
    assert report.wrong == []
    assert report.by_version["before"] >= 12
    assert report.by_version["now"] >= 12
    assert report.batch == "completed 60"
