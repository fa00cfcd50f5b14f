"""One conversation in every dialect: the log cannot tell which it was."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.api.conftest import Make, Serve, Service, settled
from tests.upstream import Behaviour, Upstream

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
NAMED = {"name": "get_weather", "description": "The weather in a city."}
QUESTION = "What is the weather in Lisbon?"
RESULT = "sunny"
USER: dict[str, Any] = {"role": "user", "content": QUESTION}

Converse = Callable[[Service], Awaitable[str]]


async def posted(service: Service, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await service.http.post(path, json={"model": "auto", **body})
    assert reply.status_code == 200, reply.text
    answered: dict[str, Any] = reply.json()
    return answered


async def by_chat(service: Service) -> str:
    tools = [{"type": "function", "function": {**NAMED, "parameters": SCHEMA}}]
    path = "/v1/chat/completions"
    done = await posted(service, path, {"messages": [USER], "tools": tools})
    said = done["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": RESULT}
    after = await posted(service, path, {"messages": [USER, said, result], "tools": tools})
    return str(after["choices"][0]["message"]["content"])


async def by_responses(service: Service) -> str:
    tools = [{"type": "function", **NAMED, "parameters": SCHEMA}]
    done = await posted(service, "/v1/responses", {"input": QUESTION, "tools": tools})
    called = done["output"][-1]["call_id"]
    result = {"type": "function_call_output", "call_id": called, "output": RESULT}
    turns = [USER, *done["output"], result]
    after = await posted(service, "/v1/responses", {"input": turns, "tools": tools})
    return str(after["output"][-1]["content"][0]["text"])


async def by_messages(service: Service) -> str:
    tools = [{**NAMED, "input_schema": SCHEMA}]
    done = await posted(service, "/v1/messages", {"messages": [USER], "tools": tools})
    said = done["content"]
    result = {"type": "tool_result", "tool_use_id": said[-1]["id"], "content": RESULT}
    turns = [USER, {"role": "assistant", "content": said}, {"role": "user", "content": [result]}]
    after = await posted(service, "/v1/messages", {"messages": turns, "tools": tools})
    return str(after["content"][-1]["text"])


async def by_python(service: Service) -> str:
    tools = [{"type": "function", "function": {**NAMED, "parameters": SCHEMA}}]
    done = await service.router.answer(messages=[USER], tools=tools)
    said = {"role": "assistant", "content": done.text, "tool_calls": done.tool_calls}
    result = {"role": "tool", "tool_call_id": done.tool_calls[0]["id"], "content": RESULT}
    after = await service.router.answer(messages=[USER, said, result], tools=tools)
    return after.text


OWN = {"request_id", "at", "latency_ms", "ttft_ms", "started_ms", "attempts", "revision"}
"""What is each request's own."""


def alike(row: dict[str, Any]) -> dict[str, Any]:
    """The row without what is its own, with its attempts likewise."""
    attempts = [{k: v for k, v in a.items() if k not in OWN} for a in row["attempts"]]
    kept = {name: value for name, value in row.items() if name not in OWN}
    return json.loads(json.dumps({**kept, "attempts": attempts}))  # type: ignore[no-any-return]


async def test_a_tool_conversation_leaves_the_same_rows_in_every_dialect(
    service: Service, upstream: Upstream
) -> None:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, Behaviour(capable=True))
    found = []
    for converse in (by_chat, by_responses, by_messages, by_python):
        assert await converse(service) == f"The tools say: {RESULT}"
        await settled(service)
        rows = [dict(row) for row in await service.router.interactions(2)]
        found.append([alike(row) for row in rows])
    assert len(found[0]) == 2
    for rows in found[1:]:
        assert rows == found[0]
    sent = [call.body["messages"] for call in upstream.calls("first")]
    assert sent[2::2] == [sent[0]] * 3
    assert [len(messages) for messages in sent[1::2]] == [3] * 4


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("converse", [by_chat, by_responses, by_messages])
async def test_thoughts_go_back_with_their_calls_to_a_host_that_wants_them(
    converse: Converse, wanted: bool, serve: Serve, settings: Make, upstream: Upstream
) -> None:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, Behaviour(capable=True, reasoning=("Hm", "m.")))
    passes = ["reasoning_content"] if wanted else []
    host = {"base_url": upstream.base_url, "passes": passes}
    service = await serve(settings(hosts={"upstream": host}))
    assert await converse(service) == f"The tools say: {RESULT}"
    said = upstream.calls("first")[1].body["messages"][1]
    assert said.get("reasoning_content") == ("Hmm." if wanted else None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [USER]}),
        ("/v1/responses", {"input": QUESTION}),
        ("/v1/messages", {"messages": [USER], "max_tokens": None}),
        ("/v1/completions", {"prompt": QUESTION}),
    ],
)
async def test_a_question_is_the_same_question_in_every_dialect(
    path: str, body: dict[str, Any], service: Service, upstream: Upstream
) -> None:
    done = await posted(service, path, body)
    assert upstream.calls("first")[0].body["messages"] == [USER]
    [row] = await service.router.interactions(1)
    assert (row["request_id"], row["category"]) == (
        done["router"]["request_id"],
        done["router"]["category"],
    )


