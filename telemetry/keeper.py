"""Stores rows that the log does not take in time: on disk, else in memory, else nowhere.

One thread appends them to the spool in groups, so that many requests cost few writes; another one
syncs, which may take seconds on a busy disk. Rows for which neither disk nor memory has room are
counted as lost.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

import structlog

from config.errors import StorageError
from telemetry.spool import Segment, Spool, jobs_of, line_of
from telemetry.transaction import Job

logger = structlog.get_logger()

MEMORY_JOBS = 5_000
"""Maximum number of jobs in memory: about 20 MB without texts."""

GROUP = 512


class Keeper:
    """`problem` is why the spool refuses writes, or None; `lost` counts dropped jobs."""

    def __init__(self, spool: Spool, memory_jobs: int = MEMORY_JOBS) -> None:
        self.spool = spool
        self.problem: str | None = None
        self.lost = 0
        self._most = memory_jobs
        self._memory: deque[Job] = deque()
        self._guard = threading.Lock()
        self._writing = 0
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="log-spool", daemon=True)
        self._thread.start()
        self._unsynced: SimpleQueue[bool] = SimpleQueue()
        self._syncing = threading.Thread(target=self._sync, name="log-sync", daemon=True)
        self._syncing.start()

    @property
    def in_memory(self) -> int:
        """The number of jobs that a SIGKILL would lose."""
        return len(self._memory) + self._writing

    @property
    def waiting(self) -> int:
        """The number of jobs that the log has not taken yet."""
        return self.spool.jobs + self.in_memory

    def keep(self, job: Job) -> None:
        """Write the job to disk, then call its `done`: with None, or with a StorageError that says
        that it waits in memory or is lost."""
        with self._guard:
            hangs = self._writing >= self._most
            self._writing += not hangs
        if hangs:
            self._lose(job)
        else:
            self._queue.put(job)

    def take(self) -> tuple[Segment | None, list[Job]]:
        """The jobs to give to the log next, and the segment that contains them, if any.

        Afterwards call `taken` if the log has stored them, `untaken` if it has not.
        """
        segment = self.spool.oldest()
        if segment is None:
            return None, self._remembered()
        jobs = list(jobs_of(segment.path))
        if len(jobs) < segment.jobs:
            self.give_up(segment.jobs - len(jobs), f"{segment.path} is damaged or was removed")
            segment.jobs, segment.damaged = len(jobs), True
        return segment, jobs

    def taken(self, segment: Segment | None) -> None:
        if segment is not None:
            self.spool.drop(segment)

    def untaken(self, segment: Segment | None, jobs: Sequence[Job]) -> None:
        if segment is None:
            self._memory.extendleft(reversed(jobs))

    def refused(self, segment: Segment | None, why: str) -> None:
        """The log will never take one of those jobs."""
        if segment is not None:
            segment.damaged = True
        self.give_up(1, why)

    def give_up(self, jobs: int, why: str) -> None:
        """Drop rows that cannot be stored anywhere."""
        self.lost += jobs
        logger.error("log_rows_lost", jobs=jobs, lost=self.lost, why=why)

    def close(self, timeout_s: float) -> None:
        """Write what is queued; rows held only in memory are lost with the process."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        if self.in_memory:
            self.give_up(self.in_memory, self.problem or "the disk does not answer")
        self._unsynced.put(False)
        self._syncing.join(timeout_s)
        if not self._thread.is_alive():
            self.spool.close()

    def _run(self) -> None:
        open_ = True
        while open_:
            group: list[Job] = []
            for job in self._gather():
                if job is None:
                    open_ = False
                else:
                    group.append(job)
            if group:
                self._write(group)

    def _gather(self) -> list[Job | None]:
        jobs = [self._queue.get()]
        while jobs[-1] is not None and len(jobs) < GROUP:
            try:
                jobs.append(self._queue.get_nowait())
            except Empty:
                break
        return jobs

    def _write(self, group: list[Job]) -> None:
        good: list[Job] = []
        lines: list[bytes] = []
        for job in group:
            try:
                lines.append(line_of(job))
                good.append(job)
            except TypeError as error:
                job.done(StorageError(f"The row cannot be stored ({error})."))
        try:
            self.spool.append(lines)
        except OSError as error:
            self.problem = f"rows cannot wait on the disk ({error.strerror or error})"
            self._done_writing(group)
            for job in good:
                self._remember(job)
            return
        self.problem = None
        self._done_writing(group)
        for job in good:
            job.done(None)
        self._write_remembered()
        self._unsynced.put(True)

    def _done_writing(self, group: Sequence[Job]) -> None:
        with self._guard:
            self._writing -= len(group)

    def _write_remembered(self) -> None:
        """The disk accepts writes again: move the rows in memory there too."""
        while remembered := self._remembered():
            try:
                self.spool.append([line_of(job) for job in remembered])
            except OSError as error:
                self._memory.extendleft(reversed(remembered))
                logger.warning("spool_full_again", error=str(error))
                return

    def _sync(self) -> None:
        """Sync once for everything appended meanwhile, until the end is signalled."""
        open_ = True
        while open_:
            open_ = self._unsynced.get()
            while open_ and not self._unsynced.empty():
                open_ = self._unsynced.get()
            try:
                self.spool.sync()
            except OSError as error:
                logger.warning("spool_not_synced", error=str(error))

    def _remembered(self) -> list[Job]:
        """Some of the jobs in memory; the caller takes them over."""
        jobs: list[Job] = []
        with suppress(IndexError):
            while len(jobs) < GROUP:
                jobs.append(self._memory.popleft())
        return jobs

    def _remember(self, job: Job) -> None:
        if len(self._memory) >= self._most:
            self._lose(job)
            return
        self._memory.append(job)
        job.done(StorageError(f"The row waits in memory: {self.problem}."))

    def _lose(self, job: Job) -> None:
        self.give_up(1, self.problem or "the disk does not answer")
        job.done(StorageError(f"The row is lost: {self.problem or 'the disk does not answer'}."))
