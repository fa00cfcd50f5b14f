"""What goes wrong, as the official client raises it."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from api.parsing import MAX_CHAT_BYTES
from tests.api.conftest import Make, Serve, Service, break_the_log
from tests.upstream import FAULTS, Behaviour, Upstream

HELLO = [{"role": "user", "content": "Hello"}]
JSON = {"content-type": "application/json"}


async def failure(client: openai.AsyncOpenAI, **how: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        await client.chat.completions.create(**{"model": "auto", "messages": HELLO, **how})
    return caught.value


async def test_an_unsupported_parameter_is_a_bad_request(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    error = await failure(client, web_search_options={"search_context_size": "low"})
    assert isinstance(error, openai.BadRequestError)
    assert (error.param, error.code, error.type) == (
        "web_search_options",
        "unsupported_parameter",
        "invalid_request_error",
    )
    assert upstream.requests == 0


async def test_an_unknown_model_is_not_found(client: openai.AsyncOpenAI) -> None:
    for model in ("gpt-4o", "auto:poetry", "auto:", "AUTO"):
        error = await failure(client, model=model)
        assert isinstance(error, openai.NotFoundError)
        assert (error.code, error.param) == ("model_not_found", "model")


async def test_a_disabled_provider_is_not_found_and_says_why(
    serve: Serve, settings: Make, upstream: Upstream
) -> None:
    keyless = {"base_url": upstream.base_url, "api_key_env": "SOME_KEY"}
    ready = {"base_url": upstream.base_url}
    providers = [
        {"name": "first", "host": "ready", "model": "first"},
        {"name": "second", "host": "ready", "model": "second"},
        {"name": "cheap", "host": "ready", "model": "cheap"},
        {"name": "dear", "host": "keyless", "model": "dear"},
    ]
    service = await serve(settings(hosts={"keyless": keyless, "ready": ready}, providers=providers))
    error = await failure(await service.client(), model="dear")
    assert isinstance(error, openai.NotFoundError)
    assert "SOME_KEY" in error.message


async def test_nobody_answers(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, FAULTS["401"])
    error = await failure(client)
    assert error.status_code == 503
    assert error.code == "no_answer"
    for name in ("first", "cheap"):
        assert name in error.message


async def test_an_error_tells_what_each_provider_said(service: Service, upstream: Upstream) -> None:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, FAULTS["401"])
    answer = await service.http.post("/v1/chat/completions", json={"messages": HELLO})
    told = answer.json()["router"]
    assert told["request_id"] == answer.headers["x-request-id"]
    assert {a["error"] for a in told["attempts"] if a["outcome"] == "failed"} == {"auth"}


async def test_a_content_filter_is_passed_on(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("cheap", FAULTS["hang before headers"])
    for fault in ("content filter", "content filter 400"):
        upstream.behave("first", FAULTS[fault])
        for stream in (True, False):
            error = await failure(client, stream=stream)
            assert isinstance(error, openai.BadRequestError)
            assert error.code == "content_filter"


async def test_a_prompt_too_long_for_everybody_is_the_prompts_fault(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, FAULTS["context length"])
    error = await failure(client)
    assert isinstance(error, openai.BadRequestError)
    assert error.code == "context_length_exceeded"


@pytest.mark.parametrize(
    "faults",
    [
        [Behaviour(rejects=("stop",))],
        [Behaviour(rejects=("stop",)), FAULTS["context length"]],
        [Behaviour(status=422, body={"detail": "no"})],
    ],
)
async def test_what_every_provider_rejects_is_the_requests_fault(
    faults: list[Behaviour], client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    """A status of the server's own would be tried again, by clients and by batches."""
    for place, name in enumerate(("first", "second", "cheap")):
        upstream.behave(name, faults[place % len(faults)])
    for stream in (True, False):
        error = await failure(client, stream=stream, stop=["END"])
        assert isinstance(error, openai.BadRequestError)
        assert "first at upstream" in error.message


async def test_a_full_queue_says_when_to_come_back(
    serve: Serve, settings: Make, upstream: Upstream
) -> None:
    service = await serve(settings(admission={"races": 1, "queue": 0}))
    gate = asyncio.Event()
    upstream.behave("first", Behaviour(gates={-1: gate}))
    client = await service.client()
    running = asyncio.create_task(client.chat.completions.create(model="auto", messages=HELLO))
    await upstream.until(lambda: bool(upstream.calls("first")))
    error = await failure(client)
    assert isinstance(error, openai.RateLimitError)
    assert int(error.response.headers["retry-after"]) >= 1
    assert isinstance(await failure(client, stream=True), openai.RateLimitError)
    gate.set()
    assert (await running).choices[0].finish_reason == "stop"


