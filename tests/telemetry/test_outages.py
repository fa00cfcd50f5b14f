"""The log while its database does not take rows: nothing waits for it, nothing is lost."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from zlib import crc32

import psycopg
import pytest

from config.errors import NotFoundError, StorageError
from telemetry import log as log_module
from telemetry import writer as writer_module
from telemetry.database import CONNECT_S, Database, locate
from telemetry.keeper import Keeper
from telemetry.log import InteractionLog
from telemetry.spool import Spool, jobs_of, line_of
from telemetry.transaction import Job
from telemetry.writer import COMMIT_S, LOOK_S, SILENT_S, SPOOL_S
from tests.telemetry.postgres import PostgresServer
from tests.telemetry.rows import attempt, request

ROOT = Path(__file__).parents[2]
UNREACHABLE = "postgres://router@127.0.0.1:9/log"


@contextmanager
def paused(server: PostgresServer) -> Iterator[None]:
    server.pause()
    try:
        yield
    finally:
        server.resume()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another process holds SQLite's write lock: commits are as slow as that takes."""
    with closing(sqlite3.connect(folder / "router.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def until(condition: Callable[[], object]) -> None:
    """A disk that others use may stall for seconds: what is waited for is the event."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what the log's own threads do can only be watched
            await asyncio.sleep(0.01)


async def until_well(log: InteractionLog) -> None:
    await until(lambda: log.problem is None and not sum(log.backlog[:2]))


async def until_direct(log: InteractionLog) -> None:
    """Rows go to the log itself again."""
    for n in range(100):
        if await log.write(request(f"after{n}"), [attempt()]):
            return
        await until_well(log)
    raise AssertionError("rows still go to the spool")


async def test_a_silent_database_delays_no_row_and_loses_none(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    log = InteractionLog.open(postgres.database(), tmp_path)
    await log.write(request("before"), [attempt()])
    took: list[float] = []
    with paused(postgres):
        for n in range(6):
            began = time.monotonic()
            assert not await log.write(request(f"r{n}"), [attempt(outcome="timed_out")])
            took.append(time.monotonic() - began)
        await log.revise(attempt(request_id="r0", at=1.0, outcome="late", revision=1))
        await log.feedback("r1", True)
        await log.feedback("before", False)
        await until(lambda: "not answered" in (log.problem or ""))
        with pytest.raises(StorageError, match="does not answer"):
            await log.recent()
    assert min(took[1:]) < COMMIT_S, "then rows go to the disk at once"
    await until_well(log)
    rows = {row["request_id"]: row for row in await log.recent(None)}
    assert set(rows) == {"before", *(f"r{n}" for n in range(6))}
    assert all(len(row["attempts"]) == 1 for row in rows.values())
    assert rows["r0"]["attempts"][0]["outcome"] == "late"
    assert (rows["r1"]["liked"], rows["before"]["liked"]) == (True, False)
    await until_direct(log)
    await log.close()
    assert not list((tmp_path / "spool").iterdir())


def test_a_silent_log_is_named_within_two_seconds() -> None:
    """The idle thread looks, and then it is silent for so long; `/health` is asked for nothing."""
    assert LOOK_S + SILENT_S < 2.0


async def test_a_database_that_is_not_there_at_the_start_is_waited_for_behind_the_service(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.database()
    with paused(postgres):
        began = time.monotonic()
        log = InteractionLog.open(url, tmp_path, wait_s=0.1)
        assert time.monotonic() - began < CONNECT_S, "it was not waited for"
        assert not await log.write(request("r1"), [attempt()])
        with pytest.raises(StorageError):
            await log.recent()
    await until_well(log)
    assert [row["request_id"] for row in await log.recent()] == ["r1"]
    await log.close()


async def test_rows_wait_in_a_data_folder_that_is_new(tmp_path: Path) -> None:
    log = InteractionLog.open(UNREACHABLE, tmp_path / "new" / "data", wait_s=0)
    assert not await log.write(request("r1"), [attempt()])
    await until(lambda: log.backlog == (1, 0, 0))
    await log.close()


async def test_a_refused_database_is_named_and_asked_again(tmp_path: Path) -> None:
    log = InteractionLog.open(UNREACHABLE, tmp_path, wait_s=1.0)
    assert not await log.write(request("r1"), [attempt()])
    await until(lambda: "127.0.0.1:9/log cannot be used" in (log.problem or ""))
    await until(lambda: log.backlog.spooled == 1)
    assert "1 rows wait" in (log.problem or "")
    await log.close()


def test_a_newer_log_is_refused_by_the_service_too(tmp_path: Path) -> None:
    from telemetry import tables

    database = Database.open(None, tmp_path)
    with database.writing.begin() as connection:
        connection.execute(tables.schema.insert().values(version=99))
    database.close()
    with pytest.raises(StorageError, match="schema version 99"):
        InteractionLog.open(None, tmp_path, wait_s=5)


async def test_rows_wait_while_another_holds_the_write_lock(tmp_path: Path) -> None:
    log = InteractionLog.open(None, tmp_path)
    with locked(tmp_path):
        for n in range(5):
            assert not await log.write(request(f"r{n}"), [attempt()])
        await until(lambda: log.backlog.spooled == 5)
    await until_well(log)
    assert len(await log.recent(None)) == 5
    await log.close()


KILLED = """
import asyncio, sys
from pathlib import Path
from telemetry.console import configure
from telemetry.log import InteractionLog
from tests.telemetry.rows import attempt, request

configure()

async def main():
    log = InteractionLog.open(sys.argv[2], Path(sys.argv[1]), wait_s=0)
    async def write(worker):
        for n in range(10_000):
            name = f"{worker}-{n}"
            await log.write(request(name), [attempt(0), attempt(1, role="fallback", served=False)])
            await log.feedback(name, True)
            while log.backlog.in_memory:  # the disk stalls
                await asyncio.sleep(0.01)
            print("safe", name, flush=True)
    await asyncio.gather(*(write(w) for w in range(8)))

asyncio.run(main())
"""


def written_until_killed(folder: Path) -> list[str]:
    """What a process acknowledged whose database was down when it was killed."""
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), UNREACHABLE],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(100)]
    writer.send_signal(signal.SIGKILL)
    lines += list(writer.stdout)
    writer.wait()
    writer.stdout.close()
    return [x.split()[1] for x in lines if x.startswith("safe ") and x.endswith("\n")]


async def test_sigkill_while_the_database_is_down_loses_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    acknowledged = written_until_killed(tmp_path)
    assert len(acknowledged) >= 90
    log = InteractionLog.open(None, tmp_path)
    rows = {row["request_id"]: row for row in await log.recent(None)}
    assert [n for n in acknowledged if n not in rows or len(rows[n]["attempts"]) != 2] == []
    assert [n for n in acknowledged if rows[n]["liked"] is not True] == []
    await log.close()
    assert not list((tmp_path / "spool").iterdir())


async def test_rows_that_are_handed_on_twice_are_there_once(tmp_path: Path) -> None:
    """The process died after the commit and before the segment was deleted."""
    log = InteractionLog.open(UNREACHABLE, tmp_path, wait_s=0)
    await log.write(request("r1"), [attempt(outcome="timed_out")])
    await log.revise(attempt(request_id="r1", at=1.0, outcome="late", revision=2))
    await log.close()
    (folder,) = (tmp_path / "spool").iterdir()
    shutil.copytree(folder, tmp_path / "kept")
    for _ in range(2):
        if not folder.exists():
            shutil.copytree(tmp_path / "kept", folder)
        log = InteractionLog.open(None, tmp_path)
        (row,) = await log.recent(None)
        assert [a["outcome"] for a in row["attempts"]] == ["late"]
        await log.close()


async def test_the_spool_of_a_process_that_lives_is_left_to_it(tmp_path: Path) -> None:
    down = InteractionLog.open(UNREACHABLE, tmp_path, wait_s=0)
    await down.write(request("r1"), [attempt()])
    other = InteractionLog.open(None, tmp_path)
    assert await other.recent() == []
    await other.close()
    await until(lambda: down.backlog.spooled == 1)
    await down.close()


async def test_a_removed_data_folder_is_said_and_rows_wait_until_it_is_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    log = InteractionLog.open(None, data)
    await log.write(request("before"), [attempt()])
    await until_well(log)
    shutil.rmtree(data)
    await until(lambda: log.problem)
    assert f"{data} was removed" in (log.problem or "")
    with pytest.raises(StorageError, match="waits in memory"):
        await log.write(request("meanwhile"), [attempt()])
    assert log.backlog == (0, 1, 0)
    data.mkdir()
    await until_well(log)
    assert [row["request_id"] for row in await log.recent()] == ["meanwhile"]
    await log.close()


class StalledSpool(Spool):
    """On a disk that takes nothing until it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.goes_on = threading.Event()

    def append(self, lines: Sequence[bytes]) -> None:
        self.goes_on.wait()
        super().append(lines)


async def test_a_disk_that_stalls_delays_a_row_once_and_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = StalledSpool(tmp_path / "spool")
    monkeypatch.setattr(log_module, "Keeper", lambda _: Keeper(spool))
    log = InteractionLog.open(UNREACHABLE, tmp_path, wait_s=0)
    took = []
    for n in range(6):
        began = time.monotonic()
        assert not await log.write(request(f"r{n}"), [attempt()])
        took.append(time.monotonic() - began)
    assert took[0] >= SPOOL_S
    assert min(took[1:]) < SPOOL_S, "nobody else waits for it"
    assert log.backlog == (0, 6, 0)
    await until(lambda: "disk that they wait for does not answer" in (log.problem or ""))
    spool.goes_on.set()
    await until(lambda: log.backlog == (6, 0, 0))
    assert "disk" not in (log.problem or "")
    await log.close()


async def test_what_has_no_room_is_counted_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "Keeper", lambda spool: Keeper(Spool(tmp_path / "s", 2_000), 2))
    log = InteractionLog.open(UNREACHABLE, tmp_path, wait_s=0)
    safe, refused = 0, 0
    for n in range(8):
        try:
            await log.write(request(f"r{n}"), [attempt()])
            safe += 1
        except StorageError:
            refused += 1
    assert safe >= 1
    assert log.backlog == (safe, 2, refused - 2)
    assert "is full" in (log.problem or "")
    assert f"{refused - 2} rows are lost" in (log.problem or "")
    await log.close()


def test_a_damaged_line_costs_that_line_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    jobs = [Job(feedback=[{"request_id": f"r{n}", "liked": True}]) for n in range(3)]
    spool.append([line_of(job) for job in jobs])
    segment = spool.oldest()
    assert segment is not None
    lines = segment.path.read_bytes().splitlines(keepends=True)
    segment.path.write_bytes(lines[0] + lines[1].replace(b"r1", b"rX") + lines[2] + b"00000000 {")
    assert [job.feedback[0]["request_id"] for job in jobs_of(segment.path)] == ["r0", "r2"]
    spool.close()


async def test_a_server_that_became_read_only_is_left_for_the_one_that_is_not(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """As a failover does: a connection keeps what its server was when it was made."""
    url = postgres.database()
    log = InteractionLog.open(url, tmp_path)
    with psycopg.connect(url, autocommit=True) as other:
        name = other.info.dbname
        other.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await log.write(request("r1"), [attempt()])
        await until(lambda: "read-only transaction" in (log.problem or ""))
        other.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = off')
    await until_well(log)
    assert [row["request_id"] for row in await log.recent()] == ["r1"]
    await log.close()


def damage(folder: Path) -> list[Path]:
    files = [path for path in folder.iterdir() if path.name.startswith("router.db")]
    for path in files:
        with path.open("r+b") as file:
            file.write(b"\xff" * 4_096)
    return files


async def test_a_log_that_is_damaged_while_it_serves_is_named_with_its_mend(tmp_path: Path) -> None:
    log = InteractionLog.open(None, tmp_path)
    await log.write(request("before"), [attempt()])
    files = damage(tmp_path)
    await until(lambda: "move it away" in (log.problem or ""))
    await log.write(request("meanwhile"), [attempt()])
    for path in files:
        path.unlink(missing_ok=True)
    await until_well(log)
    assert [row["request_id"] for row in await log.recent()] == ["meanwhile"]
    await log.close()


async def left_by_another(folder: Path, *rows: str) -> Path:
    """A segment of a process that is gone, with these requests."""
    log = InteractionLog.open(UNREACHABLE, folder, wait_s=0)
    for name in rows:
        await log.write(request(name), [attempt()])
    await until(lambda: log.backlog == (len(rows), 0, 0))
    await log.close()
    (segment,) = (folder / "spool").rglob("*.jobs")
    return segment


def with_checksum(body: bytes) -> bytes:
    return b"%08x %s\n" % (crc32(body), body)


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\x00 no line at all\n",
        b"00000000 {}\n",
        with_checksum(b"[1]"),
        with_checksum(b"{"),
        with_checksum(b'{"of_a_newer_program": [{}]}'),
        with_checksum(b'{"interactions": [{"request_id": "x", "of_a_newer_program": 1}]}'),
        with_checksum(b'{"attempts": [{}]}'),
    ],
)
async def test_what_cannot_be_taken_from_the_spool_is_counted_and_set_aside(
    tmp_path: Path, line: bytes
) -> None:
    segment = await left_by_another(tmp_path, "r1", "r2")
    first, second = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(first + line + second + b"torn by a power cut")
    log = InteractionLog.open(None, tmp_path)
    await until_well(log)
    assert {row["request_id"] for row in await log.recent(None)} == {"r1", "r2"}
    assert log.backlog == (0, 0, 1)
    await until_direct(log)
    await log.close()
    assert line in segment.with_suffix(".damaged").read_bytes()
    assert not segment.exists()


