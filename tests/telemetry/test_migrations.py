"""Logs of other versions: older ones open and keep everything, newer ones are left alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import MetaData, func, inspect, select, text

from config.errors import StorageError
from telemetry import migrations, tables
from telemetry.database import Database, locate
from telemetry.log import InteractionLog
from tests.telemetry.rows import attempt, request

DUMPS = Path(__file__).parent / "data"
"""Logs as the first version (commit 1e84af1) wrote them; see `telemetry.migrations`."""


@pytest.fixture
def first_version(database_url: str | None, tmp_path: Path) -> str | None:
    """The address of a log that the first version wrote."""
    if database_url is None:
        with sqlite3.connect(tmp_path / "router.db") as old:
            old.executescript((DUMPS / "log-v1.sqlite.sql").read_text())
        old.close()
        return None
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute((DUMPS / "log-v1.postgresql.sql").read_bytes())
    return database_url


@pytest.fixture
def old_tables(first_version: str | None, tmp_path: Path) -> MetaData:
    """The tables as the first version knows them, read before anything is migrated."""
    database = Database(*locate(first_version, tmp_path))
    known = MetaData()
    with database.reading.connect() as connection:
        known.reflect(connection)
    database.close()
    return known


async def test_a_log_of_the_first_version_opens_and_keeps_everything(
    first_version: str | None, tmp_path: Path
) -> None:
    log = InteractionLog.open(first_version, tmp_path, text=True)
    rows = {row["request_id"]: row for row in await log.recent(None)}
    assert set(rows) == {"plain", "late", "liked", "failed"}
    assert rows["liked"]["liked"] is True
    assert rows["liked"]["prompt"] == "Ein Gedicht über Öl, bitte"
    assert rows["liked"]["attempts"][0]["text"] == "Zeile 'eins'\nZeile zwei"
    assert rows["liked"]["cost_usd"] is None
    late, fallback = rows["late"]["attempts"]
    assert (late["outcome"], late["revision"], late["ttft_ms"]) == ("late", 1, 4100.0)
    assert fallback["served"] is True
    assert rows["failed"]["error"] == "no provider answered (model-a: 503)"
    assert (rows["plain"]["session_id"], rows["plain"]["stopped"]) == (None, None)
    assert (await log.audits("reranked"))[0]["detail"]["why"] == "cheaper"
    assert (await log.hints())["wait:model-a"]["wait_s"] == 12.5
    seen, cursor = await log.since(None)
    assert {row["request_id"] for row in seen} == set(rows)
    await log.write(request("new", session_id="s", stopped=False, reason="it was late"), [])
    rows_since, _ = await log.since(cursor)
    assert [row["request_id"] for row in rows_since] == ["new"]
    assert rows_since[0]["reason"] == "it was late"
    await log.close()


async def test_a_log_that_was_brought_up_to_date_is_like_a_new_one(
    first_version: str | None, database_url: str | None, tmp_path: Path, request: Any
) -> None:
    newly = tmp_path / "new"
    url = None if database_url is None else request.getfixturevalue("postgres").database()
    (await _opened(first_version, tmp_path), await _opened(url, newly))
    assert _shape(first_version, tmp_path) == _shape(url, newly)


async def _opened(url: str | None, folder: Path) -> None:
    await InteractionLog.open(url, folder).close()


def _shape(url: str | None, folder: Path) -> dict[str, Any]:
    """Tables, columns and indexes; SQLite keeps a column's first type, and never looks at it."""
    database = Database(*locate(url, folder))
    found: dict[str, Any] = {}
    with database.reading.connect() as connection:
        look = inspect(connection)
        for name in look.get_table_names():
            columns = {
                c["name"]: ("" if url is None else str(c["type"]), c["nullable"])
                for c in look.get_columns(name)
            }
            found[name] = (columns, sorted(str(i["name"]) for i in look.get_indexes(name)))
        found["steps"] = connection.execute(select(tables.steps.c.step)).scalars().all()
    database.close()
    return found


