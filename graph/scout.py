"""The second graph: a better model is searched for, tried, and appended if a person agrees.

    search ── score ──?── try ──?── review ──?── append ── watch
                           └──── another ──┘└── refuse

A thread survives its process: each step is written to the checkpointer before the next begins.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from config.errors import UsageError
from discovery.events import TrialEvent
from discovery.search import Search
from discovery.triggers import Trigger
from nodes import scouting
from nodes.scouting import Review, ScoutInput, ScoutOutput, ScoutState

Find = Callable[[], Awaitable[Search]]
"""The search for the configuration in force."""
ScoutGraph = CompiledStateGraph[ScoutState, None, ScoutInput, ScoutOutput]
Saver = BaseCheckpointSaver[str]

logger = structlog.get_logger()


def build_scout(find: Find, saver: Saver | None = None) -> ScoutGraph:
    """Compile the graph; without a saver, its host provides one."""

    async def search(state: ScoutState) -> ScoutState:
        return await scouting.search(state, await find())

    async def score(state: ScoutState) -> ScoutState:
        return await scouting.score(state, await find())

    async def attempt(state: ScoutState, runtime: Runtime[None]) -> ScoutState:
        found, thread = await find(), _thread(runtime)
        async with scouting.alone(found.settings, thread):
            return await scouting.attempt(state, found, runtime.stream_writer, thread)

    async def review(state: ScoutState) -> ScoutState:
        return await scouting.review(state, await find())

    async def refuse(state: ScoutState, runtime: Runtime[None]) -> ScoutState:
        found, thread = await find(), _thread(runtime)
        async with scouting.alone(found.settings, thread):
            return await scouting.refuse(state, found, thread)

    async def append(state: ScoutState, runtime: Runtime[None]) -> ScoutState:
        found, thread = await find(), _thread(runtime)
        async with scouting.alone(found.settings, thread):
            return await scouting.append(state, found, runtime.stream_writer, thread)

    async def watch(state: ScoutState) -> ScoutState:
        return await scouting.watch(state, await find())

    graph = StateGraph(ScoutState, input_schema=ScoutInput, output_schema=ScoutOutput)
    graph.add_node("search", search)
    graph.add_node("score", score)
    graph.add_node("try", attempt)
    graph.add_node("review", review)
    graph.add_node("refuse", refuse)
    graph.add_node("append", append)
    graph.add_node("watch", watch)
    graph.add_conditional_edges(START, _first, ["search", "watch"])
    graph.add_edge("search", "score")
    graph.add_conditional_edges("score", _found, {True: "try", False: END})
    graph.add_conditional_edges("try", _passed, {True: "review", False: END})
    graph.add_conditional_edges("review", _said, ["try", "append", "refuse"])
    graph.add_edge("refuse", END)
    graph.add_edge("append", "watch")
    graph.add_edge("watch", END)
    return graph.compile(checkpointer=saver, name="scout")


def saver_in(data_dir: Path) -> Saver:
    """The threads' file in the data folder; opened on first use, on the running event loop."""
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    folder = data_dir / "scout"
    folder.mkdir(parents=True, exist_ok=True)
    return AsyncSqliteSaver(aiosqlite.connect(folder / "threads.db"))


async def close_saver(graph: ScoutGraph) -> None:
    """Close the threads' file, if it was opened."""
    if (connection := getattr(graph.checkpointer, "conn", None)) is not None:
        await connection.close()


def _thread(runtime: Runtime[None]) -> str | None:
    return runtime.execution_info.thread_id if runtime.execution_info else None


async def _first(state: ScoutState) -> str:
    """A thread whose model is on trial is checked again; any other run is a new search."""
    return "watch" if state.get("outcome") == "on trial" else "search"


async def _found(state: ScoutState) -> bool:
    return state.get("chosen") is not None


async def _passed(state: ScoutState) -> bool:
    return state.get("decided") is not None


