"""The client's connection: what is written to it, how slowly it may read, and its disconnection."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from starlette.types import Receive, Send

WRITE_S = 30.0
"""A client that reads nothing for so many seconds counts as gone, since it occupies a place."""

STREAM_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ],
}


class Presence:
    """An `async with` block that ends when the client closes its connection.

    Its body is cancelled at its current await, as by `asyncio.timeout`, and execution continues
    after the block with `left` set. Read the request's body before.
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


class SlowReaderError(Exception):
    """The client reads nothing from the connection."""


class Out:
    """The body of a streamed answer; its headers are sent with the first write."""

    def __init__(self, send: Send, patience_s: float = WRITE_S) -> None:
        self._send = send
        self._patience_s = patience_s
        self.open = False
        """The headers were sent and the end was not."""
        self._started = False

    async def write(self, data: bytes, *, more: bool = True) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                if not self._started:
                    self._started = self.open = True
                    await self._send(STREAM_START)
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except TimeoutError:
            self.open = False
            raise SlowReaderError from None

    async def end(self, data: bytes) -> None:
        await self.write(data, more=False)
        self.open = False
