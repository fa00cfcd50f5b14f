"""Who answers which part: nothing twice, nothing lost, on both databases."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from batches.database import BatchDatabase
from batches.files import PART_LINES, Files, Upload
from batches.queue import PartKey, Queue, Result, Work
from batches.store import Batches, Order
from batches.tables import batches, parts
from config.errors import UsageError

LONG = 3_600.0


def upload(owner: str = "me") -> Upload:
    return Upload(owner, "in.jsonl", "batch", keep_s=LONG, stored_bytes=10**9)


def left(database: BatchDatabase, lines: int, owner: str = "me", window_s: float = LONG) -> str:
    """A batch of so many lines that may be answered."""
    data = b"".join(json.dumps({"custom_id": f"n{i}"}).encode() + b"\n" for i in range(lines))
    return begun(database, data, owner, window_s)


def begun(database: BatchDatabase, data: bytes, owner: str = "me", window_s: float = LONG) -> str:
    file = Files(database).add(upload(owner), io.BytesIO(data))
    store = Batches(database)
    row = store.create(Order(owner, "/v1/x", file["id"], "1h", window_s, LONG, None))
    store.begin(row["id"])
    return str(row["id"])


def answers(work: Work, failed: bool = False) -> list[Result]:
    return [Result(work.key, n, failed, b'{"answer": %d}' % n) for n, _ in work.lines]


def let_time_pass(database: BatchDatabase, table: Any = parts) -> None:
    """As if every holder had been silent for long."""
    with database.write() as connection:
        connection.execute(update(table).values(held_until=0.0))


def test_a_part_is_given_to_one_of_many_who_ask_at_once(database: BatchDatabase) -> None:
    left(database, 12 * PART_LINES)
    together = threading.Barrier(4)

    def take(queue: Queue) -> list[PartKey]:
        together.wait()
        found = []
        while (work := queue.claim(LONG, None)) is not None:
            found.append(work.key)
        return found

    with ThreadPoolExecutor(4) as pool:
        taken = [
            key for found in pool.map(take, [Queue(database) for _ in range(4)]) for key in found
        ]
    assert sorted(key.part for key in taken) == list(range(12))


def test_what_a_silent_holder_had_passes_on_without_what_it_had_done(
    database: BatchDatabase,
) -> None:
    left(database, 5)
    first, second = Queue(database), Queue(database)
    work = first.claim(LONG, None)
    assert work is not None
    assert second.claim(LONG, None) is None
    first.record(answers(work)[:2])
    let_time_pass(database)
    rest = second.claim(LONG, None)
    assert rest is not None
    assert [n for n, _ in rest.lines] == [2, 3, 4]
    assert first.renew(LONG, [work.key]) == {}
    assert second.renew(LONG, [work.key]) == {work.key: True}


def test_the_first_result_of_a_line_stands(database: BatchDatabase) -> None:
    batch = left(database, 1)
    queue, other = Queue(database), Queue(database)
    work = queue.claim(LONG, None)
    assert work is not None
    let_time_pass(database)
    assert other.claim(LONG, None) is not None
    assert queue.record(answers(work))
    assert other.record([Result(work.key, 0, True, b"{}")])
    store = Batches(database)
    assert store.settle() == [batch]
    row, counts = store.get("me", batch)
    assert counts == {"total": 1, "completed": 1, "failed": 0}
    file = Files(database).get("me", row["output_file_id"])
    assert b"".join(Files(database).pieces(file)) == b'{"answer": 0}\n'


def test_parts_that_are_given_back_are_free_at_once(database: BatchDatabase) -> None:
    left(database, 3)
    work = Queue(database).claim(LONG, None)
    assert work is not None
    Queue(database).release([work.key])  # another's: it stays
    assert Queue(database).claim(LONG, None) is None
    holder = Queue(database)
    let_time_pass(database)
    assert holder.claim(LONG, None) is not None
    holder.release([work.key])
    assert Queue(database).claim(LONG, None) is not None


def test_batches_take_turns(database: BatchDatabase) -> None:
    large, small = left(database, 3 * PART_LINES), left(database, 2 * PART_LINES)
    queue = Queue(database)
    order = [queue.claim(LONG, None) for _ in range(5)]
    names = [work.key.batch_id for work in order if work is not None]
    assert names == [large, small, large, small, large]


def test_a_batch_whose_key_was_taken_away_is_not_gone_on_with(database: BatchDatabase) -> None:
    batch = left(database, 3, owner="gone")
    queue = Queue(database)
    assert queue.claim(LONG, {"me"}) is None
    Batches(database).cancel("gone", batch)  # but it comes to its end
    assert queue.claim(LONG, {"me"}) is None
    assert Batches(database).settle() == [batch]


def test_a_cancelled_batch_comes_to_its_end_whatever_its_lines_are(database: BatchDatabase) -> None:
    deep = b"[" * 1_000 + b"]" * 1_000
    batch = begun(database, b'{"custom_id": "deep", "body": %s}' % deep)
    Batches(database).cancel("me", batch)
    assert Queue(database).claim(LONG, None) is None
    assert Batches(database).settle() == [batch]


def test_an_expired_batch_is_closed_with_an_error_for_each_line(database: BatchDatabase) -> None:
    batch = left(database, 2 * PART_LINES + 1)
    queue = Queue(database)
    work = queue.claim(LONG, None)
    assert work is not None
    with database.write() as connection:
        connection.execute(update(batches).values(expires_at=0.0))
    assert queue.renew(LONG, [work.key]) == {work.key: False}
    queue.record(answers(work)[:7])
    queue.release([work.key])
    assert queue.claim(LONG, None) is None
    store = Batches(database)
    store.settle()
    row, counts = store.get("me", batch)
    assert row["status"] == "expired"
    assert counts == {"total": 101, "completed": 7, "failed": 94}
    errors = b"".join(Files(database).pieces(Files(database).get("me", row["error_file_id"])))
    found = [json.loads(line) for line in errors.splitlines()]
    assert [e["custom_id"] for e in found] == [f"n{i}" for i in range(7, 101)]


def test_only_one_process_checks_a_file_and_another_goes_on_when_it_died(
    database: BatchDatabase,
) -> None:
    file = Files(database).add(upload(), io.BytesIO(b"{}\n"))
    store = Batches(database)
    made = store.create(Order("me", "/v1/x", file["id"], "1h", LONG, LONG, None))
    assert store.claim_unchecked("a", LONG) is not None
    assert store.claim_unchecked("b", LONG) is None
    let_time_pass(database, batches)
    assert store.claim_unchecked("b", LONG) is not None
    store.begin(made["id"])
    store.begin(made["id"])  # the first one was only slow
    store.fail(made["id"], [])
    row, counts = store.get("me", made["id"])
    assert (row["status"], counts["total"]) == ("in_progress", 1)


def test_old_files_and_batches_go_with_all_that_they_have(database: BatchDatabase) -> None:
    batch = left(database, 1)
    queue, store, files = Queue(database), Batches(database), Files(database)
    work = queue.claim(LONG, None)
    assert work is not None
    queue.record(answers(work))
    store.settle()
    files.sweep()
    store.sweep()
    assert len(files.page("me", None, 9, None, newest=True)[0]) == 2
    with database.write() as connection:
        connection.execute(update(batches).values(expires_at=0.0, keep_s=0.0))
    store.sweep()
    assert store.page("me", 9, None) == ([], False)
    (row,) = files.page("me", None, 9, None, newest=True)[0]
    assert (row["purpose"], batch != row["id"]) == ("batch", True)


def test_an_endless_line_is_refused_and_leaves_nothing(database: BatchDatabase) -> None:
    files = Files(database)
    endless = io.BytesIO(b"{}\n" + b"x" * (16 * 2**20 + 1))
    with pytest.raises(UsageError, match="line 2 is longer than 16 MB"):
        files.add(upload(), endless)
    assert files.page("me", None, 9, None, newest=True) == ([], False)


class Overtaken(io.BytesIO):
    """An upload during which another one comes and is stored."""

    def __init__(self, data: bytes, other: Callable[[], object]) -> None:
        super().__init__(data)
        self._other: Callable[[], object] | None = other

    def readline(self, size: int | None = -1, /) -> bytes:
        other, self._other = self._other, None
        if other is not None:
            other()
        return super().readline(size)


def test_uploads_at_once_share_one_quota(database: BatchDatabase) -> None:
    kept, small = Files(database), replace(upload(), stored_bytes=1_500)
    first = Overtaken(b"x" * 1_000, lambda: kept.add(small, io.BytesIO(b"y" * 1_000)))
    with pytest.raises(UsageError, match="quota"):
        kept.add(small, first)
    stored, _ = kept.page("me", None, 10, None, newest=True)
    assert [row["bytes"] for row in stored] == [1_000]


def test_a_part_that_its_holder_does_not_know_of_is_not_held_for_ever(
    database: BatchDatabase,
) -> None:
    left(database, 1)
    queue = Queue(database)
    work = queue.claim(0.0, None)  # the commit's answer was lost on its way, say
    assert work is not None
    assert queue.renew(LONG, []) == {}
    assert Queue(database).claim(LONG, None) is not None


def test_a_part_of_which_every_line_has_a_result_is_done(database: BatchDatabase) -> None:
    batch = left(database, 1)
    queue = Queue(database)
    work = queue.claim(LONG, None)
    assert work is not None
    queue.record(answers(work))
    with database.write() as connection:
        connection.execute(update(parts).values(done=False, held_until=0.0))
    assert queue.claim(LONG, None) is None
    assert Batches(database).settle() == [batch]


def test_the_lines_that_wait_are_those_without_a_result(database: BatchDatabase) -> None:
    assert Queue(database).waiting() == 0
    left(database, PART_LINES + 10)
    queue = Queue(database)
    assert queue.waiting() == PART_LINES + 10
    work = queue.claim(LONG, None)
    assert work is not None
    queue.record(answers(work)[:20])
    assert queue.waiting() == PART_LINES - 10
    queue.record(answers(work, failed=True))
    assert queue.waiting() == 10
