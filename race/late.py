"""Primaries that lost by time and whose answers are still awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from race.events import LateAnswer
from race.rendezvous import cancel

logger = structlog.get_logger()

MOST = 256
"""Maximum number of late calls; beyond that the oldest is cancelled."""


class LateAnswers:
    """A supervised, capped set of late calls, and the subscribers to their answers."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._subscribers: set[asyncio.Queue[LateAnswer | None]] = set()
        self._came: dict[str, LateAnswer] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def listen(
        self,
        call: asyncio.Task[None],
        late_s: float,
        give_up: Callable[[], None],
        settle: Callable[[], Awaitable[LateAnswer | None]],
    ) -> None:
        """Wait at most `late_s` seconds for `call`, then settle it and publish its answer.

        `give_up` is called before a call is cancelled because no one waits for it any longer.
        """
        while len(self._tasks) >= MOST:
            next(iter(self._tasks)).cancel()
            self._tasks.pop(next(iter(self._tasks)))
        task = asyncio.create_task(
            self._wait(call, late_s, give_up, settle), name=f"late-{call.get_name()}"
        )
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    def answer(self, request_id: str) -> LateAnswer | None:
        """A request's late answer, if it came; of the last MOST of this process only."""
        return self._came.get(request_id)

    async def subscribe(self) -> AsyncIterator[LateAnswer]:
        """Each late answer from now on, until the set is closed."""
        queue: asyncio.Queue[LateAnswer | None] = asyncio.Queue(maxsize=1000)
        self._subscribers.add(queue)
        try:
            while (answer := await queue.get()) is not None:
                yield answer
        finally:
            self._subscribers.discard(queue)

    async def close(self, grace_s: float) -> None:
        """Wait `grace_s` seconds for calls in progress, then cancel them."""
        if self._tasks and grace_s > 0:
            await asyncio.wait(set(self._tasks), timeout=grace_s)
        for task in list(self._tasks):
            await cancel(task)
        for queue in self._subscribers:
            _offer(queue, None)

    async def _wait(
        self,
        call: asyncio.Task[None],
        late_s: float,
        give_up: Callable[[], None],
        settle: Callable[[], Awaitable[LateAnswer | None]],
    ) -> None:
        try:
            done, _ = await asyncio.wait({call}, timeout=late_s)
        except asyncio.CancelledError:
            give_up()
            await cancel(call)
            await settle()
            raise
        if not done:
            give_up()
            await cancel(call)
        answer = await settle()
        if answer is not None:
            self._came[answer["request_id"]] = answer
            if len(self._came) > MOST:
                del self._came[next(iter(self._came))]
            for queue in self._subscribers:
                _offer(queue, answer)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (bug := task.exception()):
            logger.error("late_answer_crashed", exc_info=bug)


def _offer(queue: asyncio.Queue[LateAnswer | None], item: LateAnswer | None) -> None:
    """A subscriber that does not read loses the oldest answer, never the newest."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)
