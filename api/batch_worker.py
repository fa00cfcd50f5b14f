"""Answers the lines of batches, behind the service's own requests, in every serving process.

A line takes the same routes as a caller's request, with its owner's key, so that limits, budgets
and breakers apply; it yields to callers at the gate. Its place is released once its result is
stored: if a process is killed, only its lines in progress are sent again.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

import orjson
import structlog

from api.bulk import Bulk, failed, mistakes
from batches.database import BatchDatabase
from batches.files import Files
from batches.queue import PartKey, Queue, Result, Work, unasked
from batches.store import Batches, LineError
from config.errors import StorageError
from runtime.admission import yielding
from telemetry.metrics import Metrics
from telemetry.queries import Readers

if TYPE_CHECKING:
    from pydantic import SecretStr
    from sqlalchemy import RowMapping
    from starlette.types import ASGIApp

logger = structlog.get_logger()

T = TypeVar("T")

POLL_S = 1.0
"""How often a process looks for work that another one left."""
SWEEP_S = 600.0
COUNT_S = 10.0
"""How often a process counts the lines that wait."""
SIGN_S = 1.0
"""How often a process renews its leases; cancelled batches are noticed at the same interval."""
RETRY_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 60.0, 60.0)
"""Delays before each further attempt at a line that nobody could answer: a host that is down for
four minutes costs a batch no line. A longer Retry-After takes precedence."""
MOST_WAIT_S = 300.0
THREADS = 4
"""Threads for statements, each of which is short."""
PATIENCE_S = 10.0
"""How long a caller waits for a database that does not answer."""
LEAVE_S = 2.0
"""How long a process that ends waits for it; after that, its parts pass on when their leases
expire."""


CRASHED: LineError = {
    "code": "internal_error",
    "line": None,
    "message": "the service failed when it checked the file; its log has the details",
    "param": None,
}


class BatchStore:
    """Files, batches and their parts, with threads for their statements."""

    def __init__(self, database: BatchDatabase) -> None:
        self.database = database
        self.files = Files(database)
        self.batches = Batches(database)
        self.queue = Queue(database)
        self.left = asyncio.Event()
        """Set when there is work here that a process may claim at once."""
        self._threads: Readers | None = None

    async def run(
        self, call: Callable[..., T], *args: object, within_s: float | None = None, **named: object
    ) -> T:
        """Call it in a thread; raises the StorageError that it raises, or one if it takes too
        long."""
        if self._threads is None:
            self._threads = Readers(THREADS, self.database.close, "batches")
        began = asyncio.wrap_future(self._threads.submit(partial(call, *args, **named)))
        try:
            return await asyncio.wait_for(began, within_s)
        except TimeoutError:
            raise StorageError(f"The batches in {self.database.where} do not answer.") from None

    async def ask(self, call: Callable[..., T], *args: object, **named: object) -> T:
        """`run` for a caller, who does not wait for a database that does not answer."""
        return await self.run(call, *args, within_s=PATIENCE_S, **named)

    def close(self) -> None:
        """A statement that is waiting for the database is left to end by itself."""
        if self._threads is not None:
            self._threads.close(0.1)


@dataclass(eq=False)
class Held:
    """A part that this process answers."""

    work: Work
    until: float
    """On this process's clock: no line is started after it. Counted from before the claim, so that
    it is never later than the database's."""
    left: deque[tuple[int, bytes]]
    under_way: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Its batch was cancelled or has expired, or another process has the part."""


class BatchWorker:
    """One for each serving process."""

    def __init__(
        self,
        app: ASGIApp,
        store: BatchStore,
        *,
        concurrency: Callable[[], int],
        lease_s: Callable[[], float],
        most_lines: Callable[[], int],
        owners: Callable[[], dict[str, SecretStr] | None],
        metrics: Metrics,
    ) -> None:
        """`concurrency`: maximum number of lines in progress; `owners`: whose batches are answered,
        with the key of each."""
        self._app = app
        self._store = store
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._most_lines = most_lines
        self._owners = owners
        self._metrics = metrics
        self._bulks: dict[str, Bulk] = {}
        self._held: dict[PartKey, Held] = {}
        self._lines: set[asyncio.Task[None]] = set()
        self._results: list[tuple[Result, asyncio.Future[None]]] = []
        self._due = asyncio.Event()
        self._moved = asyncio.Event()
        self._stopping = asyncio.Event()
        self._checking: asyncio.Task[None] | None = None
        self._sweep_at = monotonic() + SWEEP_S

    async def run(self) -> None:
        """Run until stopped; then until no line is in progress, and release the parts."""
        beside = [
            asyncio.create_task(work()) for work in (self._say_alive, self._keep, self._count)
        ]
        reported = ""
        try:
            while not self._stopping.is_set():
                try:
                    await self._step()
                    reported = ""
                except StorageError as error:
                    if str(error) != reported:
                        logger.error("batches_wait", error=str(error))
                    reported = str(error)
                    await self._pause(POLL_S)
                except Exception:  # a bug there must not end the other batches
                    logger.exception("batches_crashed")
                    await self._pause(POLL_S)
            while self._lines:
                await asyncio.wait(self._lines)
        finally:
            left = [*beside, *self._lines, *([self._checking] if self._checking else [])]
            for task in left:
                task.cancel()
            await asyncio.wait(left)
            with suppress(StorageError):  # then they are claimed again when their leases expire
                release, held = self._store.queue.release, list(self._held)
                await self._store.run(release, held, within_s=LEAVE_S)
            for bulk in self._bulks.values():
                await bulk.close()

    def stop(self) -> None:
        """Start no more lines; `run` ends when those in progress have."""
        self._stopping.set()
        self._moved.set()
        self._store.left.set()

    async def _step(self) -> None:
        """Start a line, or claim a part, or wait for a reason to check again."""
        self._moved.clear()
        if len(self._lines) >= self._concurrency():
            await self._moved.wait()
            return
        if (held := self._next()) is not None:
            place, raw = held.left.popleft()
            held.under_way += 1
            task = asyncio.create_task(self._do(held, place, raw), name="batch-line")
            self._lines.add(task)
            task.add_done_callback(self._ended)
        elif not await self._take_on():
            await self._pause(POLL_S)

    def _next(self) -> Held | None:
        now = monotonic()
        return next((h for h in self._held.values() if h.left and now < h.until), None)

    async def _take_on(self) -> bool:
        """Claim a part, or check a batch that begins; False if there is neither."""
        store, lease_s = self._store, self._lease_s()
        self._store.left.clear()
        if not store.database.in_use:
            return False
        owners = self._owners()
        if self._checking is None or self._checking.done():
            new = await store.run(store.batches.claim_unchecked, store.queue.holder, lease_s)
            if new is not None:
                self._checking = asyncio.create_task(self._check(new), name="batch-check")
        asked_at = monotonic()
        work = await store.run(store.queue.claim, lease_s, None if owners is None else set(owners))
        if work is not None:
            self._held[work.key] = Held(work, asked_at + lease_s, deque(work.lines))
        await store.run(store.batches.settle)
        if monotonic() >= self._sweep_at:
            self._sweep_at = monotonic() + SWEEP_S
            await store.run(store.files.sweep)
            await store.run(store.batches.sweep)
        return work is not None

    async def _check(self, batch: RowMapping) -> None:
        """Beside the lines of other batches, as a large file takes seconds; what fails here is
        checked again when its time is over."""
        store = self._store
        try:
            if errors := await store.run(mistakes, store.files, batch, self._most_lines()):
                await store.run(store.batches.fail, batch["id"], errors)
            else:
                await store.run(store.batches.begin, batch["id"])
        except StorageError as error:
            logger.error("batch_not_checked", batch=batch["id"], error=str(error))
        except Exception:  # checked again it would fail again
            logger.exception("batch_check_crashed", batch=batch["id"])
            await store.run(store.batches.fail, batch["id"], [CRASHED])
        store.left.set()

    async def _pause(self, seconds: float) -> None:
        """Wait until there is work here, a line ends, or the time is over."""
        waits = [asyncio.create_task(e.wait()) for e in (self._store.left, self._moved)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    # -- a line -----------------------------------------------------------------------------------

    async def _do(self, held: Held, place: int, raw: bytes) -> None:
        """Send one line and store its result; a line that could not be answered stays with the
        part."""
        try:
            try:
                result = await self._ask(held, place, raw)
            except Exception:  # it would fail again
                logger.exception("batch_line_crashed")
                result = unasked(held.work.key, place, raw, "internal_error")
            if result is not None:
                kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._results.append((result, kept))
                self._due.set()
                await kept
        finally:
            held.under_way -= 1
            if not held.under_way and not held.left:
                await self._give_back(held)

    async def _ask(self, held: Held, place: int, raw: bytes) -> Result | None:
        line, bulk = orjson.loads(raw), self._bulk(held.work.owner)
        for wait_s in (*RETRY_S, None):
            if bulk is None or held.over.is_set() or self._stopping.is_set():
                return None
            with yielding():
                attempt = await bulk.attempt(line)
            if not attempt.may_pass or (wait_s is None and not self._stopping.is_set()):
                body = json.dumps(attempt.result).encode()
                return Result(held.work.key, place, failed(attempt.result), body)
            self._metrics.batch_line("retried")
            wait_s = max(wait_s or 0.0, min(attempt.retry_after_s, MOST_WAIT_S))
            await self._wait_for_another_try(held, wait_s)
        return None

    async def _wait_for_another_try(self, held: Held, seconds: float) -> None:
        waits = [asyncio.create_task(e.wait()) for e in (held.over, self._stopping)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _bulk(self, owner: str) -> Bulk | None:
        """Sends lines with the owner's key; None if that was removed."""
        owners = self._owners()
        if owners is not None and owner not in owners:
            return None
        if owner not in self._bulks:
            key = owners[owner].get_secret_value() if owners else None
            self._bulks[owner] = Bulk(self._app, key)
        return self._bulks[owner]

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._lines.discard(task)
        self._moved.set()

    async def _give_back(self, held: Held) -> None:
        """Nothing of the part is left here: it is done, or the rest is left for later."""
        self._held.pop(held.work.key, None)
        with suppress(StorageError):  # it passes on when its lease expires
            await self._store.run(self._store.queue.release, [held.work.key])

    # -- beside the lines -------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Store results as they come, all waiting ones in one transaction, until they are
        written."""
        while True:
            await self._due.wait()
            self._due.clear()
            waiting, self._results = self._results, []
            while waiting:
                try:
                    found = [result for result, _ in waiting]
                    done = await self._store.run(self._store.queue.record, found)
                except StorageError as error:
                    logger.error("batch_results_wait", error=str(error), results=len(waiting))
                    await asyncio.sleep(POLL_S)
                    continue
                for result, kept in waiting:
                    self._metrics.batch_line("failed" if result.failed else "completed")
                    kept.set_result(None)
                waiting = []
                if done:
                    with suppress(StorageError):  # the next look for work ends the batch
                        await self._store.run(self._store.batches.settle)
                    self._store.left.set()

    async def _say_alive(self) -> None:
        """Renew the leases; drop parts whose batch has ended, or that another process has."""
        while True:
            await asyncio.sleep(min(SIGN_S, self._lease_s() / 3))
            if not self._held:
                continue
            before, asked_at, lease_s = list(self._held.items()), monotonic(), self._lease_s()
            try:
                going = await self._store.run(
                    self._store.queue.renew, lease_s, [key for key, _ in before]
                )
            except StorageError as error:
                logger.warning("batch_parts_not_held", error=str(error))
                continue
            for key, held in before:
                if going.get(key):
                    held.until = asked_at + lease_s
                else:
                    held.left.clear()
                    held.over.set()
                    if not held.under_way:
                        await self._give_back(held)
            self._moved.set()

    async def _count(self) -> None:
        """Show how much is left, in the metrics."""
        while True:
            if self._store.database.in_use:
                with suppress(StorageError):  # the last number stands until it answers
                    waiting = await self._store.run(self._store.queue.waiting)
                    self._metrics.batches_now(waiting, len(self._lines))
            await asyncio.sleep(COUNT_S)
