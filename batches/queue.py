"""Leases of a batch's parts to the processes that answer them.

A holder renews its leases every few seconds. If it is killed, its leases expire, and another
process claims the parts and sends the lines without results. PostgreSQL gives each part to one
claimer by `FOR UPDATE SKIP LOCKED`, SQLite by having one writer at a time. Results are stored line
by line under their position, so that the first result of a line is kept.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from typing import NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, RowMapping, func, select, tuple_, update

from batches.database import BatchDatabase
from batches.files import lines_of
from batches.store import OPEN
from batches.tables import batches, file_parts, parts, results


class PartKey(NamedTuple):
    """Identifies a part of a batch."""

    batch_id: str
    part: int


class Work(NamedTuple):
    """A claimed part: its lines without results, by their position in it."""

    key: PartKey
    owner: str
    lines: tuple[tuple[int, bytes], ...]


class Result(NamedTuple):
    """The stored answer of one line."""

    key: PartKey
    line: int
    failed: bool
    body: bytes


ENDS = {
    "batch_cancelled": "the batch was cancelled before this line was asked",
    "batch_expired": "the completion window was over before this line was asked",
    "internal_error": "the service failed at this line; its log has the details",
}


class Queue:
    """The parts, from one process's view: `holder` names it. Blocks: call it in a thread."""

    def __init__(self, database: BatchDatabase) -> None:
        self._database = database
        self.holder = uuid.uuid4().hex

    def claim(self, lease_s: float, owners: Collection[str] | None) -> Work | None:
        """The next part without a holder, of the batch whose turn it is.

        Only of batches of these owners; None: of all. Parts of batches that were cancelled or have
        expired are closed on the way.
        """
        while True:
            with self._database.write() as connection:
                now = self._database.now(connection)
                found = self._free(connection, now, owners)
                if found is None:
                    return None
                batch, part = found
                key = PartKey(batch["id"], part["part"])
                lines = _left(connection, batch, key)
                if not lines:
                    done = update(parts).where(*_of(key)).values(done=True)
                    connection.execute(done)
                    continue
                if (code := _end_of(batch, now)) is None:
                    self._take(connection, key, part, now, lease_s)
                    return Work(key, batch["owner"], lines)
                self._close(connection, batch, key, lines, code, now)

    def renew(self, lease_s: float, keys: Collection[PartKey]) -> dict[PartKey, bool]:
        """Renew the leases of these parts; for each that is still held, whether its batch
        continues."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            named = tuple_(parts.c.batch_id, parts.c.part).in_(keys)
            mine = (parts.c.holder == self.holder, parts.c.done.is_(False), named)
            connection.execute(update(parts).where(*mine).values(held_until=now + lease_s))
            held = select(parts.c.batch_id, parts.c.part, batches.c.status, batches.c.expires_at)
            rows = connection.execute(
                held.join(batches, batches.c.id == parts.c.batch_id).where(*mine)
            ).mappings()
            return {PartKey(r["batch_id"], r["part"]): _end_of(r, now) is None for r in rows}

    def release(self, keys: Collection[PartKey]) -> None:
        """Release parts, so that any process may claim them at once."""
        with self._database.write() as connection:
            for key in keys:
                here = (*_of(key), parts.c.holder == self.holder)
                free = {"holder": None, "held_until": 0.0}
                connection.execute(update(parts).where(*here).values(**free))

    def record(self, found: Sequence[Result]) -> bool:
        """Store results in one transaction; returns whether they complete a part."""
        with self._database.write() as connection:
            _keep(self._database, connection, found)
            done = [_count(connection, key) for key in sorted({r.key for r in found})]
            return any(done)

    def waiting(self) -> int:
        """How many lines of unfinished batches have no result."""
        left = func.sum(parts.c.lines - parts.c.completed - parts.c.failed)
        going = parts.c.batch_id == batches.c.id
        wanted = select(func.coalesce(left, 0)).where(going, batches.c.status.in_(OPEN))
        with self._database.read() as connection:
            return int(connection.execute(wanted.where(parts.c.done.is_(False))).scalar_one())

    def _free(
        self, connection: Connection, now: float, owners: Collection[str] | None
    ) -> tuple[RowMapping, RowMapping] | None:
        going = select(batches).where(batches.c.status.in_(OPEN)).order_by(batches.c.turn)
        for batch in connection.execute(going).mappings().all():
            if owners is not None and batch["owner"] not in owners and not _end_of(batch, now):
                continue  # its key was removed
            wanted = select(parts).where(
                parts.c.batch_id == batch["id"], parts.c.done.is_(False), parts.c.held_until < now
            )
            one = wanted.order_by(parts.c.part).limit(1).with_for_update(skip_locked=True)
            part = connection.execute(one).mappings().first()
            if part is not None:
                return batch, part
        return None

    def _take(
        self, connection: Connection, key: PartKey, part: RowMapping, now: float, lease_s: float
    ) -> None:
        held = {"holder": self.holder, "held_until": now + lease_s, "taken": part["taken"] + 1}
        connection.execute(update(parts).where(*_of(key)).values(**held))
        connection.execute(update(batches).where(batches.c.id == key.batch_id).values(turn=now))

    def _close(
        self,
        connection: Connection,
        batch: RowMapping,
        key: PartKey,
        lines: Sequence[tuple[int, bytes]],
        code: str,
        now: float,
    ) -> None:
        """Lines that were not sent get an error instead of an answer."""
        if code == "batch_expired" and batch["expired_at"] is None:
            of = batches.c.id == key.batch_id
            connection.execute(update(batches).where(of).values(expired_at=now))
        _keep(self._database, connection, [unasked(key, *line, code) for line in lines])
        _count(connection, key)


def _end_of(batch: RowMapping, now: float) -> str | None:
    """Why the batch's remaining lines are no longer sent, or None."""
    if batch["status"] != "in_progress":
        return "batch_cancelled"
    return "batch_expired" if now >= batch["expires_at"] else None


