"""Tools, schemas and pictures through the service, healthy, failing over and cut."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.api.conftest import Make, Serve, Service
from tests.upstream import FAULTS, Behaviour, Upstream

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather somewhere.",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    },
}
TIME = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}
ASKED = [{"role": "user", "content": "What are the weather and the time in Lisbon?"}]
CAPABLE = Behaviour(capable=True)
CALLS = [("get_weather", '{"location": "Lisbon"}'), ("get_time", "{}")]
CUT = Behaviour(capable=True, cut_after=3)
"""Broken in the middle of the first call's arguments."""
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "place",
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.fixture(autouse=True)
def all_capable(upstream: Upstream) -> None:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, CAPABLE)


async def ask(client: openai.AsyncOpenAI, **how: Any) -> Any:
    given = {"model": "auto", "messages": ASKED, "tools": [WEATHER, TIME], **how}
    return await client.chat.completions.create(**given)


def called(message: Any) -> list[tuple[str, str]]:
    return [(c.function.name, c.function.arguments) for c in message.tool_calls or []]


async def streamed(client: openai.AsyncOpenAI, **how: Any) -> tuple[list[dict[str, Any]], str]:
    """The calls as a client adds them up, and the finish reason."""
    found: dict[int, dict[str, Any]] = {}
    reason = ""
    async for chunk in await ask(client, stream=True, **how):
        for choice in chunk.choices:
            reason = choice.finish_reason or reason
            for piece in choice.delta.tool_calls or []:
                call = found.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                call["id"] += piece.id or ""
                call["name"] += piece.function.name or ""
                call["arguments"] += piece.function.arguments or ""
    return [found[index] for index in sorted(found)], reason


async def test_calls_come_back_whole(client: openai.AsyncOpenAI) -> None:
    done = await ask(client)
    choice = done.choices[0]
    assert called(choice.message) == CALLS
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert done.usage.completion_tokens > 0


async def test_parallel_calls_are_streamed_as_one_provider_sent_them(
    client: openai.AsyncOpenAI,
) -> None:
    calls, reason = await streamed(client)
    assert [(c["id"], c["name"], c["arguments"]) for c in calls] == [
        ("call_1_0", *CALLS[0]),
        ("call_1_1", *CALLS[1]),
    ]
    assert reason == "tool_calls"


async def test_a_whole_tool_loop_travels_as_it_is(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    message = (await ask(client)).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"fine ({call.function.name})"}
        for call in message.tool_calls or []
    ]
    done = await ask(client, messages=[*ASKED, message, *results])
    assert "fine (get_weather); fine (get_time)" in done.choices[0].message.content
    sent = upstream.calls("first")[-1].body
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "tool", "tool"]
    assert sent["messages"][1]["tool_calls"][0]["id"] == "call_1_0"
    assert sent["tools"] == [WEATHER, TIME]


@pytest.mark.parametrize("fault", ["500", "reset", "empty"])
async def test_another_provider_calls_the_tools_where_the_first_fails(
    fault: str, client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS[fault])
    done = await ask(client)
    assert called(done.choices[0].message) == CALLS
    assert done.model in ("second", "cheap")


