"""The agents in `examples/` with tools, against a service over the scripted upstream."""

from __future__ import annotations

import asyncio
import importlib
import tomllib
from pathlib import Path

import anthropic
import pytest

from graph.chat_model import ChatRouter
from graph.router import Router
from tests.api.conftest import serving
from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream

QUESTION = "What is the weather in Lisbon?"
ANSWER = "The tools say: 22 degrees and sunny in Lisbon"


@pytest.mark.parametrize("name", ["agent_anthropic", "agent_langgraph", "agent_openai"])
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


async def test_the_anthropic_agent_answers_by_its_tool(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    for model in ("first", "cheap"):
        upstream.behave(model, Behaviour(capable=True))
    example = importlib.import_module("examples.agent_anthropic")
    async with serving(settings_for(upstream)) as service:
        with anthropic.Anthropic(base_url=service.url, api_key="none", max_retries=0) as client:
            assert await asyncio.to_thread(example.answer, QUESTION, client) == ANSWER


def test_the_coding_agents_example_names_this_service() -> None:
    example = tomllib.loads(Path("examples/codex.toml").read_text())
    provider = example["model_providers"][example["model_provider"]]
    assert (example["model"], provider["wire_api"]) == ("auto", "responses")
    assert provider["base_url"] == "http://127.0.0.1:7860/v1"
