"""The agents in `examples/` with tools, against a service over the scripted upstream."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

import pytest

from graph.chat_model import ChatRouter
from graph.router import Router
from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream

QUESTION = "What is the weather in Lisbon?"
ANSWER = "The tools say: 22 degrees and sunny in Lisbon"


@pytest.mark.parametrize("name", ["agent_langgraph", "agent_openai"])
def test_an_example_stays_under_forty_lines(name: str) -> None:
    assert len(Path(f"examples/{name}.py").read_text().splitlines()) < 40


async def test_the_langgraph_agent_answers_by_its_tool(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    for model in ("first", "cheap"):
        upstream.behave(model, Behaviour(capable=True))
    example = importlib.import_module("examples.agent_langgraph")
    router = Router(settings_for(upstream))
    try:
        chat = ChatRouter(router=router)
        assert await asyncio.to_thread(example.answer, QUESTION, chat) == ANSWER
    finally:
        await asyncio.to_thread(router.close)
