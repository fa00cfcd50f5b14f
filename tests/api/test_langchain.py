"""LangChain's client against the service."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

from tests.api.conftest import Service
from tests.upstream import Behaviour, Upstream


@pytest.fixture
async def model(service: Service) -> ChatOpenAI:
    client = await service.client()
    return ChatOpenAI(
        model="auto",
        async_client=client.chat.completions,
        root_async_client=client,
        api_key="unused",
        base_url=f"{service.url}/v1",
        max_retries=0,
    )


async def test_it_invokes_with_system_message_and_history(
    model: ChatOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text="Bonjour"))
    answer = await model.ainvoke(
        [SystemMessage("In French."), HumanMessage("Hi"), AIMessage("Salut"), HumanMessage("Hello")]
    )
    assert answer.content == "Bonjour"
    assert answer.response_metadata["model_name"] == "first"
    sent = upstream.calls("first")[0].body["messages"]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "user"]


async def test_it_streams(model: ChatOpenAI, upstream: Upstream) -> None:
    upstream.behave("first", Behaviour(text="one two three"))
    assert "".join([str(c.content) async for c in model.astream("Hello")]) == "one two three"


@pytest.mark.parametrize("asked", [True, False])
async def test_streamed_usage_is_counted_once(
    asked: bool, model: ChatOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(tokens=6))
    whole = None
    async for chunk in model.astream("Hello", stream_usage=asked):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 6


async def test_its_options_are_passed_on(model: ChatOpenAI, upstream: Upstream) -> None:
    await model.bind(temperature=0.5, stop=["END"], max_tokens=9).ainvoke("Hello")
    sent = upstream.calls("first")[0].body
    assert (sent["temperature"], sent["stop"]) == (0.5, ["END"])
    assert 9 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
