"""One transaction of the writer: any number of jobs in few statements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

from sqlalchemy import Connection, Executable, Table, bindparam, delete, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from config.errors import AlreadyThereError, NotFoundError
from telemetry.database import Database
from telemetry.tables import Row, attempts, audits, baselines, hints, interactions, taught


@dataclass(frozen=True, slots=True)
class Prune:
    """Requests to delete, and the baseline that replaces the previous one and keeps what the
    ranking learned."""

    requests: Sequence[str]
    baseline: Row
    before: tuple[float, str, int] | None
    """Position and number of requests of the baseline that this one continues: another process may
    prune too."""


@dataclass(slots=True)
class Job:
    """Rows that belong into one transaction, as `tables.encode` made them."""

    interactions: Sequence[Row] = ()
    attempts: Sequence[Row] = ()
    feedback: Sequence[Row] = ()
    audits: Sequence[Row] = ()
    hints: Sequence[Row] = ()
    taught: Sequence[Row] = ()
    done: Callable[[Exception | None], None] = field(default=lambda _error: None)
    prune: Prune | None = None
    stale: tuple[str, float] | None = None
    """Hints older than this whose names have this prefix are removed."""
    spooled: bool = False
    """It is in the spool already: a transaction that still tries it must not spool it again."""


def commit(database: Database, jobs: Sequence[Job]) -> list[Exception | None]:
    """Write the jobs in one transaction; for each, None or why it was refused.

    A connection that the server dropped is replaced once. Repeating is safe: a request is written
    once, an attempt only by a newer revision, an audit row under its own id.
    """
    try:
        return _write(database, jobs)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        return _write(database, jobs)


def _write(database: Database, jobs: Sequence[Job]) -> list[Exception | None]:
    with database.writing.begin() as connection:
        stamp = database.stamp(connection)
        _requests(database, connection, [r for job in jobs for r in job.interactions], stamp)
        _attempts(database, connection, [r for job in jobs for r in job.attempts], stamp)
        refused = [_feedback(connection, job.feedback, stamp) for job in jobs]
        if rows := [r for job in jobs for r in job.audits]:
            connection.execute(database.insert(audits).on_conflict_do_nothing(), rows)
        for n, job in enumerate(jobs):
            if job.prune is not None:
                refused[n] = _prune(database, connection, job.prune)
            if job.stale is not None:
                begins, before = job.stale
                old = hints.c.name.startswith(begins) & (hints.c.at < before)
                connection.execute(delete(hints).where(old))
        _replace(database, connection, hints, [r for job in jobs for r in job.hints])
        _replace(database, connection, taught, [r for job in jobs for r in job.taught])
    return refused


def _requests(database: Database, connection: Connection, rows: list[Row], stamp: int) -> None:
    """A request is written once: its first row is kept."""
    if rows:
        for row in rows:
            row["changed"] = stamp
        connection.execute(database.insert(interactions).on_conflict_do_nothing(), rows)


def _attempts(database: Database, connection: Connection, rows: list[Row], stamp: int) -> None:
    """Of two revisions of an attempt the newer one is kept, whichever comes first."""
    if not rows:
        return
    connection.execute(_newer(is_sqlite=database.is_sqlite), rows)
    if late := [{"of": row["request_id"]} for row in rows if row["revision"] > 0]:
        _touch(connection, late, stamp)


@cache
def _newer(*, is_sqlite: bool) -> Executable:
    """The statement is made once: that takes longer than carrying it out."""
    upsert = sqlite.insert(attempts) if is_sqlite else postgresql.insert(attempts)
    return upsert.on_conflict_do_update(
        index_elements=[attempts.c.request_id, attempts.c.seq],
        set_={c.name: upsert.excluded[c.name] for c in attempts.c if not c.primary_key},
        where=upsert.excluded.revision > attempts.c.revision,
    )


def _replace(database: Database, connection: Connection, table: Table, rows: list[Row]) -> None:
    """The last row of a name replaces earlier ones."""
    if rows:
        upsert = database.insert(table)
        fresh = {c.name: upsert.excluded[c.name] for c in table.c if not c.primary_key}
        connection.execute(
            upsert.on_conflict_do_update(index_elements=list(table.primary_key), set_=fresh), rows
        )


def _prune(database: Database, connection: Connection, prune: Prune) -> Exception | None:
    """Change rows and baseline together; neither, and AlreadyThereError, if another process was
    faster."""
    if not database.is_sqlite:
        connection.execute(text("SELECT pg_advisory_xact_lock(727002)"))
    found = connection.execute(select(baselines)).mappings().first()
    if found is not None and dict(found) == prune.baseline:
        return None  # a commit that is repeated: its answer was lost
    place = None if found is None else (found["at"], found["request_id"], found["requests"])
    if place != prune.before:
        return AlreadyThereError("Another process has pruned the log meanwhile.")
    connection.execute(delete(attempts).where(attempts.c.request_id.in_(prune.requests)))
    connection.execute(delete(interactions).where(interactions.c.request_id.in_(prune.requests)))
    _replace(database, connection, baselines, [prune.baseline])
    return None


def _touch(connection: Connection, requests: list[Row], stamp: int) -> None:
    """Mark the request as changed for readers that follow the log."""
    statement = (
        update(interactions)
        .where(interactions.c.request_id == bindparam("of"))
        .values(changed=stamp)
    )
    connection.execute(statement, requests)


def _feedback(connection: Connection, rows: Sequence[Row], stamp: int) -> Exception | None:
    for row in rows:
        statement = (
            update(interactions)
            .where(interactions.c.request_id == row["request_id"])
            .values(liked=row["liked"], changed=stamp)
        )
        if connection.execute(statement).rowcount == 0:
            return NotFoundError(f"There is no request {row['request_id']} in the log.")
    return None


STEP_S = 0.01
"""A job is waited for in such steps: a pause of the whole process, which holds up the writing
threads too, uses up one of them, not all."""


async def done_within(future: asyncio.Future[None], wait_s: float) -> bool:
    """Whether the job was done, well or not, in that time."""
    for _ in range(round(wait_s / STEP_S)):
        if future.done():
            break
        await asyncio.wait({future}, timeout=STEP_S)
    return future.done()


def future_of(job: Job) -> asyncio.Future[None]:
    """Resolved on this event loop by the first call of the job's `done`."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def resolve(error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
            future.exception()  # whoever still waits raises it; the rest is in `problem`

    def done(error: Exception | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(resolve, error)

    job.done = done
    return future
