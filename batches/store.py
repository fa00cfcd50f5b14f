"""Batches as their owners see them: created, inspected, cancelled. They are checked before they
begin, and completed once all their parts are done."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from sqlalchemy import Connection, Integer, RowMapping, cast, delete, func, literal, select, update

from batches.database import BatchDatabase, page
from batches.files import OUTPUT
from batches.tables import batches, file_parts, files, parts, results
from config.errors import NotFoundError, UsageError

OPEN = ("in_progress", "cancelling")
ENDED = ("completed", "failed", "expired", "cancelled")


class LineError(TypedDict):
    """What is wrong with a line of the input; the first is 1."""

    code: str
    line: int | None
    message: str
    param: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """A batch to create."""

    owner: str
    endpoint: str
    input_file_id: str
    completion_window: str
    window_s: float
    keep_s: float
    """Seconds for which its results are kept."""
    metadata: Mapping[str, str] | None


class Counts(TypedDict):
    """How many lines a batch has, and how many ended in each way."""

    total: int
    completed: int
    failed: int


class Batches:
    """The batches of all owners; each owner sees only its own. Blocks: call it in a thread."""

    def __init__(self, database: BatchDatabase) -> None:
        self._database = database

    def create(self, order: Order) -> RowMapping:
        """Raises UsageError if its file is not one of the owner's."""
        made = f"batch_{uuid.uuid4().hex}"
        of = (files.c.id == order.input_file_id, files.c.owner == order.owner)
        with self._database.write() as connection:
            wanted = select(files.c.purpose).where(*of, files.c.status == "processed")
            if connection.execute(wanted).scalar() is None:
                message = f"there is no file {order.input_file_id}"
                raise UsageError(message, "input_file_id", "invalid_value")
            now = self._database.now(connection)
            row = {
                "id": made,
                "owner": order.owner,
                "endpoint": order.endpoint,
                "completion_window": order.completion_window,
                "status": "validating",
                "input_file_id": order.input_file_id,
                "keep_s": order.keep_s,
                "metadata": None if order.metadata is None else json.dumps(dict(order.metadata)),
                "total": 0,
                "created_at": now,
                "expires_at": now + order.window_s,
                "turn": now,
                "held_until": 0.0,
            }
            connection.execute(batches.insert().values(**row))
            return _get(connection, order.owner, made)

    def get(self, owner: str, batch_id: str) -> tuple[RowMapping, Counts]:
        """Raises NotFoundError for a batch that does not exist, or is another owner's."""
        with self._database.read() as connection:
            row = _get(connection, owner, batch_id)
            return row, _counts(connection, row)

    def page(
        self, owner: str, limit: int, after: str | None
    ) -> tuple[list[tuple[RowMapping, Counts]], bool]:
        """The newest first, after the one named `after`; and whether there are more."""
        with self._database.read() as connection:
            mark = None if after is None else _get(connection, owner, after)
            wanted = select(batches).where(batches.c.owner == owner)
            rows, more = page(connection, wanted, batches, limit, mark, newest=True)
            return [(row, _counts(connection, row)) for row in rows], more

    def cancel(self, owner: str, batch_id: str) -> tuple[RowMapping, Counts]:
        """Lines in progress are finished; no further ones are sent. Raises UsageError for a batch
        that has ended."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            mine = (batches.c.id == batch_id, batches.c.owner == owner)
            for before, after in (("validating", "cancelled"), ("in_progress", "cancelling")):
                change = update(batches).where(*mine, batches.c.status == before)
                times = {"cancelling_at": now}
                if after == "cancelled":
                    times["cancelled_at"] = now
                connection.execute(change.values(status=after, **times))
            row = _get(connection, owner, batch_id)
            if row["status"] not in ("cancelling", "cancelled"):
                raise UsageError(f"{batch_id} has ended: it is {row['status']}", "batch_id")
            return row, _counts(connection, row)

    # -- what the processes that answer them do ---------------------------------------------------

    def claim_unchecked(self, holder: str, lease_s: float) -> RowMapping | None:
        """A batch whose file no process is checking; it is leased to the holder for so long."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            wanted = select(batches).where(
                batches.c.status == "validating", batches.c.held_until < now
            )
            one = wanted.order_by(batches.c.turn).limit(1).with_for_update(skip_locked=True)
            row = connection.execute(one).mappings().first()
            if row is not None:
                held = {"holder": holder, "held_until": now + lease_s}
                connection.execute(update(batches).where(batches.c.id == row["id"]).values(**held))
            return row

    def begin(self, batch_id: str) -> None:
        """Its file is valid: its parts may be answered."""
        with self._database.write() as connection:
            row = _changed(connection, batch_id, "validating", "in_progress")
            if row is None:
                return  # cancelled meanwhile, or begun by another process
            values = {"in_progress_at": self._database.now(connection)}
            connection.execute(update(batches).where(batches.c.id == batch_id).values(**values))
            of = file_parts.c.file_id == row["input_file_id"]
            zero = cast(literal(0), Integer)
            connection.execute(
                parts.insert().from_select(
                    [c.name for c in parts.c if c.name != "holder"],
                    select(
                        literal(batch_id),
                        file_parts.c.part,
                        file_parts.c.lines,
                        zero,
                        zero,
                        file_parts.c.lines == 0,
                        literal(0.0),
                        zero,
                    ).where(of),
                )
            )
            total = select(func.sum(parts.c.lines)).where(parts.c.batch_id == batch_id)
            change = update(batches).where(batches.c.id == batch_id)
            connection.execute(change.values(total=total.scalar_subquery()))

    def fail(self, batch_id: str, errors: Sequence[LineError]) -> None:
        """Its file is invalid: none of it is sent."""
        with self._database.write() as connection:
            if _changed(connection, batch_id, "validating", "failed") is None:
                return
            values = {
                "failed_at": self._database.now(connection),
                "errors": json.dumps(list(errors)),
            }
            connection.execute(update(batches).where(batches.c.id == batch_id).values(**values))

    def settle(self) -> list[str]:
        """End the batches whose parts are all done; returns their names."""
        undone = select(parts.c.part).where(
            parts.c.batch_id == batches.c.id, parts.c.done.is_(False)
        )
        ripe = select(batches.c.id).where(batches.c.status.in_(OPEN), ~undone.exists())
        with self._database.read() as connection:
            found = list(connection.execute(ripe).scalars())
        for batch_id in found:
            with self._database.write() as connection:
                self._end(connection, batch_id)
        return found

    def sweep(self) -> None:
        """Delete batches whose results have expired."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            old = select(batches.c.id).where(
                batches.c.status.in_(ENDED), batches.c.expires_at + batches.c.keep_s < now
            )
            for batch_id in connection.execute(old.limit(10)).scalars().all():
                for table in (results, parts, files):
                    connection.execute(delete(table).where(table.c.batch_id == batch_id))
                connection.execute(delete(batches).where(batches.c.id == batch_id))

    def _end(self, connection: Connection, batch_id: str) -> None:
        locked = select(batches).where(batches.c.id == batch_id).with_for_update()
        row = connection.execute(locked).mappings().one()
        if row["status"] not in OPEN:
            return
        now = self._database.now(connection)
        end = "completed" if row["expired_at"] is None else "expired"
        if row["status"] == "cancelling":
            end = "cancelled"
        values: dict[str, object] = {"status": end, "finalizing_at": now, f"{end}_at": now}
        for name, failed in (("output", False), ("error", True)):
            values[f"{name}_file_id"] = _results_file(connection, row, name, failed, now)
        connection.execute(update(batches).where(batches.c.id == batch_id).values(**values))


def _changed(connection: Connection, batch_id: str, before: str, after: str) -> RowMapping | None:
    """The batch, if it was in the first state and is in the second one now."""
    here = (batches.c.id == batch_id, batches.c.status == before)
    if not connection.execute(update(batches).where(*here).values(status=after)).rowcount:
        return None
    return connection.execute(select(batches).where(batches.c.id == batch_id)).mappings().one()


def _results_file(
    connection: Connection, row: RowMapping, name: str, failed: bool, now: float
) -> str | None:
    """The name of a new file of the failed results, or of the others; None if there are none."""
    of = (results.c.batch_id == row["id"], results.c.failed == failed)
    size = func.sum(func.length(results.c.body) + 1)
    found = connection.execute(select(size).where(*of)).scalar()
    if not found:
        return None
    made = f"file-{uuid.uuid4().hex}"
    connection.execute(
        files.insert().values(
            id=made,
            owner=row["owner"],
            purpose=OUTPUT,
            filename=f"{row['id']}_{name}.jsonl",
            bytes=int(found),
            created_at=now,
            expires_at=now + row["keep_s"],
            status="processed",
            batch_id=row["id"],
            failed=failed,
        )
    )
    return made


def _get(connection: Connection, owner: str, batch_id: str) -> RowMapping:
    wanted = select(batches).where(batches.c.id == batch_id, batches.c.owner == owner)
    row = connection.execute(wanted).mappings().first()
    if row is None:
        raise NotFoundError(f"there is no batch {batch_id}")
    return row


def _counts(connection: Connection, row: RowMapping) -> Counts:
    sums = (func.coalesce(func.sum(column), 0) for column in (parts.c.completed, parts.c.failed))
    wanted = select(*sums).where(parts.c.batch_id == row["id"])
    completed, failed = connection.execute(wanted).one()
    return {"total": int(row["total"]), "completed": int(completed), "failed": int(failed)}