async def _said(state: ScoutState) -> str:
    match state.get("approved"):
        case True:
            return "append"
        case False:
            return "refuse"
        case _:
            return "try"


async def run_scout(
    graph: ScoutGraph, given: ScoutInput | Command[str] | None, thread: str
) -> AsyncGenerator[TrialEvent]:
    """Run a thread until its end or its question; yields the events of its trial as they happen.

    `given` is a new search, a `Command(resume=…)` that answers the question, or None to continue
    where a process was ended. Each step is on disk before the next begins. Raises UsageError for a
    thread that cannot continue.
    """
    config = RunnableConfig(configurable={"thread_id": thread})
    state = await graph.aget_state(config)
    if not isinstance(given, dict) and not state.next:
        raise UsageError(f"there is no search `{thread}` that waits", "thread")
    stream = graph.astream(given, config, stream_mode="custom", durability="sync")
    async with aclosing(cast("AsyncGenerator[TrialEvent]", stream)) as events:
        async for event in events:
            yield event


async def question(graph: ScoutGraph, thread: str) -> Review | None:
    """The thread's question to a person, if it waits for an answer."""
    state = await graph.aget_state({"configurable": {"thread_id": thread}})
    asked = [interrupt.value for interrupt in state.interrupts]
    return asked[0] if asked else None


async def outcome(graph: ScoutGraph, thread: str) -> ScoutState:
    """How far the thread has come."""
    state = await graph.aget_state({"configurable": {"thread_id": thread}})
    return cast("ScoutState", state.values)


ENDED = ("refused", "on trial", "promoted", "rolled back")
RECENT = 500
"""Number of steps searched for unfinished threads."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A thread that waits for an answer, or was interrupted; `question` is None then."""

    thread: str
    category: str
    chosen: str | None
    question: Review | None


async def unfinished(graph: ScoutGraph) -> list[Unfinished]:
    """The threads that can continue, newest first."""
    newest: dict[str, str | None] = {}
    async for step in cast("Saver", graph.checkpointer).alist(None, limit=RECENT):
        thread = step.config["configurable"]["thread_id"]
        newest.setdefault(thread, step.checkpoint["channel_values"].get("outcome"))
    going_on = [thread for thread, ended in newest.items() if ended not in ENDED]
    found: list[Unfinished] = []
    for thread in going_on:  # not above: the saver is locked until its listing ends
        state = await graph.aget_state({"configurable": {"thread_id": thread}})
        if state.next and (category := state.values.get("category")):
            asked = [interrupt.value for interrupt in state.interrupts]
            chosen = state.values.get("chosen")
            found.append(Unfinished(thread, category, chosen, asked[0] if asked else None))
    return found


async def scout_for(graph: ScoutGraph, trigger: Trigger, *, review: bool) -> None:
    """Run the search that a trigger requests, once for its cause; not while a search of the
    category waits for a person. An interrupted one continues if this trigger started it."""
    known = [u for u in await unfinished(graph) if u.category == trigger.category]
    if any(u.question is not None for u in known):
        return
    given: ScoutInput | None = None
    if all(u.thread != trigger.thread for u in known):
        if await outcome(graph, trigger.thread):
            return
        given = ScoutInput(
            category=trigger.category, candidate=trigger.candidate, accepted=[], review=review
        )
    named = {"category": trigger.category, "thread": trigger.thread}
    logger.info("search_started", **named, reason=trigger.why)
    async for _ in run_scout(graph, given, trigger.thread):
        pass
    ended = await outcome(graph, trigger.thread)
    if await question(graph, trigger.thread) is not None:
        logger.info("search_waits", **named, answer=f"--approve {trigger.thread}, or --refuse")
    else:
        logger.info("search_ended", **named, outcome=ended.get("outcome"))


def new_thread(category: str) -> str:
    """A name that is easy to type."""
    return f"{category}-{uuid.uuid4().hex[:6]}"
