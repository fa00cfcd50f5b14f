"""The reads of the log. Each runs in a reader thread, on one snapshot of the database.

The threads are daemons, so that they end with the process even while the database does not answer:
the standard library's executor waits for its threads when the interpreter exits.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from typing import NamedTuple, TypeVar, cast

from sqlalchemy import Connection, Select, and_, func, not_, or_, select

from telemetry.database import Database
from telemetry.records import AttemptRow, AuditRow, HintRow, InteractionRow, TaughtRow
from telemetry.tables import attempts as tried
from telemetry.tables import audits as audited
from telemetry.tables import baselines, decode, interactions, steps
from telemetry.tables import hints as hinted
from telemetry.tables import taught as corrections

T = TypeVar("T")


class Readers:
    """A fixed number of daemon threads."""

    def __init__(self, threads: int, ended: Callable[[], None], name: str = "log-reader") -> None:
        """`ended` is called once, by the last thread to end."""
        self._ended = ended
        self._left = threads
        self._guard = threading.Lock()
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[..., T], *args: object) -> Future[T]:
        """Run `work` in one of the threads; if the future is cancelled before that, it never
        runs."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                found = work(*args)
            except BaseException as error:  # raised again where the read was requested
                future.set_exception(error)
            else:
                future.set_result(found)

        self._queue.put(run)
        return future

    def close(self, timeout_s: float = 1.0) -> None:
        """Let queued reads finish, waiting at most so long."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout_s)

    def _run(self) -> None:
        while (read := self._queue.get()) is not None:
            read()
        with self._guard:
            self._left -= 1
            last = self._left == 0
        if last:
            self._ended()


BUNCH = 500
"""Requests whose attempts one statement fetches."""


def recent(database: Database, limit: int | None, category: str | None) -> list[InteractionRow]:
    """The newest first."""
    query = select(interactions).order_by(
        interactions.c.at.desc(), interactions.c.request_id.desc()
    )
    if category is not None:
        query = query.where(interactions.c.category == category)
    with database.read() as connection:
        return _joined(connection, query.limit(limit))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests, and in which order; None or empty means no filter."""

    category: str | None = None
    outcome: str | None = None
    """`answered`, `fallback`, `failed`, `stopped`, `liked` or `disliked`."""
    start: float | None = None
    end: float | None = None
    """Unix seconds; the end is exclusive."""
    order: str = "newest"
    """`newest`, `oldest`, `slowest` or `dearest`; the last two sort missing values last."""


_ORDERS = {
    "newest": (interactions.c.at.desc(), interactions.c.request_id.desc()),
    "oldest": (interactions.c.at, interactions.c.request_id),
    "slowest": (func.coalesce(interactions.c.latency_ms, -1).desc(), interactions.c.at.desc()),
    "dearest": (func.coalesce(interactions.c.cost_usd, -1).desc(), interactions.c.at.desc()),
}
_STOPPED = func.coalesce(interactions.c.stopped, False)
_OUTCOMES = {
    "answered": interactions.c.success,
    "fallback": and_(interactions.c.success, interactions.c.fallback_used),
    "failed": and_(not_(interactions.c.success), not_(_STOPPED)),
    "stopped": _STOPPED,
    "liked": interactions.c.liked,
    "disliked": not_(interactions.c.liked),
}


def page(database: Database, wanted: Wanted, limit: int, skip: int = 0) -> list[InteractionRow]:
    """So many of the matching requests, after skipping so many."""
    query = select(interactions).order_by(*_ORDERS[wanted.order])
    if wanted.category:
        query = query.where(interactions.c.category == wanted.category)
    if wanted.outcome:
        query = query.where(_OUTCOMES[wanted.outcome])
    if wanted.start is not None:
        query = query.where(interactions.c.at >= wanted.start)
    if wanted.end is not None:
        query = query.where(interactions.c.at < wanted.end)
    with database.read() as connection:
        return _joined(connection, query.limit(limit).offset(skip))


def get(database: Database, request_id: str) -> InteractionRow | None:
    with database.read() as connection:
        rows = _joined(connection, _by_id([request_id]))
    return rows[0] if rows else None


class Baseline(NamedTuple):
    """What the ranking learned from the pruned rows: all up to (at, request_id), so many
    `requests`."""

    at: float
    request_id: str
    requests: int
    detail: dict[str, object]


class Cursor(int):
    """A reader's position: everything below has been read, and above it the stamps in `seen`.

    A stamp is a transaction, which is seen as a whole or not at all.
    """

    seen: frozenset[int]

    def __new__(cls, low: int, seen: Iterable[int] = ()) -> Cursor:
        cursor = super().__new__(cls, low)
        cursor.seen = frozenset(stamp for stamp in seen if stamp >= low)
        return cursor


