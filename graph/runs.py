"""Requests under way: each runs the graph in a task of our own and tells its events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from config.errors import UsageError
from graph.builder import Graph, leave, run_through
from nodes.log import record_abandoned
from race.rendezvous import Event, Rendezvous, cancel
from race.services import Services
from race.state import State


class Runs:
    """A cancelled caller must not leave its graph running: LangGraph's own cancellation does, so
    nothing outside ever cancels a graph directly."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Task[Any]] = set()

    async def events(
        self,
        services: Services,
        graph: Graph,
        state: State,
        came_at: float,
        on_decided: Callable[[], None],
    ) -> AsyncGenerator[Event]:
        """The events of one request as they happen; closing the iterator ends it upstream too.
        `on_decided` is called as soon as its race is decided.

        What follows `answered` is held back unless the order changed: a caller who has the answer
        is not kept for it.
        """
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        r = Rendezvous(state["request_id"], events.put_nowait, came_at=came_at)
        if r.request_id in services.races:
            raise UsageError(f"a request {r.request_id} is already running", "request_id")
        services.races[r.request_id] = r
        r.decided.add_done_callback(lambda _: on_decided())
        task = asyncio.create_task(run_through(graph, state), name=f"request-{r.request_id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: events.put_nowait(None))
        trailing: list[Event] | None = None
        try:
            while (event := await events.get()) is not None:
                if trailing is None:
                    yield event
                else:
                    trailing.append(event)
                if event["type"] == "answered":
                    trailing = []
                elif event["type"] == "reranked":
                    for waiting in trailing or []:
                        yield waiting
            await task
        finally:
            await self._end(state, services, r, task)

    async def drain(self, grace_s: float) -> None:
        """Wait for what runs, so long at most."""
        if self._running and grace_s > 0:
            await asyncio.wait(set(self._running), timeout=grace_s)

    async def settled(self) -> None:
        """Wait for what is still to be written of requests whose callers are served or gone."""
        while self._settling:
            await asyncio.wait(set(self._settling))

    async def _end(
        self, state: State, services: Services, r: Rendezvous, task: asyncio.Task[None]
    ) -> None:
        """Leave nothing behind; a request whose caller left is logged all the same."""
        if r.logged and not task.done():
            self._settle(task)  # it is answered and only learns: nothing is left to be paid for
            return
        try:
            if not task.done():
                await cancel(task)
        finally:
            leave(services, r)
            if r.route is not None and not r.logged:
                self._settle(asyncio.create_task(record_abandoned(state, services, r)))

    def _settle(self, task: asyncio.Task[Any]) -> None:
        """Let a task end in its own time."""
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
