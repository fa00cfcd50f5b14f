"""One request on its way to one tab: events are folded as they come, frames keep their own pace;
and its late answer, if it comes after all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from config.errors import RouterError
from race.events import Event, LateAnswer
from ui.view import View
from ui.wording import say

FRAME_S = 0.04
"""A browser draws 60 frames a second and drowns in more; 25 a second look like all of them."""

Events = AsyncIterator[Event]


class Run:
    """Folds a stream into a view. `stop` may be called at any time, from the same event loop."""

    def __init__(self, view: View, events: Events) -> None:
        self.view = view
        self._events = events
        self._pump: asyncio.Task[None] | None = None
        self._stir = asyncio.Event()
        self._stopped = False

    def stop(self) -> None:
        """End the request: both upstream calls are closed within milliseconds."""
        self._stopped = True
        if self._pump is not None:
            self._pump.cancel()
        self._stir.set()

    async def frames(self) -> AsyncIterator[View]:
        """The view whenever it changed, at most 25 times a second; the last one is complete.

        Leaving the iterator ends the request.
        """
        if self._stopped:
            self.view.end(stopped=True)
            yield self.view
            return
        self._pump = asyncio.create_task(self._fold(), name="page-run")
        self._pump.add_done_callback(lambda _: self._stir.set())
        clock, due = asyncio.get_running_loop().time, 0.0
        try:
            while not self._pump.done():
                await self._stir.wait()
                self._stir.clear()
                if not self._pump.done():
                    due = due + FRAME_S if clock() < due + 2 * FRAME_S else clock()
                    yield self.view
                    await asyncio.wait({self._pump}, timeout=due + FRAME_S - clock())
            bug = self._settle(self._pump)
            yield self.view
            if bug is not None:
                raise bug
        finally:
            await self._leave(self._pump)

    async def _fold(self) -> None:
        async with aclosing(self._events) as events:  # type: ignore[type-var]
            async for event in events:
                self.view.apply(event)
                self._stir.set()

    def _settle(self, pump: asyncio.Task[None]) -> BaseException | None:
        """End the view as the stream ended; an error that was not expected is given back."""
        if pump.cancelled():
            self.view.end(stopped=True)
            return None
        error = pump.exception()
        if error is None:
            self.view.end()
        elif isinstance(error, RouterError):
            self.view.end(error=str(error))
        else:
            self.view.end(error=say("run.something_went_wrong"))
            return error
        return None

    async def _leave(self, pump: asyncio.Task[None]) -> None:
        pump.cancel()
        while not pump.done():
            await asyncio.wait({pump})


class Runs:
    """The running request of each tab, so that its stop button and its closing can end it."""

    def __init__(self) -> None:
        self._by_tab: dict[str, Run] = {}

    def __len__(self) -> int:
        return len(self._by_tab)

    def begin(self, tab: str, run: Run) -> None:
        self.stop(tab)
        self._by_tab[tab] = run

    def end(self, tab: str, run: Run) -> None:
        if self._by_tab.get(tab) is run:
            del self._by_tab[tab]

    def stop(self, tab: str) -> None:
        """End what the tab is waiting for, if anything."""
        run = self._by_tab.pop(tab, None)
        if run is not None:
            run.stop()


class LateAnswers:
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
        """The request's late answer, when it comes; None when it will not be waited for.

        An answer that comes before anybody waits is kept until it is forgotten.
        """
        future = self._waiting.get(request_id)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            self._waiting[request_id] = future
        return future

    def forget(self, request_id: str) -> None:
        """Nobody waits for it any more."""
        future = self._waiting.pop(request_id, None)
        if future is not None and not future.done():
            future.set_result(None)

    async def _read(self) -> None:
        async for answer in self._subscribe():
            future = self._waiting.get(answer["request_id"])
            if future is not None and not future.done():
                future.set_result(answer)
        for request_id in list(self._waiting):
            self.forget(request_id)
