"""The graph: all its nodes and all its edges.

        ┌─ primary ──┐
classify┤            ├─ join ── log ──?── rerank
        └─ fallback ─┘
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from nodes.classify import classify
from nodes.fallback import fallback
from nodes.join import join
from nodes.log import log
from nodes.primary import primary
from nodes.rerank import rerank
from race.rendezvous import Rendezvous
from race.services import Services
from race.state import State

Node = Callable[[State, Services, Rendezvous], Awaitable[State]]


class Bound(Protocol):
    """A node as LangGraph calls it."""

    def __call__(self, state: State) -> Awaitable[State]: ...


Graph = CompiledStateGraph[State, None, State, State]

_TOLD = {
    "classify": "route",
    "primary": "primary",
    "fallback": "fallback",
    "join": "answer",
    "log": "logged",
    "rerank": "reranked",
}
"""The key of a node's output that its `node` event carries."""


def build(services: Services) -> Graph:
    """Compile the graph over these services.

    The services are bound here rather than passed as LangGraph's runtime context, so that the
    bare graph runs with nothing but a prompt, in a notebook and in LangGraph Studio too.
    """
    graph = StateGraph(State)
    for node in (classify, primary, fallback, join, log, rerank):
        graph.add_node(node.__name__, bound(node, services))
    graph.add_edge(START, "classify")
    graph.add_edge("classify", "primary")
    graph.add_edge("classify", "fallback")
    graph.add_edge(["primary", "fallback"], "join")
    graph.add_edge("join", "log")
    graph.add_conditional_edges("log", is_rerank_due, {True: "rerank", False: END})
    graph.add_edge("rerank", END)
    return graph.compile(name="router")


async def run_through(graph: Graph, state: State) -> None:
    """Run the graph for what its nodes do and tell; its final state is not even gathered."""
    async for _ in graph.astream(state, stream_mode=[]):
        pass


async def is_rerank_due(state: State) -> bool:
    """Async, for LangGraph would send a plain function to a worker thread."""
    return bool(state.get("cause"))


def bound(node: Node, services: Services) -> Bound:
    """A node with its services and its request's rendezvous, told of as it starts and ends."""
    name = node.__name__

    async def run(state: State) -> State:
        r = _rendezvous(state, services)
        r.emit("node", name=name, phase="started")
        try:
            update = await node(state, services, r)
        except BaseException as error:
            r.emit("node", name=name, phase="failed", error=str(error) or type(error).__name__)
            leave(services, r)
            raise
        r.emit("node", name=name, phase="ended", output=_told(name, update))
        r.emit_waiting()
        if name == "rerank" or (name == "log" and not update.get("cause")):
            leave(services, r)
        return update

    run.__name__ = name
    return run


def leave(services: Services, r: Rendezvous) -> None:
    """Forget a request; nothing of it may remain in memory."""
    r.close()
    services.races.pop(r.request_id, None)


def _rendezvous(state: State, services: Services) -> Rendezvous:
    """This request's meeting point; the bare graph's first node makes it."""
    request_id = state.get("request_id") or uuid.uuid4().hex
    r = services.races.get(request_id)
    if r is None:
        if "route" in state:
            raise RuntimeError(f"request {request_id} is over")
        r = services.races[request_id] = Rendezvous(request_id, get_stream_writer())
    return r


def _told(name: str, update: State) -> Any:
    return update.get(_TOLD[name])
