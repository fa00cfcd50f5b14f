"""Runs the graph for a request of the router: along LangGraph's own loop, over its compiled graph.

`Pregel.astream` surrounds that loop with callbacks, a stream, retries and time limits, and copies
the configuration for each of them. Nobody reads the stream of a run of our own, no node has a
retry or a limit, and callbacks matter only where somebody has a handler; without all of it a run
costs half as much. Which node comes next, and what it reads and writes, stays LangGraph's.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from collections.abc import Collection
from typing import Any

from langchain_core.callbacks import AsyncCallbackManager
from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel._loop import AsyncPregelLoop
from langgraph.runtime import RunControl, Runtime
from langgraph.types import PregelExecutableTask

from race.rendezvous import cancel

Graph = CompiledStateGraph[Any, Any, Any, Any]

RUNTIME = "__pregel_runtime"
"""Where LangGraph's loop looks for the runtime that it hands to a node."""
MOST_STEPS = 25
"""LangGraph's own default."""
LOOKED_S = 1.0

_GIVEN = frozenset({
    "input", "stream", "config", "store", "cache", "nodes", "specs", "checkpointer", "durability",
    "input_keys", "output_keys", "stream_keys", "trigger_to_nodes",
})  # fmt: skip


def _fits() -> bool:
    """Whether the loop takes what we give it; it is not part of LangGraph's public interface."""
    given = inspect.signature(AsyncPregelLoop.__init__).parameters
    needed = {
        name
        for name, one in given.items()
        if one.default is inspect.Parameter.empty and name != "self"
    }
    return needed <= _GIVEN <= given.keys()


FITS = _fits()


class OwnRun(RunControl):
    """The control of a run that `run_through` makes."""


class Listeners:
    """Whether anybody has registered a handler of LangChain's callbacks in this process.

    Looked up at most once in LOOKED_S, for a look costs a tenth of what a run does.
    """

    def __init__(self) -> None:
        self._found = False
        self._again_at = -math.inf

    def __bool__(self) -> bool:
        if (now := time.monotonic()) >= self._again_at:
            self._found = bool(AsyncCallbackManager.configure().handlers)
            self._again_at = now + LOOKED_S
        return self._found


async def run_through(graph: Graph, control: RunControl, listeners: Listeners) -> None:
    """Run the graph for its side effects and events; its final state is not collected.

    The input is in the run's request, so the graph's own input is empty. Where somebody listens to
    callbacks (LangSmith's variables register such a handler), all goes LangGraph's usual way.
    """
    if not FITS or listeners:
        async for _ in graph.astream({}, stream_mode=[], control=control):
            pass
        return
    async with _loop(graph, control) as loop:
        while loop.tick():
            await _superstep(loop.tasks.values())
            loop.after_tick()
    if loop.status != "done":
        raise RuntimeError(f"the graph stopped as {loop.status!r}")


def _loop(graph: Graph, control: RunControl) -> AsyncPregelLoop:
    config = RunnableConfig(
        tags=[],
        metadata={},
        callbacks=None,
        recursion_limit=MOST_STEPS,
        configurable={RUNTIME: Runtime(control=control)},
    )
    return AsyncPregelLoop(
        {},
        stream=None,
        config=config,
        store=None,
        cache=None,
        checkpointer=None,
        durability="exit",
        nodes=graph.nodes,
        specs=graph.channels,
        input_keys=graph.input_channels,
        output_keys=graph.output_channels,
        stream_keys=graph.stream_channels_asis,
        trigger_to_nodes=graph.trigger_to_nodes,
    )


async def _superstep(nodes: Collection[PregelExecutableTask]) -> None:
    """Run the nodes of one step at once; the first exception ends the others, as LangGraph does."""
    if len(nodes) == 1:
        for node in nodes:
            await _run(node)
        return
    running = [asyncio.create_task(_run(node), name=node.name) for node in nodes]
    try:
        await asyncio.gather(*running)
    finally:
        for task in running:
            if not task.done():
                await cancel(task)


async def _run(node: PregelExecutableTask) -> None:
    """A node's function, then what LangGraph put behind it: its writes, and its branches."""
    value = node.input
    for step in getattr(node.proc, "steps", (node.proc,)):
        value = await step.ainvoke(value, node.config)
