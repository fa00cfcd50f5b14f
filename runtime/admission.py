"""How many requests race at once, and how many may wait for a place."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from config.errors import OverloadedError
from config.models import Admission

RETRY_AFTER_S = 1.0


class Gate:
    """First come, first served; a request's clocks start when it is let in."""

    def __init__(self, limits: Admission, share: int = 1) -> None:
        """`share` processes divide the limits between them."""
        self.share = share
        self.limits = limits
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.racing = 0
        self.ending = 0
        """Requests that gave their place on and are not over yet."""
        self._wishes: deque[Callable[[], None]] = deque()

    @property
    def limits(self) -> Admission:
        """What is in force in this process."""
        return self._limits

    @limits.setter
    def limits(self, limits: Admission) -> None:
        races = max(1, limits.races // self.share)
        queue = -(-limits.queue // self.share)
        self._limits = limits.model_copy(update={"races": races, "queue": queue})

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Callable[[], None]]:
        """Hold one of the places; OverloadedError at once when the queue is full.

        What is yielded gives the place back before the block ends: the race is decided, and the
        rest (the log's commit, a caller who reads slowly) keeps nobody else waiting. Where as many
        as may race are at that rest already, the place is given back when one of them is over.
        """
        await self._enter()
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
            self._leave()

        try:
            yield leave
        finally:
            over = True
            if held:
                self._leave()
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
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _leave(self) -> None:
        """Hand the place on, or free it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.racing -= 1
