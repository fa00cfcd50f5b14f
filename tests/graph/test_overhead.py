"""What a request need not pay for: callbacks without a handler, events that nobody wants."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler

from graph.builder import OwnRun
from graph.router import Router
from tests.conftest import SettingsFor
from tests.upstream import Upstream

NODES = {"classify", "primary", "fallback", "join", "log"}


class Names(AsyncCallbackHandler):
    """The names of the runs that callbacks were told of."""

    def __init__(self) -> None:
        self.heard: set[str] = set()

    async def on_chain_start(self, *_: Any, **more: Any) -> None:
        self.heard.add(more["name"])


async def test_a_run_of_our_own_tells_a_handler_of_every_node(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    names = Names()
    async with Router(settings_for(upstream)) as router:
        await router.start()
        asked: Any = {"prompt": "Why?", "category": "technical"}
        state = await router.graph.ainvoke(asked, config={"callbacks": [names]}, control=OwnRun())
    assert names.heard >= NODES
    assert state["answer"]["success"]


async def test_a_run_of_our_own_opens_no_callbacks_where_nobody_listens(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    async with Router(settings_for(upstream)) as router:
        await router.start()
        unheard = {
            n for n, place in router.graph.nodes.items() if type(place.node).__name__ == "Unheard"
        }
    assert unheard >= NODES, (
        "LangGraph puts its nodes together in another way: see graph/builder.py"
    )


async def test_events_that_are_not_wanted_are_left_out(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    async with Router(settings_for(upstream)) as router:
        events = router.stream("Why?", category="technical", wanted={"token"})
        types = [event["type"] async for event in events]
    assert types[-1] == "answered"
    assert set(types) == {"token", "answered"}
