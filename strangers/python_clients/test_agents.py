"""The Agents SDK with its default model class, which speaks the Responses API, and the other."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
)
from conftest import ANSWER, QUESTION, get_weather
from pydantic import BaseModel

CLIENT = "OpenAI Agents SDK"
PACKAGE = "openai-agents"
NEEDS = "an `AsyncOpenAI(base_url=…/v1)`; `set_tracing_disabled(True)`"


class Place(BaseModel):
    city: str


@pytest.fixture(params=[OpenAIResponsesModel, OpenAIChatCompletionsModel])
def made(request: pytest.FixtureRequest, url: str, key: str) -> Any:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    return lambda name: request.param(model=name, openai_client=client)


def agent(model: Any, **how: Any) -> Agent[Any]:
    tools = [function_tool(get_weather)]
    return Agent("weather", model=model, tools=tools, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["auto", "broken"])
async def test_agent_with_tools(name: str, made: Any) -> None:
    assert (await Runner.run(agent(made(name)), QUESTION)).final_output == ANSWER


async def test_agent_with_tools_streamed(made: Any) -> None:
    run = Runner.run_streamed(agent(made("auto")), QUESTION)
    kinds = [event.type async for event in run.stream_events()]
    assert "raw_response_event" in kinds
    assert run.final_output == ANSWER


async def test_type_of_output(made: Any) -> None:
    asked = Agent("places", model=made("auto"), output_type=Place)
    assert isinstance((await Runner.run(asked, "Where is Lisbon?")).final_output, Place)


async def test_an_error_for_a_stream_that_is_cut_in_a_call(made: Any) -> None:
    run = Runner.run_streamed(agent(made("cut"), model_settings=ModelSettings()), QUESTION)
    with pytest.raises(Exception, match=r"."):
        _ = [event async for event in run.stream_events()]
