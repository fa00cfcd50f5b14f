"""What was saved comes back: log, batches, uploaded documents; in a folder and in PostgreSQL."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from app import main
from batches.database import BatchDatabase
from batches.files import Files, Upload
from telemetry.log import InteractionLog
from tests.conftest import SettingsFor
from tests.telemetry.conftest import postgres
from tests.telemetry.postgres import PostgresServer
from tests.telemetry.rows import attempt, request

__all__ = ["postgres"]

UPLOAD = Upload("local", "in.jsonl", "batch", keep_s=3_600.0, stored_bytes=10**6)


@pytest.fixture
def data(settings_for: SettingsFor) -> Path:
    return settings_for().data_dir


@pytest.fixture
def document(data: Path) -> Path:
    """One that was uploaded, and its passages."""
    made = data / "documents" / "kettle.md"
    made.parent.mkdir(parents=True)
    made.write_text("# Kettle\n\nThe brass kettle on shelf nine whistles in B flat.\n")
    return made


def run(data: Path, *arguments: str) -> int:
    config = str(data.parent / "config")
    return main([*arguments, "--config", config, "--data", str(data)])


async def fill(url: str | None, data: Path) -> str:
    """Five rows, feedback, and a file; its id."""
    log = InteractionLog.open(url, data)
    for number in range(5):
        await log.write(request(f"r{number}", at=1e9 + number), [attempt()])
    await log.feedback("r3", True)
    await log.close()
    database = BatchDatabase(url, data)
    made = Files(database).add(UPLOAD, io.BytesIO(b"{}\n"))
    database.close()
    return str(made["id"])


async def rows(url: str | None, data: Path) -> list[tuple[str, bool | None]]:
    log = InteractionLog.open(url, data)
    found = [(row["request_id"], row["liked"]) for row in await log.recent(None)]
    await log.close()
    return found


def holds(url: str | None, data: Path, file_id: str) -> bool:
    database = BatchDatabase(url, data)
    row = Files(database).get("local", file_id)
    found = b"".join(Files(database).pieces(row)) == b"{}\n"
    database.close()
    return found


def test_a_folder_comes_back_with_its_log_its_batches_and_its_documents(
    data: Path, document: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file_id = asyncio.run(fill(None, data))
    before = asyncio.run(rows(None, data))
    with closing(sqlite3.connect(data / "router.db")) as busy:  # a service that writes
        busy.execute("BEGIN IMMEDIATE")
        assert run(data, "--backup", str(tmp_path / "saved")) == 0
    printed = capsys.readouterr().out
    assert "batches.db, router.db, documents/" in printed
    shutil.rmtree(data)
    assert run(data, "--restore", str(tmp_path / "saved")) == 0
    assert "1 added" in capsys.readouterr().out
    assert document.exists()
    assert asyncio.run(rows(None, data)) == before
    assert holds(None, data, file_id)


def test_nothing_that_is_there_is_overwritten(
    data: Path, document: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved"
    assert run(data, "--restore", str(tmp_path)) == 2
    assert "was not made by --backup" in capsys.readouterr().err
    assert run(data, "--backup", str(saved)) == 0
    assert run(data, "--backup", str(saved)) == 2
    assert "is not empty" in capsys.readouterr().err
    assert run(data, "--restore", str(saved)) == 2
    assert "documents already exists" in capsys.readouterr().err


def test_a_damaged_copy_is_said_before_anything_is_brought_back(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(fill(None, data))
    saved = tmp_path / "saved"
    assert run(data, "--backup", str(saved)) == 0
    assert json.loads((saved / "backup.json").read_text())["holds"] == ["batches.db", "router.db"]
    whole = (saved / "router.db").read_bytes()
    (saved / "router.db").write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    shutil.rmtree(data)
    assert run(data, "--restore", str(saved)) == 1
    assert "router.db is damaged" in capsys.readouterr().err
    assert not (data / "batches.db").exists()


def test_a_dump_of_postgresql_comes_back_in_an_empty_database(
    postgres: PostgresServer, data: Path
) -> None:
    url, fresh = postgres.database(), postgres.database()
    file_id = asyncio.run(fill(url, data))
    dump = subprocess.run(["pg_dump", url], check=True, capture_output=True).stdout
    restore = ["psql", "--quiet", "--set", "ON_ERROR_STOP=1", fresh]
    subprocess.run(restore, input=dump, check=True, capture_output=True)
    assert asyncio.run(rows(fresh, data)) == asyncio.run(rows(url, data))
    assert holds(fresh, data, file_id)