def unasked(key: PartKey, line: int, raw: bytes, code: str) -> Result:
    """An error instead of an answer; `code` is one of `ENDS`."""
    body = {
        "id": f"batch_req_{uuid.uuid4().hex}",
        "custom_id": orjson.loads(raw)["custom_id"],
        "response": None,
        "error": {"code": code, "message": ENDS[code]},
    }
    return Result(key, line, failed=True, body=json.dumps(body).encode())


def _left(connection: Connection, batch: RowMapping, key: PartKey) -> tuple[tuple[int, bytes], ...]:
    """The lines of a part without results."""
    of = (file_parts.c.file_id == batch["input_file_id"], file_parts.c.part == key.part)
    body = bytes(connection.execute(select(file_parts.c.body).where(*of)).scalar_one())
    kept = select(results.c.line).where(
        results.c.batch_id == key.batch_id, results.c.part == key.part
    )
    done = set(connection.execute(kept).scalars())
    return tuple((n, raw) for n, raw in lines_of(body) if n not in done)


def _keep(database: BatchDatabase, connection: Connection, found: Sequence[Result]) -> None:
    if found:
        rows = [
            {"batch_id": r.key.batch_id, "part": r.key.part, "line": r.line}
            | {"failed": r.failed, "body": r.body}
            for r in found
        ]
        connection.execute(database.insert(results).on_conflict_do_nothing(), rows)


def _count(connection: Connection, key: PartKey) -> bool:
    """Update the part's counts; returns whether it is done."""
    of = (results.c.batch_id == key.batch_id, results.c.part == key.part)
    counted = select(results.c.failed, func.count()).where(*of).group_by(results.c.failed)
    part = select(parts.c.lines).where(*_of(key)).with_for_update()
    lines = connection.execute(part).scalar_one()
    by = {bool(failed): int(number) for failed, number in connection.execute(counted)}
    done = sum(by.values()) >= int(lines)
    values = {"completed": by.get(False, 0), "failed": by.get(True, 0), "done": done}
    connection.execute(update(parts).where(*_of(key)).values(**values))
    return done


def _of(key: PartKey) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (parts.c.batch_id == key.batch_id, parts.c.part == key.part)
