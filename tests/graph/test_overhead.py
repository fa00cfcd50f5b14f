"""What a request need not pay for: callbacks without a handler, events that nobody wants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, ClassVar

import pytest
from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.tracers.context import register_configure_hook
from langgraph.pregel import _algo

from graph import own_run
from graph.builder import Graph, Node, assemble
from graph.router import Router
from nodes.classify import foregone
from race.request import Asked
from race.state import State
from tests.conftest import SettingsFor
from tests.upstream import Upstream

NODES = {"classify", "primary", "fallback", "join", "log"}
VARIABLE = "ROUTER_TESTS_LISTEN"


class Names(AsyncCallbackHandler):
    """The names of the runs that callbacks were told of."""

    heard: ClassVar[set[str]] = set()

    async def on_chain_start(self, *_: Any, **more: Any) -> None:
        self.heard.add(more["name"])


register_configure_hook(ContextVar("names", default=None), True, Names, VARIABLE)


def test_the_installed_langgraph_has_the_steps_that_requests_run_on() -> None:
    assert own_run.FITS, "its arguments changed: see graph/own_run.py"


@pytest.mark.parametrize("change", ["increment gone", "increment takes more"])
def test_another_langgraph_is_run_its_usual_way(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    if change == "increment gone":
        monkeypatch.delattr(_algo, "increment")
    else:
        monkeypatch.setattr(_algo, "increment", lambda current, channel, more: more)
    assert not own_run.fits()


@pytest.mark.parametrize("listening", [False, True])
async def test_a_request_visits_the_same_nodes_whether_anybody_listens_or_not(
    upstream: Upstream,
    settings_for: SettingsFor,
    monkeypatch: pytest.MonkeyPatch,
    listening: bool,
) -> None:
    monkeypatch.setenv(VARIABLE, "true" if listening else "")
    Names.heard.clear()
    async with Router(settings_for(upstream)) as router:
        events = [e async for e in router.stream("Why?", category="technical")]
    ended = [e["name"] for e in events if e["type"] == "node" and e["phase"] == "ended"]
    assert sorted(ended) == sorted(NODES)
    assert events[-1]["type"] == "answered"
    assert events[-1]["answer"]["success"]
    assert Names.heard >= NODES if listening else not Names.heard


class Branches:
    """A graph whose fallback waits until it is ended, beside a primary of the test's own."""

    def __init__(self, primary: Callable[[], Awaitable[State]]) -> None:
        self.waiting, self.ended = asyncio.Event(), asyncio.Event()
        self._primary = primary
        self.graph: Graph = assemble(self._bind)

    def _bind(self, node: Node) -> Any:
        async def run(state: State) -> State:
            if node.__name__ == "primary":
                await self.waiting.wait()
                return await self._primary()
            if node.__name__ == "fallback":
                await self._wait()
            return {"request_id": "one"}

        return run

    async def _wait(self) -> None:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def run(self) -> None:
        await own_run.run_through(self.graph, own_run.OwnRun(), own_run.Listeners())


async def test_a_node_that_breaks_ends_its_sibling_and_the_run() -> None:
    async def breaks() -> State:
        raise LookupError("a bug in a node")

    branches = Branches(breaks)
    with pytest.raises(LookupError, match="a bug in a node"):
        await branches.run()
    assert branches.ended.is_set()


async def test_a_run_that_is_cancelled_leaves_no_branch_behind() -> None:
    async def hangs() -> State:
        await asyncio.Event().wait()
        return {}

    branches = Branches(hangs)
    running = asyncio.create_task(branches.run())
    await branches.waiting.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert branches.ended.is_set()
    assert {task.get_name() for task in asyncio.all_tasks()}.isdisjoint({"primary", "fallback"})


async def test_events_that_are_not_wanted_are_left_out(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    async with Router(settings_for(upstream)) as router:
        events = router.stream("Why?", category="technical", wanted={"token"})
        types = [event["type"] async for event in events]
    assert types[-1] == "answered"
    assert set(types) == {"token", "answered"}


def test_a_prompt_is_read_only_where_its_category_is_open(settings_for: SettingsFor) -> None:
    settings = settings_for()
    open_, named = Asked("Why?"), Asked("Why?", category="technical")
    assert foregone(open_, settings) is None
    assert foregone(Asked("Why?", category="unknown"), settings) is None
    found = foregone(named, settings)
    assert found is not None
    assert (found.category, found.confidence) == ("technical", 1.0)
    assert found.probabilities.keys() == settings.categories.keys()
    assert sum(found.probabilities.values()) == 1.0
    [only] = ["general"]
    alone = settings.model_copy(update={"categories": {only: settings.categories[only]}})
    found = foregone(open_, alone)
    assert found is not None
    assert (found.category, found.probabilities) == (only, {only: 1.0})


async def test_a_named_category_is_not_classified(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    async with Router(settings_for(upstream)) as router:
        events = router.stream("Why?", category="technical", wanted={"classified"})
        [route] = [e async for e in events if e["type"] == "classified"]
    assert route["evidence"] == {
        "decided": "the caller named the category",
        "unsure": False,
        "given": "technical",
    }
