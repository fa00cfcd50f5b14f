"""Answers that came after all, brought to the tab that asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from race.events import LateAnswer


class LateDesk:
    """One subscription a process to the router's late answers, handed out by request id."""

    def __init__(self, subscribe: Callable[[], AsyncIterator[LateAnswer]]) -> None:
        self._subscribe = subscribe
        self._waiting: dict[str, asyncio.Future[LateAnswer | None]] = {}
        self._reader: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to listen, once; must come before the request whose late answer is wanted."""
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read(), name="page-late-answers")

    def expect(self, request_id: str) -> asyncio.Future[LateAnswer | None]:
        """The request's late answer, when it comes; None when it will not be waited for."""
        future = self._waiting.get(request_id)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            self._waiting[request_id] = future
            future.add_done_callback(lambda _: self._waiting.pop(request_id, None))
        return future

    def forget(self, request_id: str) -> None:
        """Nobody waits for it any more."""
        future = self._waiting.get(request_id)
        if future is not None and not future.done():
            future.set_result(None)

    async def _read(self) -> None:
        async for answer in self._subscribe():
            future = self._waiting.get(answer["request_id"])
            if future is not None and not future.done():
                future.set_result(answer)
        for request_id in list(self._waiting):
            self.forget(request_id)
