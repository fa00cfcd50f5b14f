"""How many requests race at once, and how many may wait for a place."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

from config.errors import OverloadedError
from config.models import Admission

RETRY_AFTER_S = 1.0

YIELDED = 4
"""While callers are being answered, batches may use one in this many of their places, since they
share processor and upstreams with callers."""

_yields: ContextVar[bool] = ContextVar("yields", default=False)


@contextmanager
def yielding() -> Iterator[None]:
    """Requests made in this block, through any route, yield to those of callers."""
    before = _yields.set(True)
    try:
        yield
    finally:
        _yields.reset(before)


class Gate:
    """First come, first served; a request's clocks start when it is admitted.

    Requests of batches (`yielding`) use at most `admission.batch` of the places. They are admitted
    when no caller waits, and only a quarter of them while callers are being answered.
    """

    def __init__(self, limits: Admission, share: int = 1) -> None:
        """`share` processes divide the limits between them."""
        self.share = share
        self.limits = limits
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._yielding: deque[asyncio.Future[None]] = deque()
        self.racing = 0
        """Places that are held, those of batches among them."""
        self.batch = 0
        """Places that requests of batches hold."""
        self.ending = 0
        """Requests that released their place but are not finished yet."""
        self._wishes: deque[Callable[[], None]] = deque()

    @property
    def limits(self) -> Admission:
        """The limits of this process."""
        return self._limits

    @limits.setter
    def limits(self, limits: Admission) -> None:
        races = max(1, limits.races // self.share)
        queue = -(-limits.queue // self.share)
        batch = max(1, limits.batch // self.share)
        update = {"races": races, "queue": queue, "batch": batch}
        self._limits = limits.model_copy(update=update)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Callable[[], None]]:
        """Hold one of the places; raises OverloadedError at once if the queue is full.

        Calling the yielded function releases the place before the block ends: the race is decided,
        and the rest (the log's commit, a slow reader) should not keep others waiting. If as many
        requests as may race are already in that phase, the place is released when one of them
        finishes.
        """
        yields = _yields.get()
        await (self._enter_behind() if yields else self._enter())
        held, over = True, False

        def leave() -> None:
            nonlocal held
            if not held or over:
                return
            if self.ending >= self.limits.races:
                self._wishes.append(leave)
                return
            held = False
            self.ending += 1
            self._leave(yields)

        try:
            yield leave
        finally:
            over = True
            if held:
                self._leave(yields)
            else:
                self.ending -= 1
                while self._wishes and self.ending < self.limits.races:
                    self._wishes.popleft()()

    async def _enter(self) -> None:
        if self.racing < self.limits.races and not self._waiting:
            self.racing += 1
            return
        if len(self._waiting) >= self.limits.queue:
            raise OverloadedError(
                f"{self.racing} requests are being answered and {len(self._waiting)} wait; "
                "try again in a moment",
                RETRY_AFTER_S,
            )
        await self._turn(self._waiting, yields=False)

    async def _enter_behind(self) -> None:
        """Wait, however long, until no caller does; batches bound how many of theirs ask."""
        if not self._yielding and self._has_room_behind():
            self.racing += 1
            self.batch += 1
            return
        await self._turn(self._yielding, yields=True)

    async def _turn(self, queue: deque[asyncio.Future[None]], *, yields: bool) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave(yields)
            elif turn in queue:
                queue.remove(turn)
            raise

    def _leave(self, yields: bool) -> None:
        """Hand the place on to a caller, or free it."""
        if yields:
            self.batch -= 1
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.racing -= 1
        while self._yielding and self._has_room_behind():
            turn = self._yielding.popleft()
            if not turn.done():
                self.racing += 1
                self.batch += 1
                turn.set_result(None)

    def _has_room_behind(self) -> bool:
        most = self.limits.batch
        if self.racing > self.batch:
            most = max(1, most // YIELDED)
        return not self._waiting and self.racing < self.limits.races and self.batch < most
