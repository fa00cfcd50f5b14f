"""What the log does when its disk, its file, its server or its process fails."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from config.errors import StorageError
from telemetry import tables
from telemetry.database import Database
from telemetry.log import InteractionLog
from tests.telemetry.postgres import PostgresServer
from tests.telemetry.rows import attempt, request

ROOT = Path(__file__).parents[2]

WRITES_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from telemetry.console import configure
from telemetry.log import InteractionLog
from tests.telemetry.rows import attempt, request

configure()

async def write(log, worker):
    for n in range(100_000):
        name = f"{sys.argv[2]}-{worker}-{n}"
        await log.write(request(name), [attempt(0), attempt(1, role="fallback", served=False)])
        while log.backlog.in_memory:  # the disk stalls
            await asyncio.sleep(0.01)
        print(name, flush=True)

async def main():
    log = InteractionLog.open(None, Path(sys.argv[1]))
    await asyncio.gather(*(write(log, worker) for worker in range(16)))

asyncio.run(main())
"""

FILLS_THE_DISK = """
import asyncio, resource, sys
from contextlib import suppress
from pathlib import Path
from config.errors import StorageError
from telemetry.console import configure
from telemetry.log import InteractionLog
from tests.telemetry.rows import attempt, request

configure()

async def main():
    log = InteractionLog.open(None, Path(sys.argv[1]), text=True)
    await log.write(request("before"), [attempt()])
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    for n in range(200):
        with suppress(StorageError):  # the spool's disk is full too: the row waits in memory
            await log.write(request(f"filling-{n}", answer="x" * 10_000), [attempt()])
    print(log.problem)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await log.write(request("after"), [attempt()])
    while log.problem or sum(log.backlog[:2]):
        await asyncio.sleep(0.01)
    print(len(await log.recent(None)), log.backlog)
    await log.close()

asyncio.run(main())
"""


def test_every_acknowledged_write_survives_sigkill(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for run in ("first", "second", "third"):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITES_UNTIL_KILLED, str(tmp_path), run],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert writer.stdout is not None
        for _ in range(150):
            acknowledged.append(writer.stdout.readline().strip())
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.wait()
        writer.stdout.close()

    async def stored() -> dict[str, int]:
        log = InteractionLog.open(None, tmp_path)
        rows = await log.recent(None)
        await log.close()
        return {row["request_id"]: len(row["attempts"]) for row in rows}

    rows = asyncio.run(stored())
    assert len(acknowledged) >= 450
    assert [name for name in acknowledged if rows.get(name) != 2] == []


def test_a_full_disk_is_said_and_writing_resumes_when_there_is_space(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FILLS_THE_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    problem, stored = run.stdout.splitlines()
    assert "cannot be written" in problem
    assert "rows wait for it" in problem
    assert str(tmp_path / "router.db") in problem
    assert stored == "202 Backlog(spooled=0, in_memory=0, lost=0)"


@pytest.mark.parametrize("damage", ["garbage", "torn page"])
async def test_a_corrupt_file_is_reported_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "router.db"
    if damage == "garbage":
        path.write_bytes(b"these are not the pages you are looking for" * 100)
    else:
        log = InteractionLog.open(None, tmp_path)
        await asyncio.gather(*(log.write(request(f"r{n}"), [attempt()]) for n in range(200)))
        await log.close()
        pages = bytearray(path.read_bytes())
        pages[4096 : len(pages) // 2] = os.urandom(len(pages) // 2 - 4096)
        path.write_bytes(pages)
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"router\.db is corrupt.*left as it is"):
        InteractionLog.open(None, tmp_path)
    assert path.read_bytes() == before


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageError, match=r"data/router cannot be created.*--data"):
        InteractionLog.open(None, tmp_path / "data" / "router")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write in")
def test_a_data_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(StorageError, match=r"/proc/self/router\.db cannot be opened.*writable"):
        InteractionLog.open(None, Path("/proc/self"))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://user@host/name", "names mysql: only sqlite and postgresql"),
        ("no address", "is not an address"),
        ("postgres://me:secret@127.0.0.1:1/name", "cannot be used .* check ROUTER_DATABASE_URL"),
    ],
)
def test_a_database_that_cannot_be_reached_is_one_sentence(
    tmp_path: Path, url: str, says: str
) -> None:
    with pytest.raises(StorageError, match=says) as raised:
        InteractionLog.open(url, tmp_path)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_log_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    database = Database.open(None, tmp_path)
    with database.writing.begin() as connection:
        connection.execute(tables.schema.insert().values(version=99))
    database.close()
    with pytest.raises(StorageError, match="schema version 99"):
        Database.open(None, tmp_path)


async def test_the_log_outlives_its_server(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.database()
    log = InteractionLog.open(url, tmp_path)
    await log.write(request("before"), [attempt()])
    other = InteractionLog.open(postgres.maintenance(), tmp_path)
    with other._database.reading.begin() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": make_url(url).database},
        )
    await log.write(request("after"), [attempt()])
    assert {row["request_id"] for row in await log.recent()} == {"before", "after"}
    await log.close()
    await other.close()


async def test_a_commit_that_overtakes_another_hides_nothing(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """Replica B commits while A's earlier transaction still runs: A's row must come later."""
    url = postgres.database()
    reader = InteractionLog.open(url, tmp_path)
    slow = Database.open(url, tmp_path)
    with slow.writing.begin() as connection:
        row = tables.encode(tables.interactions, request("slow"), text=False)  # type: ignore[arg-type]
        connection.execute(tables.interactions.insert(), row | {"changed": slow.stamp(connection)})
        await reader.write(request("fast"), [attempt()])
        rows, cursor = await reader.since(None)
        assert [r["request_id"] for r in rows] == ["fast"]
        rows, cursor = await reader.since(cursor)
        assert rows == []
    rows, _ = await reader.since(cursor)
    assert [r["request_id"] for r in rows] == ["slow"]
    slow.close()
    await reader.close()
