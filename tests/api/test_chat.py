"""Whole answers, through the official client."""

from __future__ import annotations

import asyncio

import openai
import pytest

from tests.api.conftest import Make, Serve, Service
from tests.upstream import FAULTS, Behaviour, Upstream

HELLO = [{"role": "user", "content": "Hello"}]


async def test_the_preferred_provider_answers(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text="Good day to you"))
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", "Good day to you")
    assert choice.finish_reason == "stop"
    assert answer.object == "chat.completion"
    assert answer.model == "first"


async def test_usage_is_what_the_served_provider_counted(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(tokens=7))
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 7
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 7


async def test_usage_is_estimated_where_the_provider_does_not_count(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS["no usage"])
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0


async def test_the_router_object_says_what_was_done(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    told = answer.to_dict()["router"]
    assert answer.id == f"chatcmpl-{told['request_id']}"
    assert answer._request_id == told["request_id"]
    assert told["category"] in ("technical", "creative", "general")
    assert 0 <= told["confidence"] <= 1
    assert (told["provider"], told["role"]) == ("first", "primary")
    assert told["attempts"][0]["outcome"] == "ok"
    assert told["cost_usd"] > 0
    assert told["grounded"] is False


async def test_the_fallback_answers_when_the_primaries_fail(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS["401"])
    upstream.behave("second", FAULTS["401"])
    upstream.behave("cheap", Behaviour(text="A cheap answer"))
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    told = answer.to_dict()["router"]
    assert answer.model == "cheap"
    assert answer.choices[0].message.content == "A cheap answer"
    assert told["role"] == "fallback"
    assert told["note"]


async def test_a_category_may_be_named(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="auto:creative", messages=HELLO)
    assert answer.to_dict()["router"]["category"] == "creative"


async def test_a_provider_may_be_named_and_becomes_the_primary(
    client: openai.AsyncOpenAI,
) -> None:
    answer = await client.chat.completions.create(model="second", messages=HELLO)
    assert answer.model == "second"
    assert answer.to_dict()["router"]["role"] == "primary"


async def test_the_router_object_says_why_that_provider_was_asked(
    client: openai.AsyncOpenAI,
) -> None:
    named = await client.chat.completions.create(model="second", messages=HELLO)
    assert named.to_dict()["router"]["why"] == "the caller's wish: second was requested by name"
    usual = await client.chat.completions.create(model="auto:technical", messages=HELLO)
    router = usual.to_dict()["router"]
    assert router["why"] == f"learned order: {router['provider']} is first in technical"


async def test_a_conversation_stays_with_the_provider_that_holds_its_cache(
    service: Service,
) -> None:
    client = await service.client()
    """A long one: a short prompt is read again sooner than the order's first is better by."""
    session = {"session_id": "s-1"}
    long = [{"role": "user", "content": "Why does this Python fail? " + "print(1) " * 15_000}]
    began = await client.chat.completions.create(model="second", messages=long, extra_body=session)
    more = [*long, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Go on"}]
    later = await client.chat.completions.create(
        model="auto:technical", messages=more, extra_body=session
    )
    assert (began.model, later.model) == ("second", "second")
    router = later.to_dict()["router"]
    assert router["why"] == "conversation: second holds its prompt cache"
    row = await service.router.services.log.get(router["request_id"])
    assert row is not None
    assert (row["session_id"], row["evidence"]["stays"]) == ("s-1", "second")
    assert row["attempts"][0]["propensity"] is None, "nobody was drawn"
    for body, messages in (({}, more), (session, long), ({"session_id": "s-2"}, more)):
        fresh = await client.chat.completions.create(
            model="auto:technical", messages=messages, extra_body=body
        )
        assert fresh.model == "first", "another conversation, or one that begins anew"


async def test_a_conversation_without_a_name_is_its_callers_and_its_first_messages(
    service: Service,
) -> None:
    client = await service.client()
    long = [{"role": "user", "content": "Hello " * 20_000}]
    more = [*long, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "Go on"}]
    asked = {"user": "the same for all", "prompt_cache_key": "shop"}
    await client.chat.completions.create(model="second", messages=long, extra_body=asked)
    for other in ({"prompt_cache_key": "bank"}, {"user": "the same for all"}):
        fresh = await client.chat.completions.create(
            model="auto:technical", messages=more, extra_body=other
        )
        assert fresh.model == "first"
    later = await client.chat.completions.create(
        model="auto:technical", messages=more, extra_body=asked
    )
    assert later.model == "second"


async def test_the_fallback_stands_behind_a_named_provider_too(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    for name in ("first", "second"):
        upstream.behave(name, FAULTS["404"])
    answer = await client.chat.completions.create(model="second", messages=HELLO)
    assert answer.model == "cheap"


async def test_the_whole_conversation_reaches_the_provider(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    conversation = [
        {"role": "system", "content": "Answer in French."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Bonjour"},
        {"role": "user", "content": "How are you?"},
    ]
    await client.chat.completions.create(model="auto", messages=conversation)
    assert upstream.calls("first")[0].body["messages"] == conversation


async def test_an_answer_can_be_put_back_into_the_conversation_as_it_came(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    first = await client.chat.completions.create(model="auto", messages=HELLO)
    conversation = [*HELLO, first.choices[0].message, {"role": "user", "content": "And then?"}]
    await client.chat.completions.create(model="auto", messages=conversation)
    sent = upstream.calls("first")[-1].body["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "user"]


async def test_parameters_reach_the_provider(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    await client.chat.completions.create(
        model="auto",
        messages=HELLO,
        max_tokens=11,
        temperature=0.25,
        top_p=0.5,
        stop=["END", "STOP"],
        seed=42,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
    )
    sent = upstream.calls("first")[0].body
    assert sent["temperature"] == 0.25
    assert sent["top_p"] == 0.5
    assert sent["stop"] == ["END", "STOP"]
    assert sent["seed"] == 42
    assert (sent["presence_penalty"], sent["frequency_penalty"]) == (0.5, -0.5)
    assert 11 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))


async def test_an_answer_cut_by_its_limit_says_so(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(finish_reason="length"))
    answer = await client.chat.completions.create(model="auto", messages=HELLO, max_tokens=5)
    assert answer.choices[0].finish_reason == "length"


async def test_the_row_is_in_the_log_when_the_answer_arrives(service: Service) -> None:
    client = await service.client()
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    row = await service.router.services.log.get(answer.to_dict()["router"]["request_id"])
    assert row["success"]
    assert row["winner"] == "first"


async def test_the_synchronous_client_works_as_well(service: Service) -> None:
    def ask() -> str | None:
        with openai.OpenAI(base_url=f"{service.url}/v1", api_key="unused") as client:
            return (
                client.chat.completions.create(model="auto", messages=HELLO)
                .choices[0]
                .message.content
            )

    assert await asyncio.to_thread(ask) == "word0 word1 word2 word3 word4 "


async def test_many_callers_are_served_at_once(service: Service, upstream: Upstream) -> None:
    client = await service.client()
    answers = await asyncio.gather(
        *(client.chat.completions.create(model="auto", messages=HELLO) for _ in range(40))
    )
    assert {a.model for a in answers} <= {"first", "second"}
    assert len({a.id for a in answers}) == 40


async def test_without_a_model_the_router_chooses(service: Service) -> None:
    answer = await service.http.post("/v1/chat/completions", json={"messages": HELLO})
    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == answer.json()["router"]["request_id"]


@pytest.mark.parametrize("deliver", ["live", "complete"])
async def test_delivery_makes_no_difference_to_a_whole_answer(
    deliver: str, serve: Serve, settings: Make
) -> None:
    service = await serve(settings(api={"deliver": deliver}))
    client = await service.client()
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    assert answer.choices[0].message.content == "word0 word1 word2 word3 word4 "
