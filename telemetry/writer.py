"""The one thread that writes the log.

Group commit: whatever is queued while a transaction commits goes into the next one together, so
that a burst costs a few transactions and a lone request waits for nobody.
"""

from __future__ import annotations

import asyncio
import threading
from queue import Empty, SimpleQueue

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from config.errors import StorageError
from telemetry.database import Database, reason
from telemetry.transaction import Job, commit

GROUP = 512
"""At most so many jobs in one transaction."""


class Writer:
    """Jobs in, commits out, in the order of their arrival.

    `problem` is the sentence of the last commit if it failed, else None.
    """

    def __init__(self, database: Database) -> None:
        self.problem: str | None = None
        self._database = database
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    async def submit(self, job: Job) -> None:
        """Return once the job is committed; StorageError or NotFoundError if it was not.

        A caller that is cancelled while it waits does not take its rows back.
        """
        if self._closed:
            raise StorageError("The log is closed.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()

        def resolve(error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        def done(error: Exception | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(resolve, error)

        job.done = done
        self._queue.put(job)
        await future

    async def close(self) -> None:
        """Commit what is queued, then end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        open_ = True
        while open_:
            group = []
            for job in self._gather():
                if job is None:
                    open_ = False
                else:
                    group.append(job)
            if group:
                self._commit(group)

    def _gather(self) -> list[Job | None]:
        jobs = [self._queue.get()]
        while jobs[-1] is not None and len(jobs) < GROUP:
            try:
                jobs.append(self._queue.get_nowait())
            except Empty:
                break
        return jobs

    def _commit(self, group: list[Job]) -> None:
        try:
            refused = commit(self._database, group)
        except OperationalError as error:
            self._fail(group, error)
        except Exception as error:  # raised again where the rows came from
            if len(group) > 1:
                for job in group:  # one bad row must not take the others with it
                    self._commit([job])
            elif isinstance(error, SQLAlchemyError):
                self._fail(group, error)
            else:
                group[0].done(error)
        else:
            self.problem = None
            for job, refusal in zip(group, refused, strict=True):
                job.done(refusal)

    def _fail(self, group: list[Job], error: SQLAlchemyError) -> None:
        self.problem = (
            f"The log {self._database.where} cannot be written ({reason(error)}):"
            " check the space on its disk and the rights on its folder."
        )
        for job in group:
            job.done(StorageError(self.problem))