COUNTED = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
SAYS = {
    "/v1/chat/completions": {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "prompt_tokens_details": {"cached_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 3},
    },
    "/v1/responses": {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 18,
    },
    "/v1/messages": {
        "input_tokens": 6,
        "output_tokens": 7,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 5,
    },
}
SAYS["/v1/completions"] = SAYS["/v1/chat/completions"]
ASKS = {
    "/v1/chat/completions": {"messages": [USER]},
    "/v1/responses": {"input": QUESTION},
    "/v1/messages": {"messages": [USER]},
    "/v1/completions": {"prompt": QUESTION},
}


async def test_usage_says_what_was_cached_and_thought_in_every_dialect(
    serve: Serve, settings: Make, upstream: Upstream
) -> None:
    said = {
        "choices": [{"delta": {"content": "Sunny."}, "finish_reason": "stop"}],
        "usage": COUNTED,
    }
    raw = f"data: {json.dumps(said)}\n\ndata: [DONE]\n\n".encode()
    upstream.behave("first", Behaviour(raw=raw))
    service = await serve(settings())
    found = {path: (await posted(service, path, body))["usage"] for path, body in ASKS.items()}
    assert found == SAYS


NO_KIND: tuple[object, ...] = (["x"], {"a": 1}, 5)


async def test_a_kind_that_is_no_text_is_the_callers_mistake_in_every_dialect(
    service: Service,
) -> None:
    tool = {**NAMED, "input_schema": SCHEMA}
    function = {"type": "function", **NAMED, "parameters": SCHEMA}
    allowed = {"type": "allowed_tools", "mode": "auto"}
    for kind in NO_KIND:
        part = [{"role": "user", "content": [{"type": kind, "text": "x"}]}]
        choice, named = {"type": kind}, {**allowed, "tools": [{"type": "function", "name": kind}]}
        asked = [
            ("/v1/messages", {"messages": part}),
            ("/v1/messages", {"messages": [USER], "tools": [{**tool, "type": kind}]}),
            ("/v1/messages", {"messages": [USER], "tools": [tool], "tool_choice": choice}),
            ("/v1/messages", {"messages": [{"role": kind, "content": "x"}]}),
            ("/v1/responses", {"input": part}),
            ("/v1/responses", {"input": [{"type": kind, "content": "x"}]}),
            ("/v1/responses", {"input": "x", "tools": [{"type": kind}]}),
            ("/v1/responses", {"input": "x", "tools": [function], "tool_choice": choice}),
            ("/v1/responses", {"input": "x", "text": {"format": choice}}),
            ("/v1/chat/completions", {"messages": part}),
        ]
        for path, body in asked:
            reply = await service.http.post(path, json=body)
            assert reply.status_code == 400, (path, body, reply.text)
        body = {"input": "x", "tools": [function], "tool_choice": named}
        assert (await service.http.post("/v1/responses", json=body)).status_code < 500


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/v1/responses", {"input": 5}, "`input` must be a text or a list"),
        ("/v1/responses", {"input": ["x"]}, "`input[0]` must be an object"),
        ("/v1/responses", {"input": [{"role": "user"}]}, "content` must be a text or a list"),
        ("/v1/completions", {"prompt": [1, 2]}, "`prompt[0]` must be a text"),
        ("/v1/messages", {"messages": [USER], "system": 5}, "`system` must be a text or a list"),
        ("/v1/messages", {"messages": [{"role": "user"}]}, "content` must be a text or a list"),
    ],
)
async def test_a_value_of_two_forms_is_named_as_the_caller_wrote_it(
    path: str, body: dict[str, Any], says: str, service: Service
) -> None:
    reply = await service.http.post(path, json=body)
    assert (reply.status_code, says in reply.json()["error"]["message"]) == (400, True), reply.text


async def test_only_what_is_under_its_prefix_is_anthropics(service: Service) -> None:
    assert "code" in (await service.http.get("/v1/messagesx")).json()["error"]
    assert (await service.http.get("/v1/messages/x")).json()["type"] == "error"
