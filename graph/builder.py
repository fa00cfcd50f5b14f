"""The graph: all its nodes and all its edges.

        ┌─ primary ──┐
classify┤            ├─ join ── log ──?── rerank
        └─ fallback ─┘
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from config.errors import RouterError
from graph.turn import Turn
from nodes.classify import classify
from nodes.fallback import fallback
from nodes.join import join
from nodes.log import log, record_unanswered
from nodes.primary import primary
from nodes.rerank import rerank
from race.events import NodePhase, Phase
from race.request import Request
from race.services import RunKey, Services
from race.state import Context, Input, Output, State

Node = Callable[[State, Services, Request], Awaitable[State]]


class Bound(Protocol):
    """A node in the form in which LangGraph calls it."""

    def __call__(self, state: State, runtime: Runtime[Context]) -> Awaitable[State]: ...


Graph = CompiledStateGraph[State, Context, Input, Output]

_TOLD = {
    "classify": "route",
    "primary": "primary",
    "fallback": "fallback",
    "join": "answer",
    "log": "logged",
    "rerank": "reranked",
}
"""The key of a node's output that its `node` event includes."""

LEFT = "the caller left before the answer was complete"

PAUSED_S = 300.0
"""Seconds after which a run of the bare graph that rests between two nodes (its host interrupted
it) is forgotten; if it continues, it does so from the values in its state."""


def build(services: Services) -> Graph:
    """Compile the graph over these services.

    The services are bound here rather than passed as LangGraph's runtime context, so that the bare
    graph runs with nothing but a prompt, also in a notebook and in LangGraph Studio.
    """
    return assemble(lambda node: bound(node, services))


def assemble(bind: Callable[[Node], Bound]) -> Graph:
    """Compile the graph of the nodes that `bind` makes callable."""
    graph = StateGraph(State, Context, input_schema=Input, output_schema=Output)
    for node in (classify, primary, fallback, join, log, rerank):
        graph.add_node(node.__name__, bind(node))
    graph.add_edge(START, "classify")
    graph.add_edge("classify", "primary")
    graph.add_edge("classify", "fallback")
    graph.add_edge(["primary", "fallback"], "join")
    graph.add_edge("join", "log")
    graph.add_conditional_edges("log", IsRerankDue(), {True: "rerank", False: END})
    graph.add_edge("rerank", END)
    return graph.compile(name="router")


class IsRerankDue(Runnable[State, bool]):
    """Whether `log` found a cause to rerank. As a plain function it would be a run of callbacks and
    a task of its own in LangGraph, a tenth of what a run of this graph costs."""

    name = "is_rerank_due"

    def invoke(self, input: State, config: RunnableConfig | None = None, **_: object) -> bool:  # noqa: A002
        return bool(input.get("cause"))

    async def ainvoke(
        self,
        input: State,  # noqa: A002
        config: RunnableConfig | None = None,
        **_: object,
    ) -> bool:
        return self.invoke(input)


def bound(node: Node, services: Services) -> Bound:
    """A node with its services and its request; its start and end are events."""
    name = node.__name__

    async def run(state: State, runtime: Runtime[Context]) -> State:
        request = await _request(name, state, services, runtime)
        request.idle_since = None
        request.running += 1
        _emit(request, name, "started")
        try:
            update = await node(state, services, request)
            _emit(request, name, "ended", output=update.get(_TOLD[name]))
            request.meeting.emit_waiting()
            if request.turn is not None:
                update = request.turn.after(name, update)
                await request.turn.heard()
        except BaseException as error:
            _emit(request, name, "failed", error=str(error) or type(error).__name__)
            leave(services, request)
            request.running -= 1
            request.broken = request.broken or error
            await _record_broken(services, request)
            raise
        request.running -= 1
        request.idle_since = request.meeting.now()
        if name == "rerank" or (name == "log" and not update.get("cause")):
            leave(services, request)
        return update

    run.__name__ = name
    return run


async def _record_broken(services: Services, request: Request) -> None:
    """Log a run that its host ended, or that failed by a bug, once none of its nodes is running.
    The runs of requests log themselves; a run that was refused before it was routed is not
    logged."""
    broken = request.broken
    if request.turn is None or request.running or request.logged or request.route is None:
        return
    if isinstance(broken, RouterError):
        return
    left = isinstance(broken, asyncio.CancelledError)
    why = LEFT if left else f"the router failed: {type(broken).__name__}: {broken}"
    request.logged = True
    await record_unanswered(services, request, why, left=left)


def leave(services: Services, request: Request) -> None:
    """Forget a request, so that nothing of it stays in memory."""
    request.meeting.close()
    request.over.set()
    for key in [key for key, running in services.races.items() if running is request]:
        del services.races[key]


def run_key(runtime: Runtime[Context]) -> RunKey:
    """The run of the graph that a node belongs to; a graph may run several times within another
    run."""
    place = runtime.execution_info.checkpoint_ns if runtime.execution_info else ""
    return runtime.control, place.rpartition("|")[0]


async def _request(
    name: str, state: State, services: Services, runtime: Runtime[Context]
) -> Request:
    """This run's request. The bare graph's first node creates it from the caller's values or, if
    the run starts in the middle, at a checkpoint, from what its state contains."""
    key = run_key(runtime)
    request = services.races.get(key)
    if request is None:
        if name == "classify":
            turn = await Turn.begin(state, runtime.context, services, runtime.stream_writer)
        else:
            turn = Turn.resume(state, services, runtime.stream_writer)
        request = Request.begin(
            turn.asked, turn.emit, request_id=turn.run_id, clock=services.log.now
        )
        request.turn = turn
        if name != "classify":
            request.route = state["route"]
        _forget_paused(services, request.meeting.now())
        services.races[key] = request
    if request.turn is not None:
        request.turn.enter(name)
    return request


def _forget_paused(services: Services, now: float) -> None:
    for request in list(services.races.values()):
        if request.idle_since is not None and now - request.idle_since > PAUSED_S:
            leave(services, request)


def _emit(request: Request, name: str, phase: Phase, **more: object) -> None:
    meeting = request.meeting
    event = NodePhase(
        type="node",
        request_id=meeting.request_id,
        at_ms=meeting.elapsed_ms(),
        name=name,
        phase=phase,
    )
    if "output" in more:
        event["output"] = more["output"]
    if "error" in more:
        event["error"] = str(more["error"])
    meeting.emit(event)
