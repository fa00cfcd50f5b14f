"""LlamaIndex's class for servers that speak OpenAI's API."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

CLIENT = "LlamaIndex"
PACKAGE = "llama-index-llms-openai-like"
NEEDS = "`OpenAILike(api_base=…/v1, is_chat_model=True, is_function_calling_model=True)`"


class Place(BaseModel):
    """A place."""

    city: str


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.fixture
def made(url: str, key: str) -> Any:
    how: Any = {"api_base": url, "api_key": key, "context_window": 8000, "max_retries": 0}
    how |= {"is_chat_model": True, "is_function_calling_model": True}
    return lambda name, **more: OpenAILike(model=name, **{**how, **more})


def test_chat(made: Any) -> None:
    said = made("auto").chat([ChatMessage(content="Why is the sky blue?")])
    assert str(said.message.content).startswith("word0")


def test_chat_streamed(made: Any) -> None:
    pieces = made("auto").stream_chat([ChatMessage(content="Why is the sky blue?")])
    assert list(pieces)[-1].message.content.startswith("word0")


def test_legacy_completions(made: Any) -> None:
    assert made("auto", is_chat_model=False).complete("Why is it?").text.startswith("word0")


@pytest.mark.parametrize("name", ["auto", "broken"])
async def test_agent_with_tools(name: str, made: Any) -> None:
    agent = FunctionAgent(tools=[get_weather], llm=made(name), streaming=True)
    said = await agent.run("What is the weather in Lisbon?")
    assert str(said) == "The tools say: sunny in Lisbon"


def test_structured_output(made: Any) -> None:
    said = made("auto").as_structured_llm(Place).complete("Where is Lisbon?")
    assert said.raw.city == "Lisbon"


def test_embeddings(url: str, key: str) -> None:
    model = OpenAILikeEmbedding(model_name="auto", api_base=url, api_key=key)
    assert len(model.get_text_embedding("The sky is blue.")) == 384


def test_another_provider_for_one_that_fails(made: Any) -> None:
    asked = [ChatMessage(content="Why is the sky blue?")]
    assert str(made("broken").chat(asked).message.content).startswith("word0")
    assert list(made("broken").stream_chat(asked))[-1].message.content.startswith("word0")


@pytest.mark.parametrize(
    "tools", [[FunctionTool.from_defaults(get_weather)], []], ids=["call", "text"]
)
def test_an_error_for_a_stream_that_is_cut(tools: Any, made: Any) -> None:
    pieces = made("cut").stream_chat_with_tools(tools, "What is the weather in Lisbon?")
    with pytest.raises(openai.APIError, match="in the middle of"):
        list(pieces)


async def test_no_tool_run_for_a_call_that_is_cut(made: Any) -> None:
    ran: list[str] = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        ran.append(city)
        return f"sunny in {city}"

    agent = FunctionAgent(tools=[get_weather], llm=made("cut"), streaming=True)
    with pytest.raises(openai.APIError, match="in the middle of"):
        await agent.run("What is the weather in Lisbon?")
    assert not ran
