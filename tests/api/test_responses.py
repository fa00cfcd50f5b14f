"""OpenAI's Responses API, by its official client and that client's own types."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from api.errors import RefusedError
from api.parsing import Asked
from api.responses import translated
from tests.api.conftest import Service, checked_events
from tests.upstream import FAULTS, Behaviour, Upstream

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather somewhere.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
    "strict": False,
}
TIME: dict[str, Any] = {
    "type": "function",
    "name": "get_time",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}
QUESTION = "What are the weather and the time in Lisbon?"
ASK: dict[str, Any] = {"model": "auto", "input": QUESTION}
TOOLS: dict[str, Any] = {**ASK, "tools": [WEATHER, TIME]}
CALLS = [("get_weather", '{"location": "Lisbon"}'), ("get_time", "{}")]
CAPABLE = Behaviour(capable=True)
TALKING = Behaviour(text="Let us see.", reasoning=("Hm", "m."), calls=(("get_time", '{"a": 1}'),))
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


class Place(BaseModel):
    city: str


def asked_for(**change: Any) -> Asked:
    """What becomes of `ASK` with these fields."""
    return translated({**ASK, **change})[0].asked(frozenset())


def called(response: Response) -> list[tuple[str, str]]:
    return [(i.name, i.arguments) for i in response.output if i.type == "function_call"]


@pytest.fixture
async def client(service: Service, upstream: Upstream) -> openai.AsyncOpenAI:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, CAPABLE)
    return await service.client()


async def test_a_tool_conversation_goes_there_and_back(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    done = await client.responses.create(**TOOLS)
    Response.model_validate_json(done.to_json(), strict=True)
    assert called(done) == CALLS
    assert (done.status, done.model) == ("completed", "first")
    results = [
        {"type": "function_call_output", "call_id": i.call_id, "output": "42"}
        for i in done.output
        if i.type == "function_call"
    ]
    turns = [{"role": "user", "content": QUESTION}, *done.output, *results]
    async with client.responses.stream(**{**TOOLS, "input": turns}) as stream:
        after = await stream.get_final_response()
    assert after.output_text == "The tools say: 42; 42"
    sent = upstream.calls("first")[1].body["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool"]
    assert [c["function"]["name"] for c in sent[1]["tool_calls"]] == ["get_weather", "get_time"]


async def test_the_events_of_a_stream_are_the_clients_own(
    service: Service, client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", TALKING)
    events = await checked_events(service, "/v1/responses", EVENT, TOOLS)
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert [e.type for e in events][:2] == ["response.created", "response.in_progress"]
    begun = [e.item for e in events if e.type == "response.output_item.added"]
    done = [e.item for e in events if e.type == "response.output_item.done"]
    assert [i.type for i in begun] == ["reasoning", "message", "function_call"]
    assert [i.id for i in begun] == [i.id for i in done]
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output == done
    whole = await client.responses.create(**TOOLS)
    assert [i.type for i in whole.output] == ["reasoning", "message", "function_call"]
    async with client.responses.stream(**TOOLS) as stream:
        streamed = await stream.get_final_response()
    for response in (whole, streamed):
        assert response.output_text == "Let us see."
        assert response.output[0].summary[0].text == "Hmm."
        assert called(response) == [("get_time", '{"a": 1}')]


async def test_an_answer_in_a_form_is_parsed(client: openai.AsyncOpenAI) -> None:
    done = await client.responses.parse(model="auto", input="Where is Lisbon?", text_format=Place)
    assert isinstance(done.output_parsed, Place)


async def test_a_cut_by_length_is_an_incomplete_response(
    service: Service, client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(finish_reason="length"))
    done = await client.responses.create(**ASK, max_output_tokens=5)
    assert (done.status, done.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert (await checked_events(service, "/v1/responses", EVENT, ASK))[
        -1
    ].type == "response.incomplete"


async def test_another_provider_answers_and_a_cut_is_a_failed_response(
    service: Service, client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS["500"], Behaviour(capable=True, cut_after=3))
    async with client.responses.stream(**TOOLS) as stream:
        done = await stream.get_final_response()
    assert done.model in ("second", "cheap")
    assert called(done) == CALLS
    cut = await checked_events(service, "/v1/responses", EVENT, {**TOOLS, "models": ["first"]})
    assert [e.type for e in cut[-2:]] == ["error", "response.failed"]
    assert cut[-1].response.status == "failed"


REQUEST: dict[str, Any] = {
    "model": "auto",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "In English."},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png,x"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "A boat.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "zoom", "arguments": "{}"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "function_call", "call_id": "c2", "name": "zoom", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "done too"}],
        },
    ],
    "tools": [{"type": "function", "name": "zoom"}, {"type": "web_search"}],
    "tool_choice": {"type": "function", "name": "zoom"},
    "text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object"}}},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "store": True,
    "max_output_tokens": 64,
}


def test_a_request_becomes_the_one_request() -> None:
    found, _ = translated(REQUEST)
    asked = found.asked(frozenset())
    roles = ["system", "system", "user", "assistant", "tool", "tool"]
    assert [m["role"] for m in asked.messages] == roles
    assert [c["id"] for c in asked.messages[3]["tool_calls"]] == ["c1", "c2"]
    assert asked.messages[3]["content"] == "A boat."
    assert found.messages[3]["reasoning_content"] == "Hm."
    extra = asked.options["extra"]
    assert extra["tool_choice"] == {"type": "function", "function": {"name": "zoom"}}
    form: Any = extra["response_format"]
    assert form["json_schema"]["schema"] == {"type": "object"}
    assert extra["reasoning_effort"] == "low"
    assert asked.options["max_tokens"] == 64
    assert asked.ignored == ("include", "tools[1] (web_search)")


def test_a_custom_tools_call_of_an_earlier_turn_is_a_call_of_its_text() -> None:
    items = [
        {"role": "user", "content": "Fix it."},
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        {"role": "user", "content": "And?"},
    ]
    asked = asked_for(input=items)
    assert [m["role"] for m in asked.messages] == ["user", "assistant", "tool", "user"]
    (call,) = asked.messages[1]["tool_calls"]
    assert call["function"] == {"name": "patch", "arguments": '{"input": "*** Begin"}'}


def test_tools_that_an_agent_brings_in_the_conversation_are_offered_once() -> None:
    brought = {
        "type": "additional_tools",
        "role": "developer",
        "tools": [
            {"type": "web_search", "external_web_access": True},
            {"type": "function", "name": "look", "parameters": {"type": "object"}},
            {"type": "function", "name": "zoom"},
        ],
    }
    items = [
        brought,
        {"role": "user", "content": "Look."},
        {"type": "tool_search_call", "call_id": "t1", "arguments": {}},
        {"type": "tool_search_output", "call_id": "t1", "tools": []},
        {"type": "ghost_snapshot", "ghost_commit": {"id": "a"}},
        brought,
        {"role": "user", "content": "Well?"},
    ]
    tools = [{"type": "function", "name": "zoom"}]
    asked = asked_for(input=items, tools=tools)
    offered: Any = asked.options["extra"]["tools"]
    assert [tool["function"]["name"] for tool in offered] == ["zoom", "look"]
    assert [m["content"] for m in asked.messages] == ["Look.", "Well?"]
    assert "input[0].tools[0] (web_search)" in asked.ignored


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"type": "mcp_call"}]}, "input[0].type"),
        ({"instructions": "Be brief.", "input": " "}, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0]"),
        ({"tools": [{"type": "file_search"}]}, "tools[0].type"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"frobnicate": 1}, "frobnicate"),
    ],
)
def test_what_is_wrong_is_named_as_the_caller_wrote_it(change: dict[str, Any], param: str) -> None:
    with pytest.raises(RefusedError) as caught:
        asked_for(**change)
    assert caught.value.problem.param == param
