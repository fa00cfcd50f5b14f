"""`ChatRouter`, in process and over HTTP, where it is asked for less usual things."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.messages import FunctionMessage as OlderResult
from langchain_core.messages import ToolMessage as Result

from graph.chat_model import ChatRouter
from tests.api.conftest import Service
from tests.graph.test_turn_parts import COUNTED, SAID
from tests.upstream import Behaviour, Upstream

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather somewhere.",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
}
ASK = HumanMessage("What is the weather in Lisbon?")


@pytest.fixture(params=["in process", "over HTTP"])
async def chat(request: pytest.FixtureRequest, service: Service) -> AsyncIterator[ChatRouter]:
    if request.param == "in process":
        yield ChatRouter(router=service.router)
        return
    chat = ChatRouter(base_url=service.url)
    yield chat
    await chat.aclose()


async def streamed(chat: ChatRouter, messages: list[BaseMessage], **how: Any) -> AIMessageChunk:
    whole: Any = None
    async for chunk in chat.astream(messages, **how):
        whole = chunk if whole is None else whole + chunk
    assert isinstance(whole, AIMessageChunk)
    return whole


async def test_log_probabilities_are_in_the_metadata(chat: ChatRouter, upstream: Upstream) -> None:
    upstream.behave("first", Behaviour(text="It is blue.", logprobs=True))
    asked = chat.bind(logprobs=True, top_logprobs=1)
    for message in (
        await asked.ainvoke([ASK]),
        await streamed(chat, [ASK], logprobs=True, top_logprobs=1),
    ):
        found = message.response_metadata["logprobs"]["content"]
        assert [chance["token"] for chance in found] == ["It ", "is ", "blue."]
    assert "logprobs" not in (await chat.ainvoke([ASK])).response_metadata


async def test_usage_names_what_was_cached_and_what_was_thought(
    chat: ChatRouter, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(raw=SAID))
    for message in (await chat.ainvoke([ASK]), await streamed(chat, [ASK])):
        assert message.usage_metadata == COUNTED
    upstream.behave("first", Behaviour())
    assert "input_token_details" not in ((await chat.ainvoke([ASK])).usage_metadata or {})


async def test_an_unknown_argument_is_refused_by_name(chat: ChatRouter, upstream: Upstream) -> None:
    with pytest.raises(Exception, match="`min_p` is not supported here"):
        await chat.ainvoke([ASK], min_p=0.1)
    with pytest.raises(Exception, match="`min_p` is not supported here"):
        await streamed(chat, [ASK], min_p=0.1)
    assert upstream.requests == 0
    await chat.ainvoke([ASK], user="someone", store=True, repetition_penalty=1.0)
    assert {"user", "store", "repetition_penalty"}.isdisjoint(upstream.calls("first")[0].body)


async def test_an_older_functions_loop_travels(chat: ChatRouter, upstream: Upstream) -> None:
    upstream.behave("first", Behaviour(capable=True))
    call = {"name": "get_weather", "arguments": "{}"}
    older = AIMessage("", additional_kwargs={"function_call": call})
    turn: list[BaseMessage] = [ASK, older, OlderResult(name="get_weather", content="fine")]
    done = await chat.ainvoke(turn, functions=[WEATHER])
    assert done.content == "The tools say: fine"
    _, made, result = upstream.calls("first")[0].body["messages"]
    assert made["tool_calls"][0]["id"] == result["tool_call_id"] != ""


async def test_a_result_of_an_invalid_call_finds_it(chat: ChatRouter, upstream: Upstream) -> None:
    invalid = {"name": "get_weather", "args": "{bad", "id": "c1", "error": None}
    said = AIMessage("", invalid_tool_calls=[invalid])
    await chat.ainvoke([ASK, said, Result("no JSON", tool_call_id="c1")])
    made = upstream.calls("first")[0].body["messages"][1]["tool_calls"]
    assert [(c["id"], c["function"]["arguments"]) for c in made] == [("c1", "{bad")]


async def test_calls_without_ids_are_paired(chat: ChatRouter, upstream: Upstream) -> None:
    call = {"name": "get_weather", "args": {}, "id": None, "type": "tool_call"}
    said = AIMessage("", tool_calls=[call])
    await chat.ainvoke([ASK, said, Result("fine", tool_call_id="")])
    _, made, result = upstream.calls("first")[0].body["messages"]
    assert made["tool_calls"][0]["id"] == result["tool_call_id"] != ""


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"provider": "second"}, "`provider` must be an object"),
        ({"models": "second"}, "`models` must be a list"),
        ({"provider": {"only": "second"}}, "`provider.only` must be a list"),
        ({"provider": {"data_collection": "deny"}}, "`provider.data_collection`.* not supported"),
        ({"provider": {"sort": "fame"}}, "`provider.sort`.* not supported"),
    ],
)
async def test_a_wish_that_is_none_is_refused_by_name(
    wish: dict[str, Any], said: str, chat: ChatRouter, upstream: Upstream
) -> None:
    with pytest.raises(Exception, match=said):
        await chat.ainvoke([ASK], **wish)
    assert upstream.requests == 0


async def test_wishes_are_kept(chat: ChatRouter) -> None:
    wish = {"only": ["second"], "max_price": None, "allow_fallbacks": True}
    done = await chat.ainvoke([ASK], provider=wish, models=["auto", "second"])
    assert done.response_metadata["provider"] == "second"
