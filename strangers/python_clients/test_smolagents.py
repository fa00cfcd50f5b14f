"""smolagents' agents over its model class for OpenAI's API."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from smolagents import AgentGenerationError, OpenAIModel, ToolCallingAgent, tool

CLIENT = "smolagents"
PACKAGE = "smolagents"
NEEDS = "`OpenAIModel(api_base=…/v1)`"


@tool
def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: The city's name.
    """
    return f"sunny in {city}"


@pytest.fixture
def made(url: str, key: str) -> Any:
    return lambda name: OpenAIModel(name, api_base=f"{url}/v1", api_key=key)


def test_chat(made: Any) -> None:
    said = made("auto").generate([{"role": "user", "content": "Why is the sky blue?"}])
    assert said.content.startswith("word0")


def test_chat_streamed(made: Any) -> None:
    asked = [{"role": "user", "content": "Why is the sky blue?"}]
    pieces = made("auto").generate_stream(asked)
    assert "".join(piece.content or "" for piece in pieces).startswith("word0")


@pytest.mark.parametrize("name", ["auto", "broken"])
def test_agent_with_tools(name: str, made: Any) -> None:
    agent = ToolCallingAgent(tools=[get_weather], model=made(name), max_steps=2, verbosity_level=0)
    agent.run("What is the weather in 'Lisbon'?")
    steps = [step for step in agent.memory.steps if getattr(step, "tool_calls", None)]
    assert steps[0].tool_calls[0].name == "get_weather"
    assert "sunny in Lisbon" in str(steps[0].observations)


def test_another_provider_for_one_that_fails(made: Any) -> None:
    asked = [{"role": "user", "content": "Why is the sky blue?"}]
    assert made("broken").generate(asked).content.startswith("word0")
    pieces = made("broken").generate_stream(asked)
    assert "".join(piece.content or "" for piece in pieces).startswith("word0")


@pytest.mark.parametrize("tools", [[get_weather], None], ids=["call", "text"])
def test_an_error_for_a_stream_that_is_cut(tools: Any, made: Any) -> None:
    asked = [{"role": "user", "content": "What is the weather in 'Lisbon'?"}]
    with pytest.raises(openai.APIError, match="in the middle of"):
        list(made("cut").generate_stream(asked, tools_to_call_from=tools))


def test_no_tool_run_for_a_call_that_is_cut(made: Any) -> None:
    how: Any = {"max_steps": 2, "verbosity_level": 0, "stream_outputs": True}
    agent = ToolCallingAgent(tools=[get_weather], model=made("cut"), **how)
    with pytest.raises(AgentGenerationError, match="in the middle of"):
        agent.run("What is the weather in 'Lisbon'?")
    assert not any(getattr(step, "observations", None) for step in agent.memory.steps)
