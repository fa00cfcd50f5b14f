"""The interactions log: every request and attempt, durable before the answer is final."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from config.errors import AlreadyThereError, NotFoundError, StorageError
from telemetry import queries, tables
from telemetry.database import Database, locate
from telemetry.keeper import Keeper
from telemetry.queries import Readers
from telemetry.records import AttemptRow, AuditRow, HintRow, InteractionRow, Role, TaughtRow
from telemetry.spool import Spool
from telemetry.traffic import Part
from telemetry.traffic import traffic as traffic_of
from telemetry.transaction import Job, Prune
from telemetry.writer import PATIENT_S, READ_S, Writer

T = TypeVar("T")

READERS = 4

LOOK_S = 0.25
"""Seconds between checks during a read that the database is still there."""

OWN_ROWS_S = READ_S
"""How long a read waits for rows written before it, until it is clear that waiting is futile."""

CLOCK_S = 2.0
"""A machine whose clock is off by more than this many seconds is reported in `/health`."""

HAND_ON_S = 10.0
"""How long a command waits for rows that an earlier process left in the spool."""


class Backlog(NamedTuple):
    """Numbers of jobs waiting on disk, waiting in memory, and lost."""

    spooled: int
    in_memory: int
    lost: int


class InteractionLog:
    """Requests, attempts, feedback, audit rows and hints in one SQL database.

    Any number of processes may use the same database; one instance serves every event loop of its
    process. Reads and writes raise StorageError if the database fails.
    """

    def __init__(self, database: Database, spool: Path, *, text: bool) -> None:
        self._database = database
        self._text = text
        self._keeper = Keeper(Spool(spool))
        self._writer = Writer(database, self._keeper)
        self._readers = Readers(READERS, database.reading.dispose)
        self._closed = False

    @classmethod
    def open(
        cls,
        database_url: str | None,
        data_dir: Path,
        *,
        text: bool = False,
        wait_s: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> InteractionLog:
        """Open the log at that address, by default the SQLite file `router.db` in the data folder.

        `text` also stores prompts and answers. Raises StorageError, and never overwrites a file
        that is not a healthy database. With `wait_s`, a database that does not answer within so
        many seconds is not an error: rows wait in the data folder's spool until it does. `clock` is
        this machine's.
        """
        database = Database(*locate(database_url, data_dir), clock)
        if wait_s is None:
            database.prepare()
        log = cls(database, data_dir / "spool", text=text)
        log._writer.ready.wait(HAND_ON_S if wait_s is None else wait_s)
        if wait_s is None:
            log._writer.hand_on(HAND_ON_S)
        if log._writer.refused is not None:
            log._writer.end()
            log._readers.close()
            raise log._writer.refused
        return log

    @property
    def problem(self) -> str | None:
        """Why rows do not reach the database now; None if they do."""
        return self._writer.problem

    def now(self) -> float:
        """The log's time in Unix seconds: the database's clock, which all replicas share."""
        return self._database.now()

    @property
    def clock_problem(self) -> str | None:
        """Why this machine's clock must be corrected, as a sentence; None while it is accurate
        enough."""
        ahead_s = -self._database.offset_s
        if abs(ahead_s) <= CLOCK_S:
            return None
        word = "ahead of" if ahead_s > 0 else "behind"
        return (
            f"this machine's clock is {abs(ahead_s):.0f} s {word} the database's: rows are given"
            " the database's time; let the machine set its clock (NTP)"
        )

    @property
    def backlog(self) -> Backlog:
        """How many jobs wait, and how many were lost."""
        keeper = self._keeper
        return Backlog(keeper.spool.jobs, keeper.in_memory, keeper.lost)

    async def write(self, interaction: InteractionRow, attempts: Sequence[AttemptRow]) -> bool:
        """Store a request with its attempts; returns once they are safe.

        Returns True after the commit; False if the database did not take them in time and they wait
        in the spool on the local disk or, while that stalls, in memory (see `backlog`). Raises
        StorageError if the disk refused them, TypeError for an unknown field.

        Attempts inherit `request_id`, `at`, `category` and `confidence` if they have none. Writing
        the same request again changes nothing.
        """
        request_id = interaction.get("request_id")
        inherited = {k: interaction.get(k) for k in ("at", "category", "confidence")}
        return await self._writer.submit(
            Job(
                interactions=[tables.encode(tables.interactions, interaction, text=self._text)],
                attempts=[self._attempt(a, request_id=request_id, **inherited) for a in attempts],
            )
        )

    async def revise(self, attempt: AttemptRow) -> None:
        """Store a newer revision of an attempt; an older one is ignored.

        May be called before the first row is stored, which then does not replace it.
        """
        await self._writer.submit(Job(attempts=[self._attempt(attempt)]))

    async def feedback(self, request_id: str, liked: bool | None) -> bool:
        """Replace the caller's feedback on an answer; raises NotFoundError for an unknown request.

        Returns False if it waits in the spool: whether the request exists turns out later.
        """
        row = {"request_id": request_id, "liked": liked}
        return await self._writer.submit(Job(feedback=[row]), PATIENT_S)

    async def audit(
        self, kind: str, subject: str, detail: Mapping[str, object], once: str | None = None
    ) -> None:
        """Store a step that the application took on its own.

        If several replicas take it, each passes the same `once`, and one row is kept.
        """
        identity = f"{kind}|{subject}|{once}"
        row = {
            "id": uuid.uuid4().hex
            if once is None
            else uuid.uuid5(uuid.NAMESPACE_OID, identity).hex,
            "at": self.now(),
            "kind": kind,
            "subject": subject,
            "detail": tables.dump(detail),
        }
        await self._writer.submit(Job(audits=[row]))

    async def hint(
        self, name: str, detail: Mapping[str, object], *, stale: tuple[str, float] | None = None
    ) -> None:
        """Leave a note for the other replicas, replacing the last one of that name.

        `stale`: notes whose name begins so and that are older than that moment are removed.
        """
        row = {"name": name, "at": self.now(), "detail": tables.dump(detail)}
        await self._writer.submit(Job(hints=[row], stale=stale))

    async def prune(
        self,
        requests: Sequence[str],
        baseline: queries.Baseline,
        before: queries.Baseline | None,
    ) -> bool:
        """Delete requests, and store in `baseline` what the ranking learned from them, continuing
        from `before`.

        Both or neither; returns False if another process has pruned meanwhile. Raises StorageError.
        """
        row = {
            "name": "log",
            "at": baseline.at,
            "request_id": baseline.request_id,
            "requests": baseline.requests,
            "detail": tables.dump(baseline.detail),
        }
        place = None if before is None else before[:3]
        try:
            await self._writer.commit(Job(prune=Prune(requests, row, place)))
        except AlreadyThereError:
            return False
        return True

    async def teach(self, example: TaughtRow) -> None:
        """Store a correction of the classifier, replacing the one with the same id."""
        row = {"at": self.now(), "request_id": None, "prompt": None, **example}
        row["detail"] = tables.dump(example.get("detail") or {})
        job = Job(taught=[tables.encode(tables.taught, row, text=True)])
        await self._writer.submit(job, PATIENT_S)

    async def recent(
        self, limit: int | None = 20, category: str | None = None
    ) -> list[InteractionRow]:
        """The newest requests with their attempts, newest first; None: all of them."""
        return await self._read(queries.recent, limit, category)

    async def page(self, wanted: queries.Wanted, limit: int, skip: int = 0) -> list[InteractionRow]:
        """The matching requests in their order, after skipping so many."""
        return await self._read(queries.page, wanted, limit, skip)

    async def traffic(self, start: float, end: float, parts: int) -> list[Part]:
        """Traffic from `start` to `end` (Unix seconds), in so many parts."""
        return await self._read(traffic_of, start, end, parts)

    async def get(self, request_id: str) -> InteractionRow:
        """One request with its attempts; raises NotFoundError if there is none."""
        row = await self._read(queries.get, request_id)
        if row is None:
            raise NotFoundError(f"There is no request {request_id} in the log.")
        return row

    async def since(
        self, cursor: int | None = None, limit: int = 5_000
    ) -> tuple[list[InteractionRow], queries.Cursor]:
        """Requests that any replica wrote, revised or rated since the cursor.

        Oldest change first, about `limit` at a time; empty if the reader is up to date. Nothing is
        missed, however commits overlap, and a row is returned again only if it changed. None starts
        with the whole log; a cursor is valid only for the log with that `identity`.
        """
        return await self._read(queries.since, cursor, limit)

    async def position(self) -> queries.Cursor:
        """The cursor of a reader that has seen everything committed so far."""
        return await self._read(queries.position)

    async def identity(self) -> str:
        """Identifies this log: a cursor is valid for no other."""
        return await self._read(queries.identity)

    async def scan(
        self, after: tuple[float, str] | None = None, limit: int = 1_000
    ) -> list[InteractionRow]:
        """The next requests in the order of (at, request_id), regardless of when they were
        written."""
        return await self._read(queries.scan, after, limit)

    async def count(self) -> int:
        """How many requests are in the log."""
        return await self._read(queries.count)

    async def baseline(self) -> queries.Baseline | None:
        """What the ranking learned from pruned rows; None if none was pruned."""
        return await self._read(queries.baseline)

    async def audits(
        self,
        kind: str | Sequence[str] | None = None,
        subject: str | None = None,
        limit: int | None = 100,
    ) -> list[AuditRow]:
        """Audit rows of one or several kinds, newest first."""
        return await self._read(queries.audits, kind, subject, limit)

    async def hints(self) -> dict[str, HintRow]:
        """The hints of all replicas by name; each has `at` beside its own fields."""
        return await self._read(queries.hints)

    async def taught(self) -> list[TaughtRow]:
        """Every correction of the classifier, oldest first."""
        return await self._read(queries.taught)

    async def spent_today(
        self, now: float | None = None, role: Role | None = None
    ) -> dict[str, float]:
        """Each provider's cost in USD since midnight UTC, in one role or in all, without calls of
        unknown cost."""
        moment = self.now() if now is None else now
        return await self._read(queries.spent, moment - moment % 86_400, role)

    async def close(self) -> None:
        """Commit what is queued and release the connections; safe to call twice.

        A database that does not answer is waited for at most 3 s; what it did not take stays in the
        spool.
        """
        if self._closed:
            return
        self._closed = True
        await self._writer.close()
        self._readers.close()

    def _attempt(self, attempt: AttemptRow, **inherited: object) -> tables.Row:
        row = cast("Mapping[str, object]", attempt)
        return tables.encode(tables.attempts, row, text=self._text, revision=0, **inherited)

    async def _read(self, query: Callable[..., T], *args: object) -> T:
        """Read in a thread; raises StorageError as soon as it is clear that the database does not
        answer."""
        if self._closed:
            raise StorageError("The log is closed.")
        if silent := self._writer.silent:
            raise StorageError(silent)
        result: Future[T] = self._readers.submit(self._after_own_rows, query, *args)
        future: asyncio.Future[T] = asyncio.wrap_future(result)
        try:
            while not future.done():
                await asyncio.wait({future}, timeout=LOOK_S)
                if not future.done() and (silent := self._writer.silent):
                    raise StorageError(silent)
            return future.result()
        finally:
            future.cancel()

    def _after_own_rows(self, query: Callable[..., T], *args: object) -> T:
        """Read after this process's own earlier writes, as far as the database takes those at
        once."""
        self._writer.hand_on(OWN_ROWS_S)
        return query(self._database, *args)
