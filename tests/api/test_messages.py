"""Anthropic's dialect, by its official client and that client's own types."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from api.errors import RefusedError
from api.messages import translated
from api.messages_answer import MessageEvents
from race.events import CallPiece
from tests.api.conftest import Serve, Service, checked_events
from tests.conftest import SettingsFor
from tests.upstream import FAULTS, Behaviour, Upstream

WEATHER = {
    "name": "get_weather",
    "description": "The weather somewhere.",
    "input_schema": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}
TIME = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
ASKED = [{"role": "user", "content": "What are the weather and the time in Lisbon?"}]
ASK: dict[str, Any] = {"model": "auto", "max_tokens": 100, "messages": ASKED}
TOOLS: dict[str, Any] = {**ASK, "tools": [WEATHER, TIME]}
CALLS = [("get_weather", {"location": "Lisbon"}), ("get_time", {})]
CAPABLE = Behaviour(capable=True)
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def called(message: Message) -> list[tuple[str, object]]:
    return [(b.name, b.input) for b in message.content if b.type == "tool_use"]


@pytest.fixture
async def client(service: Service, upstream: Upstream) -> anthropic.AsyncAnthropic:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, CAPABLE)
    return await service.anthropic()


async def test_a_tool_conversation_goes_there_and_back(
    client: anthropic.AsyncAnthropic, upstream: Upstream
) -> None:
    done = await client.messages.create(**TOOLS)
    Message.model_validate_json(done.to_json(), strict=True)
    assert called(done) == CALLS
    assert (done.stop_reason, done.model) == ("tool_use", "first")
    assert done.usage.input_tokens > 0
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "42"}
        for block in done.content
        if block.type == "tool_use"
    ]
    turns = [*ASKED, {"role": "assistant", "content": done.content}]
    turns.append({"role": "user", "content": results})
    async with client.messages.stream(**{**TOOLS, "messages": turns}) as stream:
        after = await stream.get_final_message()
    assert [b.text for b in after.content if b.type == "text"] == ["The tools say: 42; 42"]
    assert after.stop_reason == "end_turn"
    sent = upstream.calls("first")[1].body["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool"]
    assert json.loads(sent[1]["tool_calls"][0]["function"]["arguments"]) == {"location": "Lisbon"}


async def test_the_events_of_a_stream_are_the_clients_own(
    service: Service, client: anthropic.AsyncAnthropic, upstream: Upstream
) -> None:
    upstream.behave(
        "first",
        Behaviour(text="Let us see.", reasoning=("Hm", "m."), calls=(("f", '{"a": 1}'),)),
    )
    ask = {**ASK, "tools": [{"name": "f", "input_schema": {"type": "object"}}]}
    events = await checked_events(service, "/v1/messages", EVENT, ask)
    kinds = [e.type for e in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    starts = [e for e in events if e.type == "content_block_start"]
    assert [e.content_block.type for e in starts] == ["thinking", "text", "tool_use"]
    assert [e.index for e in starts] == [0, 1, 2]
    assert [e.index for e in events if e.type == "content_block_stop"] == [0, 1, 2]
    async with client.messages.stream(**ask) as stream:
        message = await stream.get_final_message()
    assert [b.type for b in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[0].thinking == "Hmm."
    assert called(message) == [("f", {"a": 1})]
    whole = await client.messages.create(**ask)
    assert [b.type for b in whole.content] == ["thinking", "text", "tool_use"]


async def test_another_provider_answers_and_a_cut_is_an_error(
    client: anthropic.AsyncAnthropic, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS["500"], Behaviour(capable=True, cut_after=3))
    async with client.messages.stream(**TOOLS) as stream:
        message = await stream.get_final_message()
    assert message.model in ("second", "cheap")
    assert called(message) == CALLS
    with pytest.raises(anthropic.APIError):
        async with client.messages.stream(**TOOLS, extra_body={"models": ["first"]}) as stream:
            await stream.get_final_message()


async def test_errors_have_anthropics_shape_and_raise_its_types(
    serve: Serve, settings_for: SettingsFor, upstream: Upstream
) -> None:
    service = await serve(settings_for(upstream, environ={"ROUTER_API_KEYS": "sk-right"}))
    client = await service.anthropic("sk-right")
    assert (await client.messages.create(**ASK)).role == "assistant"
    with pytest.raises(anthropic.AuthenticationError):
        await (await service.anthropic("sk-wrong")).messages.create(**ASK)
    with pytest.raises(anthropic.NotFoundError) as caught:
        await client.messages.create(**{**ASK, "model": "claude"})
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    assert caught.value.request_id == body["request_id"]
    assert caught.value.request_id == caught.value.response.headers["x-request-id"]
    lost = await service.http.post("/v1/messages/batches", headers={"x-api-key": "sk-right"})
    assert (lost.status_code, lost.json()["type"]) == (404, "error")
    assert "error" in (await service.http.get("/v1/nothing")).json()


async def test_a_client_that_wants_a_stored_thread_goes_on_without(
    client: anthropic.AsyncAnthropic,
) -> None:
    @anthropic.beta_async_tool
    async def get_weather(location: str) -> str:
        """The weather somewhere."""
        return f"sunny in {location}"

    runner = client.beta.messages.tool_runner(**ASK, tools=[get_weather])
    [block] = (await runner.until_done()).content
    assert block.type == "text"
    assert block.text == "The tools say: sunny in Lisbon"


async def test_tokens_are_counted(client: anthropic.AsyncAnthropic, upstream: Upstream) -> None:
    asked = {"model": "auto", "messages": ASKED}
    short = (await client.messages.count_tokens(**asked)).input_tokens
    tools = (await client.messages.count_tokens(**asked, tools=[WEATHER])).input_tokens
    assert 0 < short < tools
    assert upstream.requests == 0


PNG = {"type": "base64", "media_type": "image/png", "data": "AA=="}
REQUEST: dict[str, Any] = {
    "model": "auto",
    "max_tokens": 64,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "image", "source": PNG}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                {"type": "text", "text": "A boat."},
                {"type": "tool_use", "id": "t1", "name": "zoom", "input": {"by": 2}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True},
                {"type": "text", "text": "Try again."},
            ],
        },
    ],
    "stop_sequences": ["END"],
    "tools": [
        {"name": "zoom", "input_schema": {"type": "object"}, "cache_control": {}},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 4096},
    "metadata": {"user_id": "u"},
    "top_k": 5,
    "context_management": {"edits": []},
}


def test_a_request_becomes_the_one_request() -> None:
    found = translated(REQUEST)
    asked = found.asked(frozenset())
    assert [m["role"] for m in asked.messages] == ["system", "user", "assistant", "tool", "user"]
    assert asked.messages[1]["content"][0]["image_url"]["url"] == "data:image/png;base64,AA=="  # type: ignore[index,typeddict-item]
    assert asked.messages[2]["tool_calls"][0]["function"]["arguments"] == '{"by": 2}'
    assert asked.messages[3]["content"] == "The tool failed:\nno"
    assert found.messages[2]["reasoning_content"] == "Hm."
    assert (asked.options["max_tokens"], asked.options["stop"]) == (64, ["END"])
    extra = asked.options["extra"]
    assert (extra["tool_choice"], extra["parallel_tool_calls"]) == ("required", False)
    assert extra["reasoning_effort"] == "medium"
    assert set(asked.ignored) == {"context_management", "tools[1] (web_search_20250305)", "top_k"}
    assert translated(REQUEST, frozenset({"top_k"})).body["top_k"] == 5


def test_documents_keep_what_names_them() -> None:
    text = {"type": "text", "media_type": "text/plain", "data": "It rains."}
    parts = {"type": "content", "content": [{"type": "text", "text": "It snows."}]}
    blocks = [
        {"type": "document", "title": "Monday", "context": "a diary", "source": text},
        {"type": "document", "title": "Tuesday", "source": parts},
        {"type": "document", "source": {"type": "content", "content": "It hails."}},
        {"type": "search_result", "title": "Met", "source": "https://met.example",
         "content": [{"type": "text", "text": "Sun."}]},
    ]  # fmt: skip
    asked = translated({**ASK, "messages": [{"role": "user", "content": blocks}]}).asked(
        frozenset()
    )
    assert asked.messages[0]["content"] == (
        "Monday\na diary\nIt rains.\nTuesday\nIt snows.\nIt hails.\nMet\nhttps://met.example\nSun."
    )


def test_marks_of_tools_that_come_and_go_are_left_out() -> None:
    come = {"type": "tool_addition", "tool_reference": {"type": "tool_reference", "name": "f"}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": [come]},
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}, come]},
        {"role": "user", "content": "Well?"},
    ]
    asked = translated({**ASK, "messages": messages}).asked(frozenset())
    assert [m["content"] for m in asked.messages] == ["Hi", "Be brief.", "Well?"]


def test_the_model_is_told_which_tools_a_search_has_found() -> None:
    """Claude Code searches its MCP tools itself; such a result must not be empty JSON."""
    found = [{"type": "tool_reference", "tool_name": "mcp__a__look"}]
    search = {"type": "tool_use", "id": "t1", "name": "ToolSearch", "input": {"query": "look"}}
    results = [
        {"type": "tool_result", "tool_use_id": "t1", "content": found},
        {"type": "tool_result", "tool_use_id": "t2", "content": []},
    ]
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [search, {**search, "id": "t2"}]},
        {"role": "user", "content": results},
    ]
    asked = translated({**ASK, "messages": messages}).asked(frozenset())
    said = [m["content"] for m in asked.messages if m["role"] == "tool"]
    assert said == ["You can call the tool mcp__a__look now.", ""]


PICTURES = {"type": "content", "content": [{"type": "image", "source": PNG}]}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": PICTURES}]}]},
         "messages[0].content[0].source.content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source":
          {"type": "base64", "data": "AA=="}}]}]}, "messages[0].content[0].source.media_type"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]},
         "messages[0].content[0].type"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"system": "Be brief.", "messages": [{"role": "user", "content": " "}]}, "messages[0]"),
        ({"tools": [{"type": "computer_20250124", "name": "computer"}]}, "tools[0].type"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"stop_sequences": ["a"] * 65}, "stop_sequences"),
        ({"container": "c1"}, "container"),
        ({"thread": {"type": "create"}}, "thread"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_as_the_caller_wrote_it(change: dict[str, Any], param: str) -> None:
    with pytest.raises(RefusedError) as caught:
        translated({**ASK, **change}).asked(frozenset())
    assert caught.value.problem.param == param


def test_calls_whose_pieces_come_by_turns_end_in_blocks_of_their_own() -> None:
    """No block is stopped while a piece of it is still to come."""
    writer = MessageEvents("id", translated(TOOLS).asked(frozenset()))

    def piece(index: int, arguments: str) -> CallPiece:
        return CallPiece(index=index, id=f"c{index}", name="f", arguments=arguments)

    data = writer.start("first")
    for index, arguments in ((0, '{"a":'), (1, '{"b":'), (0, "1}"), (1, "2}"), (2, "{}")):
        data += writer.calls([piece(index, arguments)], "first")
    kinds = [json.loads(e.split("data: ")[1]) for e in data.decode().strip().split("\n\n")]
    ended = [(e["type"], e["index"]) for e in kinds if "index" in e]
    assert ended.index(("content_block_stop", 0)) > ended.index(("content_block_start", 1))
    assert ended.index(("content_block_stop", 1)) < ended.index(("content_block_start", 2))
