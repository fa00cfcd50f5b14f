"""The single thread that writes the log.

Group commit: whatever is queued while a transaction commits goes into the next one together, so
that a burst costs few transactions and a lone request never waits for others.

No request waits long for a log that is slow, silent or gone: a row that is not committed within
`COMMIT_S` goes to the spool. After two such rows, or at once after an error, rows go straight to
the spool (the log's circuit breaker is open); this thread keeps trying to hand them on, and once
the log is as fast as before, rows go to it directly again.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, SQLAlchemyError

from config.errors import NotFoundError, StorageError
from telemetry.database import Database, UnreachableError, reason
from telemetry.keeper import Keeper
from telemetry.transaction import Job, commit, done_within, future_of

logger = structlog.get_logger()

GROUP = 512
"""Maximum number of jobs in one transaction."""

COMMIT_S = 0.04
"""How long a request waits for its commit; a healthy log takes 1 to 10 ms."""

PATIENT_S = 2.0
"""How long to wait for a job that delays no answer and whose result is reported."""

SPOOL_S = 0.03
"""How long a row then waits for the local disk; a healthy one takes less than 1 ms. Once the disk
has stalled, no row waits for it until it has taken the earlier ones. Together with `COMMIT_S` and
the wait for the stored ranking (`nodes.classify`) it stays below the 100 ms that an outage may cost
a request."""

SLOW_COMMITS = 2

HEALTHY_S = 0.5
"""A log that takes a group of rows within this time is trusted again."""

RETRY_S = (0.2, 0.5, 1.0)
"""Delays before the log is retried after an error; the last one repeats."""

LOOK_S = 0.5
"""How often an idle thread checks that the log is still there."""

ADOPT_S = 10.0
"""How often it looks whether another process of this data folder has left rows and is gone."""

SILENT_S = 0.75
"""A transaction longer than this is reported in `/health`."""

READ_S = 3.0
"""A transaction longer than this means that reading is futile too."""

WATCH_S = 0.01
"""How often a read checks whether the log has taken the waiting rows."""

CLOSE_S = 3.0
"""How long closing waits for a log that does not answer; waiting rows are on disk."""


class Writer:
    """Jobs in, commits out, in order of arrival."""

    def __init__(self, database: Database, keeper: Keeper) -> None:
        self.keeper = keeper
        self.ready = threading.Event()
        """The log was reached and its schema is up to date, or it was rejected for good."""
        self.adopted = threading.Event()
        """What an earlier process left in the spool has been counted."""
        self.refused: StorageError | None = None
        """Why this log can never be used: it is corrupt, or from a newer program."""
        self._database = database
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._failed: str | None = None
        self._slow = 0
        self._direct = True
        self._stalled = False
        self._busy_since: float | None = None
        self._took_s = 0.0
        self._tries = 0
        self._next_try = 0.0
        self._adopt_at = 0.0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def silent(self) -> str | None:
        """Why reads are futile too: the log was not reached yet, or does not answer.

        A log that was reached may take `READ_S` for one transaction: a disk under load stalls that
        long, and its rows can be read meanwhile.
        """
        busy, prepared = self._busy_since, self._database.prepared
        if not prepared and self._failed:
            return self._failed
        if busy is not None and time.monotonic() - busy > (READ_S if prepared else SILENT_S):
            return f"The log {self._database.where} does not answer."
        return None

    @property
    def problem(self) -> str | None:
        """Why rows do not reach the log now, as one sentence; None if they do."""
        said = self._trouble()
        if said is None and self._disk_stalls:
            said = f"The log {self._database.where} was slow"
        if said is None:
            return None
        where = f"{self.keeper.waiting} rows wait for it" if self.keeper.waiting else None
        lost = f"{self.keeper.lost} rows are lost" if self.keeper.lost else None
        disk = self.keeper.problem
        if disk is None and self._disk_stalls:
            disk = "the disk that they wait for does not answer"
        return "; ".join(filter(None, (said, where, disk, lost)))

    @property
    def _disk_stalls(self) -> bool:
        self._stalled = self._stalled and self.keeper.in_memory > 0
        return self._stalled

    def _trouble(self) -> str | None:
        busy = self._busy_since
        silent_s = 0.0 if busy is None else time.monotonic() - busy
        where = self._database.where
        if self._failed:
            return self._failed
        if silent_s > SILENT_S:
            return f"The log {where} has not answered for {silent_s:.0f} s"
        if not self._direct:
            return f"The log {where} is slow"
        return None

    async def submit(self, job: Job, wait_s: float = COMMIT_S) -> bool:
        """Return once the job is safe: True if the log has it, False if the spool has it, or if it
        is on its way there and the disk stalls.

        Raises StorageError if the disk refused it (it may still wait in memory), NotFoundError for
        feedback on an unknown request. Cancelling the caller does not withdraw its rows.
        """
        if self._closed:
            raise StorageError("The log is closed.")
        future = future_of(job)
        if self._direct and self._database.prepared and not self.keeper.waiting:
            self._queue.put(job)
            if await done_within(future, wait_s):
                future.result()
                return not job.spooled
            self._was_slow()
        if not job.spooled:
            job.spooled = True
            self.keeper.keep(job)
        if await done_within(future, 0.0 if self._disk_stalls else SPOOL_S):
            future.result()
        elif not self._stalled:
            self._stalled = True
            logger.warning("spool_stalls", rows=self.keeper.in_memory)
        return False

    async def commit(self, job: Job) -> None:
        """Return after the commit; raises StorageError if the log does not take it. Never
        spooled."""
        if self._closed:
            raise StorageError("The log is closed.")
        future = future_of(job)
        self._queue.put(job)
        await future

    async def close(self) -> None:
        """Commit what is queued, then end the thread; in `CLOSE_S` seconds at most."""
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """`close` for code without an event loop."""
        self._closed = True
        self._queue.put(None)
        self._thread.join(CLOSE_S)
        self.keeper.close(CLOSE_S)

    def hand_on(self, timeout_s: float) -> None:
        """Wait until the log has taken what an earlier process left in the spool."""
        ends = time.monotonic() + timeout_s
        self.adopted.wait(timeout_s)
        while self.keeper.waiting and self._failed is None and time.monotonic() < ends:
            time.sleep(WATCH_S)

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        self._prepare()
        self._adopt()
        self.adopted.set()
        while self._turn():
            pass
        self._database.writing.dispose()  # even where nobody waits for this thread any more

    def _turn(self) -> bool:
        """Write what is queued and hand on what waits; False once all is written that will be. No
        error may end this thread: the rows would wait for ever."""
        jobs = self._gather()
        group = [job for job in jobs if job is not None]
        try:
            if group:
                self._commit(group)
            elif None not in jobs and not self.keeper.waiting:
                self._look()
            self._hand_on()
        except Exception as bug:
            logger.exception("log_writer_failed")
            self._fail(f"The log {self._database.where} cannot be written ({bug!r})")
            for job in group:
                self._spool(job)
        return None not in jobs

    def _adopt(self) -> None:
        """What processes have left in the spool that are gone."""
        self._adopt_at = time.monotonic() + ADOPT_S
        try:
            if found := self.keeper.spool.adopt():
                logger.info("spool_taken_over", jobs=found)
        except OSError as error:
            logger.warning("spool_not_taken_over", error=str(error))

    def _prepare(self) -> bool:
        """Connect to the log; False while that fails."""
        if self._database.prepared:
            self.ready.set()
            return True
        try:
            with self._asking():
                self._database.prepare()
        except UnreachableError as error:
            self._fail(str(error))
            return False
        except StorageError as error:
            self.refused = error
            self._fail(str(error))
            self.ready.set()
            return False
        self.ready.set()
        return True

    def _gather(self) -> list[Job | None]:
        jobs: list[Job | None] = []
        try:
            jobs.append(self._queue.get(timeout=self._idle_s()))
            while jobs[-1] is not None and len(jobs) < GROUP:
                jobs.append(self._queue.get_nowait())
        except Empty:
            pass
        return jobs

    def _idle_s(self) -> float:
        """Seconds until the next task that needs no job."""
        if self.keeper.waiting and not self._closed:
            return min(max(self._next_try - time.monotonic(), 0.0), LOOK_S)
        return LOOK_S

    def _commit(self, group: list[Job]) -> None:
        refused = self._try(group)
        if refused is None:
            for job in group:
                self._spool(job)
        else:
            for job, refusal in zip(group, refused, strict=True):
                job.done(refusal)

    def _spool(self, job: Job) -> None:
        if job.prune is not None:
            job.done(StorageError(self._failed or "The log is closed."))
        elif not job.spooled:
            job.spooled = True
            self.keeper.keep(job)

    def _try(self, group: list[Job]) -> list[Exception | None] | None:
        """Commit; for each job None or why it was refused. Returns None if the log takes nothing
        now."""
        if not self._prepare():
            return None
        try:
            with self._asking():
                self._database.check_there()
                refused = commit(self._database, group)
        except Exception as error:
            if not _is_the_rows(error):
                self._fail_by(error)
                return None
            return self._apart(group, error)
        self._succeed()
        return refused

    def _apart(self, group: list[Job], error: Exception) -> list[Exception | None] | None:
        """Retry one by one, so that a bad row does not fail the others."""
        if len(group) == 1:
            return [StorageError(f"The row cannot be stored ({reason(error)}).")]
        found: list[Exception | None] = []
        for job in group:
            alone = self._try([job])
            if alone is None:
                return None
            found += alone
        return found

    def _look(self) -> None:
        """Notice an outage that no request has met yet, and rows of a process that is gone."""
        if time.monotonic() < self._next_try:
            return
        if time.monotonic() >= self._adopt_at:
            self._adopt()
        self._next_try = time.monotonic() + LOOK_S
        if self._prepare():
            try:
                with self._asking():
                    self._database.ping()
            except (SQLAlchemyError, StorageError) as error:
                self._fail_by(error)
            else:
                self._succeed()

    def _hand_on(self) -> None:
        """Give the log what waits for it, one group at a time; new rows come first."""
        while self._queue.empty() and self.keeper.waiting and time.monotonic() >= self._next_try:
            segment, jobs = self.keeper.take()
            if segment is None and not jobs:
                return  # still on their way to the disk
            refused = self._try(jobs) if jobs else []
            if refused is None:
                self.keeper.untaken(segment, jobs)
                return
            for refusal in refused:
                if refusal is not None and not isinstance(refusal, NotFoundError):
                    self.keeper.refused(segment, str(refusal))
            self.keeper.taken(segment)
            self._trust()

    def _was_slow(self) -> None:
        self._slow += 1
        if self._slow >= SLOW_COMMITS and self._direct:
            self._direct = False
            logger.warning("log_slow", log=self._database.where)

    def _fail_by(self, error: Exception) -> None:
        """The next try is made over a new connection: the old one may lead to a server that became
        a read-only replica."""
        self._database.writing.dispose()
        self._fail(self._database.cannot_write(error))

    def _fail(self, problem: str) -> None:
        if self._failed is None:
            logger.error("log_failed", error=problem)
        self._failed, self._direct = problem, False
        wait_s = RETRY_S[min(self._tries, len(RETRY_S) - 1)]
        self._tries += 1
        self._next_try = time.monotonic() + wait_s

    def _succeed(self) -> None:
        if self._failed is not None:
            logger.info("log_is_back", log=self._database.where)
        self._failed, self._tries, self._next_try = None, 0, 0.0
        self._trust()

    def _trust(self) -> None:
        """Rows go to the log directly again once none wait and the log is fast."""
        if not self._direct and not self.keeper.waiting and self._took_s < HEALTHY_S:
            self._direct, self._slow = self._failed is None, 0

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Tracks the time that the database takes; a fast transaction ends a run of slow ones."""
        since = self._busy_since = time.monotonic()
        try:
            yield
        finally:
            self._busy_since = None
            self._took_s = time.monotonic() - since
            if self._took_s < COMMIT_S:
                self._slow = 0


def _is_the_rows(error: Exception) -> bool:
    """Whether the database rejects this row, rather than all rows."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError | IntegrityError | InterfaceError)
    return not isinstance(error, StorageError)