async def test_a_space_limits_each_client(serve: Serve, settings_for: Any, upstream: Any) -> None:
    service = await serve(settings_for(upstream, environ={"SPACE_ID": "someone/router"}))
    client = await service.client()
    wrong = [(await failure(client, n=2)).status_code for _ in range(12)]
    assert wrong == [400] * 10 + [429] * 2
    assert isinstance(await failure(client), openai.RateLimitError)
    other = await failure(client, n=2, extra_headers={"x-forwarded-for": "10.1.2.3"})
    assert other.status_code == 400


async def test_a_body_too_large_is_refused(client: openai.AsyncOpenAI) -> None:
    error = await failure(client, messages=[{"role": "user", "content": "a" * MAX_CHAT_BYTES}])
    assert error.status_code == 413
    assert error.code == "request_too_large"


async def test_a_body_too_large_is_noticed_without_its_length(service: Service) -> None:
    async def endless() -> Any:
        for _ in range(2 * MAX_CHAT_BYTES // 2**16 - 1):
            yield b" " * 2**16

    answer = await service.http.post("/v1/chat/completions", content=endless(), headers=JSON)
    assert answer.status_code == 413


NONSENSE = [
    b"",
    b"{",
    b'"Hello"',
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
    b'{"messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
    b'{"messages": [{"role": "user", "content": "x"}], "temperature": 1e999}',
    b'{"messages": ' + b"[" * 50_000,
    b'{"metadata": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    b'{"messages": [{"role": "user", "content": {"deep": [[[[]]]]}}]}',
]


async def test_a_body_that_makes_no_sense_is_a_bad_request(service: Service) -> None:
    for body in NONSENSE:
        for route in ("/v1/chat/completions", "/router/feedback"):
            answer = await service.http.post(route, content=body, headers=JSON)
            assert answer.status_code == 400, body[:60]
            assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_another_content_type_is_refused(service: Service) -> None:
    """Any web page could send it to a service on this machine."""
    raw = b'{"messages": [{"role": "user", "content": "Hello"}]}'
    for headers in ({"content-type": "text/plain"}, {}):
        answer = await service.http.post("/v1/chat/completions", content=raw, headers=headers)
        assert answer.status_code == 400
        assert "application/json" in answer.json()["error"]["message"]


async def test_an_unknown_route_and_a_wrong_method_speak_openai(service: Service) -> None:
    missing = await service.http.get("/v1/nothing")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
    wrong = await service.http.get("/v1/chat/completions")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


async def test_a_database_that_fails_costs_no_answer(service: Service) -> None:
    client = await service.client()
    await client.chat.completions.create(model="auto", messages=HELLO)
    break_the_log(service)
    answer = await client.chat.completions.create(model="auto", messages=HELLO)
    assert answer.choices[0].finish_reason == "stop"
    shown = await service.http.get("/router/interactions")
    assert (shown.status_code, shown.json()["error"]["code"]) == (503, "storage")


class TestKeys:
    """With ROUTER_API_KEYS."""

    @pytest.fixture
    async def service(self, serve: Serve, settings_for: Any, upstream: Upstream) -> Service:
        keys = {"ROUTER_API_KEYS": "one-key, another-key"}
        return await serve(settings_for(upstream, environ=keys))

    async def test_either_key_opens(self, service: Service) -> None:
        for key in ("one-key", "another-key"):
            client = await service.client(key)
            assert await client.chat.completions.create(model="auto", messages=HELLO)

    async def test_another_key_raises_the_clients_own_error(self, service: Service) -> None:
        for key in ("one-key2", "one", "One-Key", "one-key, another-key"):
            error = await failure(await service.client(key))
            assert isinstance(error, openai.AuthenticationError)
            assert error.code == "invalid_api_key"
            assert error.response.headers["www-authenticate"] == "Bearer"

    async def test_every_route_needs_one(self, service: Service) -> None:
        gets = ["/v1/models", "/v1/models/auto", "/metrics"]
        gets += ["/router/interactions", "/router/priorities"]
        posts = ["/v1/chat/completions", "/router/feedback"]
        for given in (b"", b"Bearer", b"Basic one-key", b"one-key", b"Bearer \xff\xc3\xbc"):
            headers = {"authorization": given}
            for route in gets:
                assert (await service.http.get(route, headers=headers)).status_code == 401
            for route in posts:
                answer = await service.http.post(route, headers=headers, json={})
                assert answer.status_code == 401

    async def test_liveness_needs_none_but_tells_no_more(self, service: Service) -> None:
        assert set((await service.http.get("/health")).json()) == {"status", "version"}
        key = {"authorization": "Bearer one-key"}
        assert "providers" in (await service.http.get("/health", headers=key)).json()

    async def test_a_body_without_a_key_is_not_read(
        self, service: Service, upstream: Upstream
    ) -> None:
        answer = await service.http.post("/v1/chat/completions", content=b"{", headers=JSON)
        assert answer.status_code == 401
