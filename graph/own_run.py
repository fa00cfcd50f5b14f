"""Runs the graph for a request of the router: LangGraph's own steps, over its compiled graph.

`Pregel.astream` surrounds these steps with callbacks, a stream, retries, time limits and a
checkpoint after each of them. Nobody reads the stream of a run of our own, no checkpointer keeps
it, no node has a retry or a limit, and callbacks matter only where somebody has a handler; without
all of it a run costs a third. Which node comes next, and what it reads and writes, stays
LangGraph's.
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
from langgraph.graph import START
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import RunControl, Runtime
from langgraph.types import PregelExecutableTask

from race.rendezvous import cancel

try:
    from langgraph.pregel import _algo, _checkpoint, _io
except ImportError:  # not part of LangGraph's public interface: see `fits`
    _algo = _checkpoint = _io = None  # type: ignore[assignment]

Graph = CompiledStateGraph[Any, Any, Any, Any]

RUNTIME = "__pregel_runtime"
"""Where LangGraph looks for the runtime that it hands to a node."""
MOST_STEPS = 25
"""LangGraph's own default."""
INPUT = "__input__"
"""LangGraph's name for the writes that a run begins with."""
LOOKED_S = 1.0

_GIVEN = {
    "prepare_next_tasks": "checkpoint pending_writes processes channels managed config step stop"
    " for_execution store checkpointer manager trigger_to_nodes updated_channels",
    "apply_writes": "checkpoint channels tasks get_next_version trigger_to_nodes",
    "channels_from_checkpoint": "specs checkpoint",
    "empty_checkpoint": "",
    "map_input": "input_channels chunk",
    "increment": "current channel",
    "PregelTaskWrites": "path name writes triggers",
}
"""What a run calls of LangGraph, and the arguments it gives."""


def fits() -> bool:
    """Whether this version of LangGraph has all that a run calls, with these arguments; they are
    not part of its public interface."""
    return all(_takes(name, set(given.split())) for name, given in _GIVEN.items())


def _takes(name: str, given: set[str]) -> bool:
    found = (getattr(module, name, None) for module in (_algo, _checkpoint, _io))
    function = next((one for one in found if one is not None), None)
    if function is None:
        return False
    known = inspect.signature(function).parameters
    needed = {name for name, one in known.items() if one.default is inspect.Parameter.empty}
    return needed <= given <= known.keys()


FITS = fits()


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
    checkpoint, triggers = _checkpoint.empty_checkpoint(), graph.trigger_to_nodes
    channels, managed = _checkpoint.channels_from_checkpoint(graph.channels, checkpoint)
    config = _config(control)

    def due(step: int, updated: set[str]) -> Collection[PregelExecutableTask]:
        return _algo.prepare_next_tasks(
            checkpoint,
            [],
            graph.nodes,
            channels,
            managed,
            config,
            step,
            MOST_STEPS,
            for_execution=True,
            store=None,
            checkpointer=None,
            manager=None,
            trigger_to_nodes=triggers,
            updated_channels=updated,
        ).values()

    ended: Collection[Any] = [_algo.PregelTaskWrites((), INPUT, [*_io.map_input(START, {})], [])]
    for step in range(MOST_STEPS):
        nodes = due(
            step, _algo.apply_writes(checkpoint, channels, ended, _algo.increment, triggers)
        )
        if not nodes:
            return
        await _superstep(nodes)
        ended = nodes
    raise RuntimeError(f"the graph did not end within {MOST_STEPS} steps")


def _config(control: RunControl) -> RunnableConfig:
    return RunnableConfig(
        tags=[],
        metadata={},
        callbacks=None,
        recursion_limit=MOST_STEPS,
        configurable={RUNTIME: Runtime(control=control)},
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