def since(
    database: Database, cursor: int | None, limit: int
) -> tuple[list[InteractionRow], Cursor]:
    """The next rows that the cursor has not seen, and the cursor to continue from.

    Stamps beyond the snapshot were restored from another server's copy: the first pass reads them,
    later ones leave them out.
    """
    seen = cursor.seen if isinstance(cursor, Cursor) else frozenset()
    with database.read() as connection:
        low, high = database.window(connection)
        ids, stamps, whole = _unseen(connection, cursor, seen, high, limit)
        if not whole:
            low = min(low, max(stamps) + 1)
        rows: list[InteractionRow] = []
        for start in range(0, len(ids), BUNCH):
            bunch = _by_id(ids[start : start + BUNCH])
            rows += _joined(connection, bunch.order_by(interactions.c.changed))
        return rows, Cursor(low, seen | stamps)


def _unseen(
    connection: Connection, cursor: int | None, seen: frozenset[int], high: int, limit: int
) -> tuple[list[str], set[int], bool]:
    """About `limit` requests in the order of their stamps, the stamps, and whether those are all.

    A transaction is never split.
    """
    changed = interactions.c.changed
    query = select(interactions.c.request_id, changed).order_by(changed)
    if cursor is not None:
        query = query.where(changed >= int(cursor), changed < high)
    ids: list[str] = []
    stamps: set[int] = set()
    with connection.execution_options(yield_per=1_000).execute(query) as found:
        for request_id, stamp in found:
            if stamp in seen:
                continue
            if len(ids) >= limit and stamp not in stamps:
                return ids, stamps, False
            ids.append(request_id)
            stamps.add(stamp)
    return ids, stamps, True


def position(database: Database) -> Cursor:
    """The position of a reader that has seen everything committed so far."""
    with database.read() as connection:
        return Cursor(database.window(connection)[0])


def identity(database: Database) -> str:
    """Changes if another log, or an older copy of this one, is at the address."""
    query = select(steps.c.at).order_by(steps.c.step).limit(1)
    with database.read() as connection:
        return str(connection.execute(query).scalar())


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(interactions)).scalar_one())


def scan(database: Database, after: tuple[float, str] | None, limit: int) -> list[InteractionRow]:
    """The next requests in the order of (at, request_id)."""
    order = (interactions.c.at, interactions.c.request_id)
    query = select(interactions).order_by(*order).limit(limit)
    if after is not None:
        at, request_id = after
        later = and_(interactions.c.at == at, interactions.c.request_id > request_id)
        query = query.where(interactions.c.at >= at, or_(interactions.c.at > at, later))
    with database.read() as connection:
        return _joined(connection, query)


def baseline(database: Database) -> Baseline | None:
    with database.read() as connection:
        row = connection.execute(select(baselines)).mappings().first()
    if row is None:
        return None
    return Baseline(row["at"], row["request_id"], row["requests"], json.loads(row["detail"]))


def audits(
    database: Database, kind: str | Sequence[str] | None, subject: str | None, limit: int | None
) -> list[AuditRow]:
    query = select(audited).order_by(audited.c.at.desc(), audited.c.id)
    if kind is not None:
        query = query.where(audited.c.kind.in_([kind] if isinstance(kind, str) else kind))
    if subject is not None:
        query = query.where(audited.c.subject == subject)
    with database.read() as connection:
        return [
            AuditRow(at=r.at, kind=r.kind, subject=r.subject, detail=json.loads(r.detail))
            for r in connection.execute(query.limit(limit))
        ]


def hints(database: Database) -> dict[str, HintRow]:
    with database.read() as connection:
        return {
            row.name: cast(HintRow, {**json.loads(row.detail), "at": row.at})
            for row in connection.execute(select(hinted))
        }


def taught(database: Database) -> list[TaughtRow]:
    query = select(corrections).order_by(corrections.c.at, corrections.c.id)
    with database.read() as connection:
        return [
            cast(TaughtRow, {**row, "detail": json.loads(row["detail"])})
            for row in connection.execute(query).mappings()
        ]


def spent(database: Database, since_at: float, role: str | None = None) -> dict[str, float]:
    cost = func.sum(tried.c.cost_usd)
    paid = (tried.c.at >= since_at) & (tried.c.role != "compare")  # those were paid elsewhere
    if role is not None:
        paid &= tried.c.role == role
    query = select(tried.c.provider, cost).where(paid).group_by(tried.c.provider)
    with database.read() as connection:
        return {p: float(usd) for p, usd in connection.execute(query).all() if usd is not None}


def _by_id(ids: Sequence[str]) -> Select[tuple[object, ...]]:
    return select(interactions).where(interactions.c.request_id.in_(ids))


def _joined(connection: Connection, query: Select[tuple[object, ...]]) -> list[InteractionRow]:
    """The rows of that query on `interactions`, each with its attempts in order."""
    rows = [cast(InteractionRow, decode(dict(r))) for r in connection.execute(query).mappings()]
    by_id = {row["request_id"]: row for row in rows}
    for row in rows:
        row["attempts"] = []
    ids = list(by_id)
    for start in range(0, len(ids), BUNCH):
        ask = (
            select(tried)
            .where(tried.c.request_id.in_(ids[start : start + BUNCH]))
            .order_by(tried.c.request_id, tried.c.seq)
        )
        for found in connection.execute(ask).mappings():
            attempt = cast(AttemptRow, decode(dict(found)))
            by_id[attempt["request_id"]]["attempts"].append(attempt)
    return rows
