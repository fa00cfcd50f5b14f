"""Noticing that a client left."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive


class Presence:
    """An `async with` whose body ends when the client closes its connection.

    The body is cancelled where it waits, as by `asyncio.timeout`, and execution goes on after the
    block with `left` set. Read the request's body before.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._watching = False
        self.left = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._watching = True
        self._watch = asyncio.create_task(self._wait(), name="client-presence")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._watching = False
        self._watch.cancel()
        if not self.left:
            return False
        return self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._watching:
            self.left = True
            self._task.cancel()