async def test_a_live_stream_that_is_cut_in_a_call_ends_with_an_error(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", CUT)
    with pytest.raises(openai.APIError, match=r"first was cut off .* no other model may continue"):
        await streamed(client)


async def test_the_error_names_the_one_that_broke_off_where_that_was_the_fallback(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS["500"])
    upstream.behave("second", FAULTS["500"])
    upstream.behave("cheap", CUT)
    with pytest.raises(openai.APIError, match=r"^cheap was cut off"):
        await streamed(client)


async def test_a_text_that_is_cut_with_tools_present_is_not_gone_on_with(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(tokens=20, cut_after=8))
    with pytest.raises(openai.APIError):
        await streamed(client, messages=[{"role": "user", "content": "Hello"}])


@pytest.mark.parametrize("stream", [True, False])
async def test_a_complete_answer_comes_from_the_next_provider_where_one_is_cut_in_a_call(
    stream: bool, serve: Serve, settings: Make, upstream: Upstream
) -> None:
    upstream.behave("first", CUT)
    service: Service = await serve(settings(api={"deliver": "complete"}))
    client = await service.client()
    if stream:
        calls, _ = await streamed(client)
        assert [(c["name"], c["arguments"]) for c in calls] == CALLS
    else:
        assert called((await ask(client)).choices[0].message) == CALLS


async def test_a_provider_that_lacks_tools_is_skipped_and_remembered(
    serve: Serve, settings: Make, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(rejects=("tools",)))
    service = await serve(settings())
    client = await service.client()
    assert called((await ask(client)).choices[0].message) == CALLS
    done = await ask(client)
    assert len(upstream.calls("first")) == 1
    attempts = done.router["attempts"]
    assert (attempts[0]["outcome"], attempts[0]["detail"]) == ("skipped", "it cannot do tools")
    health = (await service.http.get("/health")).json()
    assert health["providers"]["first"]["capabilities"]["lacks"] == ["tools"]
    assert (await client.chat.completions.create(model="auto", messages=ASKED)).model == "first"


async def test_nobody_can_is_one_400_that_names_the_capability(
    serve: Serve, settings: Make
) -> None:
    bare = [
        {"name": name, "host": "upstream", "model": name, "capabilities": []}
        for name in ("first", "second", "cheap")
    ]
    service = await serve(settings(providers=bare))
    client = await service.client()
    with pytest.raises(openai.BadRequestError, match="tools"):
        await ask(client)


async def test_the_next_capable_provider_stands_behind_where_the_fallback_cannot(
    serve: Serve, settings: Make, upstream: Upstream
) -> None:
    providers = [
        {"name": "first", "host": "upstream", "model": "first"},
        {"name": "second", "host": "upstream", "model": "second"},
        {"name": "cheap", "host": "upstream", "model": "cheap", "capabilities": []},
    ]
    upstream.behave("first", FAULTS["hang before headers"])
    service = await serve(settings(providers=providers, limits={"ttft_s": 0.3}))
    done = await ask(await service.client())
    assert (done.model, done.router["role"]) == ("second", "fallback")
    assert upstream.calls("cheap") == []


async def test_an_agent_whose_primary_dies_between_two_steps_goes_on_elsewhere(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    done = await ask(client)
    upstream.behave("first", FAULTS["500"])
    message = done.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "42"} for call in message.tool_calls
    ]
    after = await ask(client, messages=[*ASKED, message, *results])
    assert after.choices[0].message.content == "The tools say: 42; 42"
    assert (done.model, after.model in ("second", "cheap")) == ("first", True)
    assert after.router["category"] == done.router["category"]


async def test_a_tool_loop_stays_with_its_provider(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    """The first is back when the results come, but the calls were the second's."""
    upstream.behave("first", FAULTS["401"], CAPABLE)
    done = await ask(client)
    message = done.choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": "42"} for call in message.tool_calls
    ]
    after = await ask(client, messages=[*ASKED, message, *results])
    assert after.model == done.model != "first"


async def test_a_schema_is_kept_or_the_next_provider_is_asked(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text='{"town": "Lisbon"}'))
    done = await ask(client, tools=openai.omit, response_format=SCHEMA)
    assert json.loads(done.choices[0].message.content).keys() == {"city"}
    failed = done.router["attempts"][0]
    assert (failed["provider"], failed["error"]) == ("first", "schema")


async def test_a_schema_answer_that_was_cut_by_length_is_no_fault(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text='{"city": "Lis', finish_reason="length"))
    done = await ask(client, tools=openai.omit, response_format=SCHEMA)
    assert (done.model, done.choices[0].finish_reason) == ("first", "length")


async def test_a_live_schema_answer_that_breaks_ends_with_an_error(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text='{"city": 7 }'))
    with pytest.raises(openai.APIError):
        await streamed(client, tools=openai.omit, response_format=SCHEMA)


async def test_pictures_go_to_a_model_that_sees(serve: Serve, settings: Make) -> None:
    providers = [
        {"name": "first", "host": "upstream", "model": "first", "capabilities": ["tools"]},
        {"name": "second", "host": "upstream", "model": "second", "capabilities": ["images"]},
        {"name": "cheap", "host": "upstream", "model": "cheap", "capabilities": []},
    ]
    client = await (await serve(settings(providers=providers))).client()
    look = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]}]
    done = await ask(client, messages=look, tools=openai.omit)
    assert (done.model, done.choices[0].message.content) == ("second", "I see 1 picture(s).")


async def test_a_picture_in_an_old_turn_does_not_stop_a_text_question(
    serve: Serve, settings: Make, upstream: Upstream
) -> None:
    blind = [
        {"name": name, "host": "upstream", "model": name, "capabilities": []}
        for name in ("first", "second", "cheap")
    ]
    client = await (await serve(settings(providers=blind))).client()
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]},
        {"role": "assistant", "content": "A boat."},
        {"role": "user", "content": "Write a haiku about it."},
    ]
    await ask(client, messages=turns, tools=openai.omit)
    sent = upstream.calls("first")[0].body["messages"][0]["content"]
    assert sent[1] == {"type": "text", "text": "[a picture]"}


