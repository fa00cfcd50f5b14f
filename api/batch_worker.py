"""Answers the lines of batches behind the service's own requests, as many processes as there are.

A line passes through the same routes as a caller's request, with the key of whoever left it, so
that limits, budgets and breakers hold; it yields to callers at the gate. Its place among those
under way is free once its result is kept: when a process is killed, what was under way in it is
asked again and nothing else is.
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

import structlog

from api.bulk import Bulk, failed, mistakes
from batches.database import BatchDatabase
from batches.files import Files
from batches.queue import PartKey, Queue, Result, Work, unasked
from batches.store import Batches
from config.errors import StorageError
from runtime.admission import yielding
from telemetry.queries import Readers

if TYPE_CHECKING:
    from pydantic import SecretStr
    from starlette.types import ASGIApp

logger = structlog.get_logger()

T = TypeVar("T")

POLL_S = 1.0
"""How often a process looks for what another one was left."""
SWEEP_S = 600.0
SIGN_S = 1.0
"""How often a process says that it lives; cancelled batches are noticed as often."""
RETRY_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 60.0, 60.0)
"""How long a line waits before each further try where nobody could answer: a host that was away for
four minutes costs a batch no line. Retry-After counts where it is longer."""
MOST_WAIT_S = 300.0
THREADS = 4
"""For statements; each is short."""
PATIENCE_S = 10.0
"""How long a caller waits for a database that is silent."""
LEAVE_S = 2.0
"""How long a process that ends waits for it; then its parts pass on when their time is over."""


class BatchStore:
    """Files, batches and their parts, with threads for their statements."""

    def __init__(self, database: BatchDatabase) -> None:
        self.database = database
        self.files = Files(database)
        self.batches = Batches(database)
        self.queue = Queue(database)
        self.left = asyncio.Event()
        """Set when something was left here that a process may take on at once."""
        self._threads: Readers | None = None

    async def run(
        self, call: Callable[..., T], *args: object, within_s: float | None = None, **named: object
    ) -> T:
        """Call it in a thread; StorageError as it raises it, or where it takes longer."""
        if self._threads is None:
            self._threads = Readers(THREADS, self.database.close, "batches")
        began = asyncio.wrap_future(self._threads.submit(partial(call, *args, **named)))
        try:
            return await asyncio.wait_for(began, within_s)
        except TimeoutError:
            raise StorageError(f"The batches in {self.database.where} do not answer.") from None

    async def ask(self, call: Callable[..., T], *args: object, **named: object) -> T:
        """`run` for a caller, who does not wait for a silent database."""
        return await self.run(call, *args, within_s=PATIENCE_S, **named)

    def close(self) -> None:
        """A statement that a silent database keeps waiting is left to end by itself."""
        if self._threads is not None:
            self._threads.close(0.1)


@dataclass(eq=False)
class Held:
    """A part that this process answers."""

    work: Work
    until: float
    """On this process's clock: no line is begun after it. Counted from before it was asked for, so
    that it is never later than the database's."""
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
    ) -> None:
        """`concurrency`: how many lines may be under way; `owners`: whose batches go on, with the
        key of each."""
        self._app = app
        self._store = store
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._most_lines = most_lines
        self._owners = owners
        self._bulks: dict[str, Bulk] = {}
        self._held: dict[PartKey, Held] = {}
        self._lines: set[asyncio.Task[None]] = set()
        self._results: list[tuple[Result, asyncio.Future[None]]] = []
        self._due = asyncio.Event()
        self._moved = asyncio.Event()
        self._stopping = asyncio.Event()
        self._sweep_at = monotonic() + SWEEP_S

    async def run(self) -> None:
        """Until it is stopped; then until nothing is under way, and parts are given back."""
        beside = [asyncio.create_task(work()) for work in (self._say_alive, self._keep)]
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
                except Exception:  # a bug there does not end what other batches wait for
                    logger.exception("batches_crashed")
                    await self._pause(POLL_S)
            while self._lines:
                await asyncio.wait(self._lines)
        finally:
            for task in (*beside, *self._lines):
                task.cancel()
            await asyncio.wait([*beside, *self._lines])
            with suppress(StorageError):  # then they are taken over when their time is over
                release, held = self._store.queue.release, list(self._held)
                await self._store.run(release, held, within_s=LEAVE_S)
            for bulk in self._bulks.values():
                await bulk.close()

    def stop(self) -> None:
        """Begin no line any more; `run` ends with those under way."""
        self._stopping.set()
        self._moved.set()
        self._store.left.set()

    async def _step(self) -> None:
        """Begin a line, or take on a part, or wait for a reason to look again."""
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
        """Take on a part, or check a batch that begins; False where there is neither."""
        store, lease_s = self._store, self._lease_s()
        self._store.left.clear()
        if not store.database.in_use:
            return False
        owners = self._owners()
        if new := await store.run(store.batches.claim_unchecked, store.queue.holder, lease_s):
            if errors := await store.run(mistakes, store.files, new, self._most_lines()):
                await store.run(store.batches.fail, new["id"], errors)
            else:
                await store.run(store.batches.begin, new["id"])
            return True
        asked_at = monotonic()
        work = await store.run(store.queue.claim, lease_s, None if owners is None else set(owners))
        if work is not None:
            self._held[work.key] = Held(work, asked_at + lease_s, deque(work.lines))
            return True
        await store.run(store.batches.settle)
        if monotonic() >= self._sweep_at:
            self._sweep_at = monotonic() + SWEEP_S
            await store.run(store.files.sweep)
            await store.run(store.batches.sweep)
        return False

    async def _pause(self, seconds: float) -> None:
        """Until something is left here, a line ends, or the time is over."""
        waits = [asyncio.create_task(e.wait()) for e in (self._store.left, self._moved)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    # -- a line -----------------------------------------------------------------------------------

    async def _do(self, held: Held, place: int, raw: bytes) -> None:
        """Ask one line and keep its result; what could not be asked stays with the part."""
        try:
            try:
                result = await self._ask(held, place, raw)
            except Exception:  # asked again it would fail again
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
        line, bulk = json.loads(raw), self._bulk(held.work.owner)
        for wait_s in (*RETRY_S, None):
            if bulk is None or held.over.is_set() or self._stopping.is_set():
                return None
            with yielding():
                attempt = await bulk.attempt(line)
            if not attempt.may_pass or (wait_s is None and not self._stopping.is_set()):
                body = json.dumps(attempt.result).encode()
                return Result(held.work.key, place, failed(attempt.result), body)
            wait_s = max(wait_s or 0.0, min(attempt.retry_after_s, MOST_WAIT_S))
            await self._wait_for_another_try(held, wait_s)
        return None

    async def _wait_for_another_try(self, held: Held, seconds: float) -> None:
        waits = [asyncio.create_task(e.wait()) for e in (held.over, self._stopping)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _bulk(self, owner: str) -> Bulk | None:
        """Asks with the owner's key; None where it was taken away."""
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
        """Nothing of the part is left here: it is done, or its rest is for another time."""
        self._held.pop(held.work.key, None)
        with suppress(StorageError):  # it passes on when its time is over
            await self._store.run(self._store.queue.release, [held.work.key])

    # -- beside the lines -------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Write results as they come, all that wait in one transaction, until they are written."""
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
                for _, kept in waiting:
                    kept.set_result(None)
                waiting = []
                if done:
                    self._store.left.set()

    async def _say_alive(self) -> None:
        """Hold the parts for longer; leave those whose batch has ended, or that are another's."""
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