async def test_a_segment_that_cannot_be_read_is_left_and_hides_no_other(tmp_path: Path) -> None:
    segment = await left_by_another(tmp_path, "r1")
    segment.with_name("000000000.jobs").mkdir()
    log = InteractionLog.open(None, tmp_path)
    await until_well(log)
    assert [row["request_id"] for row in await log.recent(None)] == ["r1"]
    await log.close()
    assert segment.with_name("000000000.jobs").exists()


async def test_rows_of_a_process_that_is_killed_go_to_the_log_by_one_that_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "ADOPT_S", 0.0)
    log = InteractionLog.open(None, tmp_path)
    await log.write(request("before"), [attempt()])
    acknowledged = await asyncio.to_thread(written_until_killed, tmp_path)
    async with asyncio.timeout(60):
        while await log.count() <= len(acknowledged):  # noqa: ASYNC110 - it takes them by itself
            await asyncio.sleep(0.05)
    rows = {row["request_id"] for row in await log.recent(None)}
    assert rows >= {"before", *acknowledged}
    await log.close()


async def test_feedback_on_nothing_is_still_not_found_when_the_log_is_well(tmp_path: Path) -> None:
    log = InteractionLog.open(None, tmp_path)
    with pytest.raises(NotFoundError):
        await log.feedback("nobody", True)
    await log.close()


async def test_closing_does_not_wait_for_a_silent_database(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.database()
    log = InteractionLog.open(url, tmp_path)
    with paused(postgres):
        await log.write(request("r1"), [attempt()])
        async with asyncio.timeout(60):
            await log.close()
    log = InteractionLog.open(url, tmp_path)
    assert [row["request_id"] for row in await log.recent()] == ["r1"]
    await log.close()


def test_a_wrong_password_is_no_outage(tmp_path: Path, postgres: PostgresServer) -> None:
    url, _ = locate(postgres.database(), tmp_path)
    wrong = url.set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(StorageError, match="does not exist"):
        InteractionLog.open(wrong, tmp_path, wait_s=5)
