"""pydantic-ai's agents, through three of its model classes."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import ANSWER, QUESTION, get_weather
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

CLIENT = "Pydantic AI"
PACKAGE = "pydantic-ai-slim"
NEEDS = "`OpenAIProvider(base_url=…/v1)`, or `AnthropicProvider(base_url=…)` without `/v1`"


class Place(BaseModel):
    city: str


@pytest.fixture(params=["chat", "responses", "messages"])
def made(request: pytest.FixtureRequest, url: str, key: str) -> Any:
    """Makes a model of each class."""
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key=key)
    match request.param:
        case "chat":
            return lambda name: OpenAIChatModel(name, provider=provider)
        case "responses":
            return lambda name: OpenAIResponsesModel(name, provider=provider)
    anthropic = AnthropicProvider(base_url=url, api_key=key)
    return lambda name: AnthropicModel(name, provider=anthropic)


@pytest.mark.parametrize("name", ["auto", "broken"])
async def test_agent_with_tools(name: str, made: Any) -> None:
    agent = Agent(made(name), tools=[get_weather])
    assert (await agent.run(QUESTION)).output == ANSWER


async def test_agent_with_tools_streamed(made: Any) -> None:
    agent = Agent(made("auto"), tools=[get_weather])
    async with agent.run_stream(QUESTION) as run:
        assert await run.get_output() == ANSWER


async def test_type_of_output(made: Any) -> None:
    agent = Agent(made("auto"), output_type=Place)
    assert isinstance((await agent.run("Where is Lisbon?")).output, Place)


async def test_two_turns(made: Any) -> None:
    agent = Agent(made("auto"))
    first = await agent.run("Why is the sky blue?")
    second = await agent.run("And at night?", message_history=first.all_messages())
    assert second.output.startswith("word0")


async def test_an_error_for_a_stream_that_is_cut_in_a_call(made: Any) -> None:
    agent = Agent(made("cut"), tools=[get_weather])
    with pytest.raises(Exception, match=r".") as caught:
        async with agent.run_stream(QUESTION) as run:
            await run.get_output()
    assert not isinstance(caught.value, AssertionError)
