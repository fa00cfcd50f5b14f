"""Streamed answers, through the official client and byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.api.conftest import Make, Serve, Service
from tests.upstream import FAULTS, Behaviour, Upstream

HELLO = [{"role": "user", "content": "Hello"}]


async def chunks(
    client: openai.AsyncOpenAI, into: list[ChatCompletionChunk] | None = None, **how: Any
) -> list[ChatCompletionChunk]:
    """All chunks of a stream; those before an error are in `into`."""
    received = [] if into is None else into
    asked = {"model": "auto", "messages": HELLO, "stream": True, **how}
    stream = await client.chat.completions.create(**asked)
    async with stream:
        async for chunk in stream:
            received.append(chunk)
    return received


def text(received: list[ChatCompletionChunk]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in received if c.choices)


async def events(service: Service, **how: Any) -> AsyncIterator[str]:
    """The raw `data:` and comment lines of a stream."""
    body = {"model": "auto", "messages": HELLO, "stream": True, **how}
    async with service.http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if line:
                yield line


async def test_tokens_come_as_they_are_made(service: Service, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.behave("first", Behaviour(text="one two three", gates={1: gate}))
    client = await service.client()
    stream = await client.chat.completions.create(model="auto", messages=HELLO, stream=True)
    async with stream:
        assert (await anext(stream)).choices[0].delta.role == "assistant"
        assert (await anext(stream)).choices[0].delta.content == "one "
        gate.set()
        assert text([chunk async for chunk in stream]) == "two three"


async def test_the_stream_ends_with_its_reason_usage_and_what_the_router_did(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(tokens=6))
    received = await chunks(client)
    last = received[-1]
    assert last.choices[0].finish_reason == "stop"
    assert last.usage is not None
    assert last.usage.completion_tokens == 6
    told = last.to_dict()["router"]
    assert (told["provider"], told["role"]) == ("first", "primary")
    assert last.id == f"chatcmpl-{told['request_id']}"
    assert {(c.id, c.model, c.object) for c in received} == {
        (last.id, "first", "chat.completion.chunk")
    }
    assert all(c.choices[0].finish_reason is None for c in received[:-1])


async def test_usage_comes_in_a_chunk_of_its_own_where_it_is_asked_for(
    client: openai.AsyncOpenAI,
) -> None:
    received = await chunks(client, stream_options={"include_usage": True})
    *before, finish, last = received
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 5
    assert last.to_dict()["router"]["provider"] == "first"
    assert finish.choices[0].finish_reason == "stop"
    assert all(c.usage is None for c in [*before, finish])
    assert all("usage" in c.to_dict() for c in before)


async def test_the_stream_is_server_sent_events_that_no_proxy_holds_back(
    service: Service,
) -> None:
    body = {"model": "auto", "messages": HELLO, "stream": True}
    answer = await service.http.post("/v1/chat/completions", json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-request-id"]
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_the_row_is_in_the_log_before_the_finish_chunk(service: Service) -> None:
    async for line in events(service):
        chunk = json.loads(line.removeprefix("data: "))
        if chunk["choices"][0]["finish_reason"]:
            row = await service.router.services.log.get(chunk["router"]["request_id"])
            assert row["success"]
            break


async def test_a_failure_before_the_first_token_still_has_its_status(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, FAULTS["401"])
    with pytest.raises(openai.InternalServerError) as caught:
        await chunks(client)
    assert caught.value.status_code == 503


async def test_a_primary_that_fails_at_once_is_not_seen_in_the_stream(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    for name in ("first", "second"):
        upstream.behave(name, FAULTS["401"])
    upstream.behave("cheap", Behaviour(text="A cheap answer"))
    received = await chunks(client)
    assert text(received) == "A cheap answer"
    assert {c.model for c in received} == {"cheap"}
    assert received[-1].to_dict()["router"]["role"] == "fallback"


async def test_a_cut_stream_goes_on_with_the_fallback(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    both_asked = asyncio.Event()
    cut = Behaviour(text="The sky is blue because", cut_after=3, gates={3: both_asked})
    upstream.behave("first", cut)
    upstream.behave("cheap", Behaviour(text="never shown"), Behaviour(text="so far away"))
    answering = asyncio.create_task(chunks(client))
    await upstream.until(lambda: bool(upstream.calls("cheap")))
    both_asked.set()
    received = await answering
    assert text(received) == "The sky is so far away"
    assert received[-1].choices[0].finish_reason == "stop"
    assert received[-1].to_dict()["router"]["role"] == "fallback"
    asked = upstream.calls("cheap")[-1].body["messages"][-1]
    assert asked["role"] == "user"
    assert "The sky is " in asked["content"]


async def test_a_cut_stream_that_nobody_continues_ends_with_an_error(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text="The sky is blue because", cut_after=3))
    upstream.behave("cheap", FAULTS["401"])
    received: list[ChatCompletionChunk] = []
    with pytest.raises(openai.APIError) as caught:
        await chunks(client, into=received)
    assert text(received) == "The sky is "
    assert all(c.choices[0].finish_reason is None for c in received)
    assert "first" in caught.value.message


async def test_nothing_follows_an_error_event(service: Service, upstream: Upstream) -> None:
    upstream.behave("first", FAULTS["cut"])
    upstream.behave("cheap", FAULTS["401"])
    lines = [line async for line in events(service)]
    error = json.loads(lines[-1].removeprefix("data: "))["error"]
    assert error["message"]
    assert "[DONE]" not in "".join(lines)


async def test_text_of_any_script_survives(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    said = 'Grüße "quoted" \\ 東京 🌧️ \u2028 line\nbreak'
    upstream.behave("first", Behaviour(text=said))
    assert text(await chunks(client)) == said


async def test_the_synchronous_client_streams_as_well(service: Service) -> None:
    def ask() -> list[str]:
        with openai.OpenAI(base_url=f"{service.url}/v1", api_key="unused") as client:
            stream = client.chat.completions.create(model="auto", messages=HELLO, stream=True)
            return [c.choices[0].delta.content or "" for c in stream]

    assert "".join(await asyncio.to_thread(ask)) == "word0 word1 word2 word3 word4 "


async def test_a_connection_serves_one_stream_after_another(
    service: Service, upstream: Upstream
) -> None:
    for _ in range(3):
        assert [line async for line in events(service)][-1] == "data: [DONE]"
    assert len(service.server.server_state.connections) == 1


class TestComplete:
    """With `api: {deliver: complete}`."""

    @pytest.fixture
    async def service(self, serve: Serve, settings: Make) -> Service:
        return await serve(settings(api={"deliver": "complete"}))

    async def test_the_answer_comes_at_once_when_it_is_whole(self, service: Service) -> None:
        received = await chunks(await service.client())
        assert text(received) == "word0 word1 word2 word3 word4 "
        assert received[-1].choices[0].finish_reason == "stop"

    async def test_a_cut_answer_is_never_seen(self, service: Service, upstream: Upstream) -> None:
        upstream.behave("first", FAULTS["cut"])
        upstream.behave("second", FAULTS["401"])
        upstream.behave("cheap", Behaviour(text="A whole answer"))
        received = await chunks(await service.client())
        assert text(received) == "A whole answer"
        assert {c.model for c in received} == {"cheap"}

    async def test_a_failure_has_its_status_however_late(
        self, service: Service, upstream: Upstream
    ) -> None:
        upstream.behave("first", FAULTS["cut"])
        upstream.behave("second", FAULTS["401"])
        upstream.behave("cheap", FAULTS["401"])
        with pytest.raises(openai.InternalServerError) as caught:
            await chunks(await service.client())
        assert caught.value.status_code == 503


async def test_a_long_wait_shows_signs_of_life(
    serve: Serve, settings: Make, upstream: Upstream
) -> None:
    service = await serve(settings(api={"deliver": "complete"}), keep_alive_s=0.01)
    gate = asyncio.Event()
    upstream.behave("first", Behaviour(text="At last", gates={1: gate}))
    seen: list[str] = []
    async for line in events(service):
        seen.append(line)
        gate.set()
    assert seen[0].startswith(":")
    assert '"content":"At last"' in "".join(seen)
    assert seen[-1] == "data: [DONE]"