async def test_reasoning_comes_out(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    upstream.behave("first", Behaviour(text="Yes.", reasoning=("Let me ", "see.")))
    whole = await ask(client, tools=openai.omit)
    assert whole.choices[0].message.reasoning_content == "Let me see."
    thoughts = ""
    async for chunk in await ask(client, tools=openai.omit, stream=True):
        if chunk.choices:
            thoughts += getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
    assert thoughts == "Let me see."


@pytest.mark.parametrize(
    ("how", "asked_first"),
    [
        ({"models": ["second"]}, "second"),
        ({"provider": {"order": ["cheap"]}}, "cheap"),
        ({"provider": {"only": ["second"]}}, "second"),
        ({"provider": {"ignore": ["first"]}}, "second"),
        ({"provider": {"sort": "price"}}, "second"),
        ({"provider": {"max_price": {"prompt": 0.5}}}, "second"),
        ({"models": ["auto", "second"]}, "first"),
        ({"models": ["auto:floor", "first"]}, "second"),
        ({"models": ["small", "first"]}, "cheap"),
        ({"models": ["cheap", "second", "cheap"]}, "cheap"),
        ({"models": ["upstream", "second"]}, "first"),
        ({"models": ["gpt-4o", "second"], "provider": {"ignore": ["first"]}}, "second"),
    ],
)
async def test_the_caller_may_wish_who_is_asked(
    how: dict[str, Any], asked_first: str, serve: Serve, settings: Make
) -> None:
    prices = {"first": 3.0, "second": 0.5, "cheap": 1.0}
    providers = [
        {"name": n, "host": "upstream", "model": n, "cost": {"input": usd, "output": usd}}
        for n, usd in prices.items()
    ]
    aliases = {"gpt-*": "auto", "small": "cheap"}
    client = await (await serve(settings(providers=providers, aliases=aliases))).client()
    assert (await ask(client, extra_body=how)).model == asked_first


async def test_a_name_in_models_that_nobody_has_is_not_found(client: openai.AsyncOpenAI) -> None:
    for name in ("gpt-5", "auto:poems"):
        with pytest.raises(openai.NotFoundError, match=name):
            await ask(client, extra_body={"models": ["first", name]})


async def test_the_first_of_models_may_name_the_category(client: openai.AsyncOpenAI) -> None:
    done = await ask(client, extra_body={"models": ["auto:creative", "second"]})
    assert (done.router["category"], done.model) == ("creative", "first")


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ({"only": ["second"]}, "provider.only"),
        ({"ignore": ["first"]}, "provider.ignore"),
        ({"max_price": {"prompt": 0.1}}, "provider.max_price"),
    ],
)
async def test_a_provider_that_is_named_and_ruled_out_is_one_clear_refusal(
    wish: dict[str, Any], named: str, client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    with pytest.raises(openai.BadRequestError, match=f"'first'.*`{named}`") as caught:
        await ask(client, model="first", extra_body={"provider": wish})
    assert caught.value.param == named
    assert upstream.requests == 0
    done = await ask(client, model="second", extra_body={"provider": {"only": ["second"]}})
    assert done.model == "second"


async def test_names_for_model_may_be_orders_and_aliases(serve: Serve, settings: Make) -> None:
    prices = {"first": 3.0, "second": 0.5, "cheap": 1.0}
    providers = [
        {"name": n, "host": "upstream", "model": n, "cost": {"input": usd, "output": usd}}
        for n, usd in prices.items()
    ]
    aliases = {"gpt-4o-mini": "auto", "claude-*": "auto:technical"}
    service = await serve(settings(providers=providers, aliases=aliases))
    client = await service.client()
    assert (await ask(client, model="auto:floor")).model == "second"
    assert (await ask(client, model="gpt-4o-mini")).model == "first"
    assert (await ask(client, model="claude-sonnet-4")).router["category"] == "technical"
    with pytest.raises(openai.NotFoundError):
        await ask(client, model="gpt-5")


async def test_the_dry_run_takes_the_chat_requests_body(
    service: Service, upstream: Upstream
) -> None:
    body = {"messages": ASKED, "tools": [WEATHER], "models": ["second"]}
    route = (await service.http.post("/router/route", json=body)).json()
    assert route["order"][0] == "second"
    assert set(route) >= {"category", "probabilities", "evidence"}
    assert upstream.requests == 0


async def test_fields_are_ignored_passed_or_refused(
    serve: Serve, settings: Make, upstream: Upstream
) -> None:
    service = await serve(
        settings(hosts={"upstream": {"base_url": upstream.base_url, "passes": ["top_k"]}})
    )
    client = await service.client()
    done = await ask(client, extra_body={"top_k": 7, "keep_alive": "5m"})
    assert upstream.calls("first")[0].body["top_k"] == 7
    assert "keep_alive" in done.router["note"]
    with pytest.raises(openai.BadRequestError, match="min_p"):
        await ask(client, extra_body={"min_p": 0.1})


async def test_models_are_listed_with_context_price_and_capabilities(service: Service) -> None:
    listed = (await service.http.get("/v1/models")).json()["data"]
    first = next(one for one in listed if one["id"] == "first")["router"]
    assert set(first) >= {"context", "cost", "capabilities"}
    assert first["capabilities"] == {"declared": None, "lacks": [], "learned": {}}
    schemas = (await service.http.get("/openapi.json")).json()["components"]["schemas"]
    assert set(schemas["Known"]["properties"]) == {"declared", "lacks", "learned"}
    assert "learned" in schemas["AboutProvider"]["properties"]["capabilities"]["description"]


BARE = "".join(
    f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'tool_calls': [piece]}}]})}\n\n"
    for piece in (
        {"index": 0, "function": {"name": "get_weather", "arguments": '{"location": "Lisbon"}'}},
        {"index": 0, "function": {"name": "get_time", "arguments": ""}},
    )
)
"""Two calls, as a host streams them that gives each the index 0 and none an id."""