async def test_two_versions_work_side_by_side(
    first_version: str | None, old_tables: MetaData, tmp_path: Path
) -> None:
    log = InteractionLog.open(first_version, tmp_path)
    await log.write(request("ours"), [attempt()])
    old = Database(*locate(first_version, tmp_path))
    interactions, attempts = old_tables.tables["interactions"], old_tables.tables["attempts"]
    with old.writing.begin() as connection:
        theirs = {c.name: request("theirs").get(c.name) for c in interactions.c}
        theirs |= {"evidence": "{}", "changed": old.stamp(connection)}
        connection.execute(interactions.insert(), theirs)
        row = {**attempt(), "request_id": "theirs", "at": 5.0, "revision": 0}
        connection.execute(attempts.insert(), row)
        seen = connection.execute(select(interactions)).mappings().all()
    old.close()
    assert {row["request_id"] for row in seen} > {"ours", "theirs", "liked"}
    assert (await log.get("theirs"))["attempts"][0]["provider"] == "model-a"
    await log.close()
    assert _version(first_version, tmp_path) == 1  # what the first version asks at its start


def _version(url: str | None, folder: Path) -> int | None:
    database = Database(*locate(url, folder))
    with database.reading.connect() as connection:
        found = connection.execute(select(func.max(tables.schema.c.version))).scalar()
    database.close()
    return found


def _ahead(url: str | None, folder: Path, steps: int) -> None:
    """As a program leaves the log that knows so many steps more."""
    database = Database.open(url, folder)
    with database.writing.begin() as connection:
        for n in range(1, steps + 1):
            step = migrations.STEPS[-1].number + n
            connection.execute(tables.steps.insert().values(step=step, at=1.0))
            connection.execute(text(f"ALTER TABLE interactions ADD COLUMN later_{n} TEXT"))
            connection.execute(text(f"ALTER TABLE attempts ADD COLUMN later_{n} INTEGER DEFAULT 7"))
    database.close()


async def test_a_log_one_step_ahead_is_worked_with(
    database_url: str | None, tmp_path: Path
) -> None:
    _ahead(database_url, tmp_path, 1)
    log = InteractionLog.open(database_url, tmp_path)
    await log.write(request("r1"), [attempt()])
    assert (await log.get("r1"))["attempts"][0]["provider"] == "model-a"
    await log.close()


def test_a_log_several_steps_ahead_is_left_alone(database_url: str | None, tmp_path: Path) -> None:
    _ahead(database_url, tmp_path, 2)
    with pytest.raises(StorageError, match=r"2 steps .* ahead of this program: start the newer"):
        Database.open(database_url, tmp_path)


async def test_text_of_any_length_is_taken_alike(first_version: str | None, tmp_path: Path) -> None:
    """Upstreams choose a finish reason, callers a request's id."""
    log = InteractionLog.open(first_version, tmp_path)
    name = "r" * 300
    long = {c.name: c.name * 60 for c in tables.attempts.c if c.type.python_type is str}
    await log.write(request(name), [attempt(**{**long, "request_id": name})])
    (stored,) = (await log.get(name))["attempts"]
    assert stored["finish_reason"] == "finish_reason" * 60
    assert log.problem is None
    await log.close()


async def test_what_was_taught_is_kept(first_version: str | None, tmp_path: Path) -> None:
    log = InteractionLog.open(first_version, tmp_path)
    await log.teach({"id": "a", "at": 1.0, "category": "creative", "prompt": "Rhyme on rain"})
    await log.teach({"id": "b", "at": 2.0, "category": "general", "request_id": "plain"})
    await log.teach({"id": "a", "at": 3.0, "category": "technical", "detail": {"by": "hand"}})
    assert [(t["id"], t["category"], t["detail"]) for t in await log.taught()] == [
        ("b", "general", {}),
        ("a", "technical", {"by": "hand"}),
    ]
    await log.close()
