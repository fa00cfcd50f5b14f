"""Tools of the Responses API that hosts do not know: namespaces, custom tools, searches."""

from __future__ import annotations

import json
import re
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from api.errors import RefusedError
from api.response_tools import MAX_NAME, function_name, input_of
from api.responses import translated
from tests.api.conftest import Service, checked_events
from tests.upstream import Behaviour, Upstream

LOOKUP: dict[str, Any] = {"type": "function", "name": "lookup", "parameters": {"type": "object"}}
PATCH: dict[str, Any] = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
}
SEARCH: dict[str, Any] = {
    "type": "tool_search",
    "execution": "client",
    "description": "Finds tools.",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
}
DICTIONARY: dict[str, Any] = {
    "type": "namespace",
    "name": "mcp__dictionary",
    "description": "Words.",
    "tools": [{**LOOKUP, "defer_loading": True}, {"type": "custom", "name": "define"}],
}
ASK: dict[str, Any] = {
    "model": "auto",
    "input": "Look up tree.",
    "tools": [DICTIONARY, PATCH, SEARCH],
}
CALLS = (
    ("mcp__dictionary__lookup", '{"word": "tree"}'),
    ("mcp__dictionary__define", '{"input": "tree"}'),
    ("apply_patch", '{"input": "*** Begin\\n"}'),
    ("tool_search", '{"query": "birds"}'),
)
ITEMS = [
    {"type": "function_call", "name": "lookup", "namespace": "mcp__dictionary"}
    | {"arguments": '{"word": "tree"}'},
    {"type": "custom_tool_call", "name": "define", "namespace": "mcp__dictionary", "input": "tree"},
    {"type": "custom_tool_call", "name": "apply_patch", "input": "*** Begin\n"},
    {"type": "tool_search_call", "execution": "client", "arguments": {"query": "birds"}},
]
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture
async def client(service: Service, upstream: Upstream) -> openai.AsyncOpenAI:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, Behaviour(text="", calls=CALLS), Behaviour(text="A plant."))
    return await service.client()


def items(response: Response) -> list[dict[str, Any]]:
    """The calls, without what identifies them."""
    marks = {"id", "call_id", "status"}
    return [
        {n: v for n, v in one.to_dict().items() if n not in marks}
        for one in response.output
        if one.type.endswith("_call")
    ]


async def test_each_kind_of_tool_is_called_under_its_own_names(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    done = await client.responses.create(**ASK)
    Response.model_validate_json(done.to_json(), strict=True)
    assert items(done) == ITEMS
    offered = [tool["function"] for tool in upstream.calls("first")[0].body["tools"]]
    assert [function["name"] for function in offered] == [name for name, _ in CALLS]
    assert "lark grammar:\nstart: /.+/" in offered[2]["description"]
    assert offered[3]["parameters"] == SEARCH["parameters"]


async def test_their_events_are_the_clients_own(
    service: Service, client: openai.AsyncOpenAI
) -> None:
    events = await checked_events(service, "/v1/responses", EVENT, ASK)
    done = [e.item for e in events if e.type == "response.output_item.done"]
    assert events[-1].response.output == done
    assert items(events[-1].response) == ITEMS
    said = [e.input for e in events if e.type == "response.custom_tool_call_input.done"]
    assert said == ["tree", "*** Begin\n"]
    pieces = [e.delta for e in events if e.type == "response.custom_tool_call_input.delta"]
    assert pieces == said


async def test_a_conversation_with_them_goes_on(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    first = await client.responses.create(**ASK)
    found = [{**DICTIONARY, "name": "birds"}, {"type": "function", "name": "sing"}]
    outputs = [
        {"type": "function_call_output", "output": "tall"},
        {"type": "custom_tool_call_output", "output": "green"},
        {"type": "custom_tool_call_output", "output": "done"},
        {"type": "tool_search_output", "execution": "client", "tools": found},
    ]
    for call, output in zip(first.output, outputs, strict=True):
        output["call_id"] = call.call_id
    turns = [{"role": "user", "content": "Look up tree."}, *first.output, *outputs]
    after = await client.responses.create(**{**ASK, "input": turns})
    assert after.output_text == "A plant."
    sent = upstream.calls("first")[1].body
    calls = [call["function"] for call in sent["messages"][1]["tool_calls"]]
    assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
        (name, json.loads(arguments)) for name, arguments in CALLS
    ]
    loaded = ["birds__lookup", "birds__define", "sing"]
    answers = [m["content"] for m in sent["messages"] if m["role"] == "tool"]
    assert answers == [
        "tall",
        "green",
        "done",
        f"You can call these tools now: {', '.join(loaded)}.",
    ]
    assert [tool["function"]["name"] for tool in sent["tools"]][4:] == loaded


@pytest.mark.parametrize(
    ("choice", "offered", "sent"),
    [
        ({"type": "function", "name": "lookup", "namespace": "mcp__dictionary"}, 4, CALLS[0][0]),
        ({"type": "custom", "name": "apply_patch"}, 4, "apply_patch"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "custom"} | PATCH]}, 1, None),
        ({"type": "allowed_tools", "mode": "auto", "tools": [DICTIONARY]}, 2, None),
    ],
)
def test_a_choice_means_the_function_that_stands_for_the_tool(
    choice: dict[str, Any], offered: int, sent: str | None
) -> None:
    found, _ = translated({**ASK, "tool_choice": choice})
    assert len(found.functions) == offered
    wanted: Any = found.body["tool_choice"]
    assert wanted == "auto" if sent is None else wanted["function"]["name"] == sent


def test_names_that_hosts_refuse_are_made_fit_and_stay_apart() -> None:
    names = [function_name(f"mcp__{'long' * 20}", f"look up {n}") for n in range(3)]
    assert len({*names}) == 3
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", name) and len(name) <= MAX_NAME for name in names)
    assert function_name("mcp__a__", "b") == function_name("mcp__a", "b") == "mcp__a__b"


def test_a_custom_tools_input_is_found_in_whatever_the_model_wrote() -> None:
    assert input_of('{"input": "x"}') == "x"
    for odd in ('{"input": 5}', '["x"]', "x", '{"input": "x'):
        assert input_of(odd) == odd


def test_a_search_by_the_host_is_not_needed_where_all_tools_are_offered() -> None:
    found, tools = translated({**ASK, "tools": [DICTIONARY, {"type": "tool_search"}]})
    assert [function["name"] for function in found.functions] == [CALLS[0][0], CALLS[1][0]]
    assert found.ignored == ["tools[1] (tool_search)"]
    assert not tools.searches()


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        ({"type": "namespace", "name": "a", "tools": [DICTIONARY]}, "tools[0].tools[0].type"),
        ({"type": "namespace", "tools": []}, "tools[0].name"),
        ({"type": "namespace", "name": "a", "tools": {}}, "tools[0].tools"),
        ({"type": "custom"}, "tools[0].name"),
    ],
)
def test_a_tool_that_cannot_be_read_is_named(tool: dict[str, Any], param: str) -> None:
    with pytest.raises(RefusedError) as refused:
        translated({**ASK, "tools": [tool]})
    assert refused.value.problem.param == param