@pytest.mark.parametrize("stream", [True, False])
async def test_calls_of_a_host_without_ids_and_indexes_make_a_whole_loop(
    stream: bool, client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(raw=f"{BARE}data: [DONE]\n\n".encode()), CAPABLE)
    if stream:
        calls, reason = await streamed(client)
        made = [
            {
                "id": c["id"],
                "type": "function",
                "function": {"name": c["name"], "arguments": c["arguments"]},
            }
            for c in calls
        ]
    else:
        choice = (await ask(client)).choices[0]
        made, reason = choice.message.model_dump()["tool_calls"], choice.finish_reason
    assert [(c["function"]["name"], c["function"]["arguments"]) for c in made] == CALLS
    assert reason == "tool_calls"
    assert len({c["id"] for c in made} - {""}) == 2
    results = [{"role": "tool", "tool_call_id": c["id"], "content": "42"} for c in made]
    turn = {"role": "assistant", "content": None, "tool_calls": made}
    done = await ask(client, messages=[*ASKED, turn, *results])
    assert done.choices[0].message.content == "The tools say: 42; 42"


FUNCTIONS = [WEATHER["function"], TIME["function"]]


async def test_older_functions_are_called_one_at_a_time_and_answered(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    done = await ask(client, tools=openai.omit, functions=FUNCTIONS)
    choice = done.choices[0]
    call = choice.message.function_call
    assert ((call.name, call.arguments), choice.finish_reason) == (CALLS[0], "function_call")
    assert choice.message.tool_calls is None
    assert upstream.calls("first")[0].body["parallel_tool_calls"] is False
    answer = {"role": "function", "name": call.name, "content": "fine"}
    turn = [*ASKED, choice.message, answer]
    after = await ask(client, messages=turn, tools=openai.omit, functions=FUNCTIONS)
    assert after.choices[0].message.content == "The tools say: fine"


async def test_an_older_call_is_streamed_as_such(client: openai.AsyncOpenAI) -> None:
    name, arguments, reason = "", "", None
    async for chunk in await ask(client, tools=openai.omit, functions=FUNCTIONS, stream=True):
        for choice in chunk.choices:
            reason = choice.finish_reason or reason
            assert not choice.delta.tool_calls
            if piece := choice.delta.function_call:
                name += piece.name or ""
                arguments += piece.arguments or ""
    assert ((name, arguments), reason) == (CALLS[0], "function_call")


async def test_only_allowed_tools_are_offered_and_called(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    named = {"type": "function", "function": {"name": "get_time"}}
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    assert called((await ask(client, tool_choice=choice)).choices[0].message) == CALLS[1:]
    assert upstream.calls("first")[0].body["tools"] == [TIME]


async def test_a_call_that_was_forbidden_is_no_answer(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text="", calls=(CALLS[0],)))
    upstream.behave("second", Behaviour(text="Just words.", calls=(CALLS[0],)))
    upstream.behave("cheap", FAULTS["500"])
    done = await ask(client, tool_choice="none")
    choice = done.choices[0]
    assert (choice.message.content, choice.message.tool_calls) == ("Just words.", None)
    assert choice.finish_reason == "stop"
    calls, reason = await streamed(client, tool_choice="none")
    assert (calls, reason) == ([], "stop")
