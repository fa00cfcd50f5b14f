"""Requests in progress: each runs the graph in a task of its own and yields its events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from contextvars import Context

import structlog

from config.errors import NoAnswerError, RouterError, UsageError
from graph.builder import LEFT, Graph, leave
from graph.own_run import Listeners, OwnRun, run_through
from nodes.log import record_unanswered
from race.events import Event
from race.rendezvous import Sink, cancel
from race.request import Asked, Request
from race.services import Services
from runtime.teaching import RecentPrompts

logger = structlog.get_logger()

CLOSED = "the router was closed before the answer was complete"

LAST = frozenset({"answered", "reranked"})
"""The events that end a request."""


def sink_of(events: asyncio.Queue[Event | None], wanted: Collection[str]) -> Sink:
    """Takes a request's events; what nobody wants does not even wake its reader."""
    if not wanted:
        return events.put_nowait
    kept = LAST.union(wanted)

    def take(event: Event) -> None:
        if event["type"] in kept:
            events.put_nowait(event)

    return take


class Run:
    """One request's run of the graph, and the cleanup when it ends early."""

    def __init__(
        self,
        services: Services,
        graph: Graph,
        listeners: Listeners,
        request: Request,
        settle: Callable[[Coroutine[None, None, None]], None],
    ) -> None:
        self._services = services
        self._settle = settle
        self.request = request
        self.control = OwnRun()
        self.closed = False
        self._why: str | None = None
        services.races[(self.control, "")] = request
        # In a context of its own: inside another graph it would otherwise run as a part of that
        # one.
        self.task = asyncio.create_task(
            run_through(graph, self.control, listeners),
            name=f"request-{request.run_id}",
            context=Context(),
        )

    async def end(self, why: str = LEFT) -> None:
        """Clean up; a run that is not over is cancelled, upstream too, and logged."""
        request, self._why = self.request, self._why or why
        if request.logged and not self.task.done():
            self._settle(
                self._finish()
            )  # it is answered and only updates the ranking: nothing more will be billed
            return
        try:
            if not self.task.done():
                await cancel(self.task)
        finally:
            leave(self._services, request)
            if not request.logged:
                self._record(self._why)

    async def close(self) -> None:
        """The router closes: this answer will not be waited for."""
        self.closed = not self.request.logged
        await self.end(CLOSED)

    def _record(self, why: str) -> None:
        """Write its row without delaying the caller. A bug is logged as one."""
        request, bug = self.request, None
        if not self.task.cancelled():
            bug = self.task.exception()
        if isinstance(bug, RouterError) or (bug is None and request.route is None):
            return  # refused before any provider was asked
        left = bug is None
        error = why if left else f"the router failed: {type(bug).__name__}: {bug}"
        request.logged = True
        self._settle(record_unanswered(self._services, request, error, left=left))

    async def _finish(self) -> None:
        await asyncio.wait({self.task})


class Runs:
    """Cancelling a caller must not leave its graph running, which LangGraph's own cancellation
    does, so nothing outside ever cancels a graph directly."""

    def __init__(self) -> None:
        self._running: set[Run] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self.prompts = RecentPrompts()
        self._listeners = Listeners()

    async def events(
        self,
        services: Services,
        graph: Graph,
        asked: Asked,
        came_at: float,
        on_decided: Callable[[], None],
        request_id: str | None = None,
        wanted: Collection[str] = (),
    ) -> AsyncGenerator[Event]:
        """The events of one request as they happen; closing the iterator ends it upstream too.
        `on_decided` is called as soon as its race is decided. Types of events that are not `wanted`
        are left out, if any are named; the LAST ones come always.

        What follows `answered` is held back unless the order changed, so that a caller with an
        answer does not wait for it.
        """
        if request_id and any(r.request_id == request_id for r in services.races.values()):
            raise UsageError(f"a request {request_id} is already running", "request_id")
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        request = Request.begin(
            asked,
            sink_of(events, wanted),
            request_id=request_id,
            came_at=came_at,
            clock=services.log.now,
        )
        request.meeting.decided.add_done_callback(lambda _: on_decided())
        self.prompts.note(request.request_id, asked.prompt)
        run = Run(services, graph, self._listeners, request, self._settle)
        self._running.add(run)
        run.task.add_done_callback(lambda _: events.put_nowait(None))
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
            if run.closed:
                raise NoAnswerError(CLOSED)
            await run.task
        finally:
            self._running.discard(run)
            await run.end()

    async def settled(self) -> None:
        """Wait until everything that has ended by now is written."""
        if self._settling:
            await asyncio.wait(set(self._settling))

    async def close(self, grace_s: float) -> None:
        """Wait `grace_s` seconds for running requests, cancel the rest, and wait for the remaining
        writes of these and of requests whose callers are served or gone."""
        tasks = {run.task for run in self._running}
        if tasks and grace_s > 0:
            await asyncio.wait(tasks, timeout=grace_s)
        await asyncio.gather(*(run.close() for run in list(self._running)))
        while self._settling:
            await asyncio.wait(set(self._settling))

    def _settle(self, work: Coroutine[None, None, None]) -> None:
        """Let the rest of a request finish without the caller."""
        task = asyncio.create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settled)

    def _settled(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        if not task.cancelled() and (bug := task.exception()):
            logger.error("request_not_settled", exc_info=bug)
