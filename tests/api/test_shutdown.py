"""Stopping: what runs is finished, what must be dropped is told so and logged."""

from __future__ import annotations

import asyncio
import json

import openai
import pytest

from api.boundary import InFlight
from tests.api.conftest import Make, serving
from tests.upstream import Behaviour, Upstream

HELLO = [{"role": "user", "content": "Hello"}]
BODY = {"model": "auto", "messages": HELLO}


async def test_a_running_stream_is_finished(settings: Make, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.behave("first", Behaviour(text="one two", gates={1: gate}))
    async with serving(settings()) as service:
        client = await service.client()
        stream = await client.chat.completions.create(**BODY, stream=True)
        await anext(stream)
        service.server.leave.set()
        gate.set()
        rest = [chunk async for chunk in stream]
        assert rest[-1].choices[0].finish_reason == "stop"


async def test_a_stream_that_takes_too_long_ends_with_an_error(
    settings: Make, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text="one two", stall_after=1))
    async with serving(settings(), stop_s=0, grace_s=0) as service:
        body = {**BODY, "stream": True}
        async with service.http.stream("POST", "/v1/chat/completions", json=body) as response:
            lines = response.aiter_lines()
            first = json.loads((await anext(lines)).removeprefix("data: "))
            service.server.leave.set()
            rest = [line async for line in lines if line]
    error = json.loads(rest[-1].removeprefix("data: "))["error"]
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert error["code"] == "shutting_down"
    assert "[DONE]" not in "".join(rest)
    assert upstream.concurrent == 0


async def test_a_request_that_is_dropped_gets_an_error_and_is_logged(
    settings: Make, upstream: Upstream
) -> None:
    for name in ("first", "cheap"):
        upstream.behave(name, Behaviour(hang="before_headers"))
    made = settings()
    async with serving(made, stop_s=0, grace_s=0) as service:
        client = await service.client()
        running = asyncio.create_task(client.chat.completions.create(**BODY))
        await upstream.until(lambda: upstream.concurrent == 2)
        service.server.leave.set()
        with pytest.raises(openai.InternalServerError) as caught:
            await running
        assert caught.value.status_code == 503
        assert caught.value.code == "shutting_down"
    async with serving(made) as again:
        (row,) = await again.router.interactions()
    assert not row["success"]
    assert upstream.concurrent == 0


async def test_the_application_waits_for_what_runs_whatever_the_server_did() -> None:
    in_flight = InFlight()
    done = asyncio.Event()

    async def work() -> None:
        await done.wait()

    task: asyncio.Task[object] = asyncio.create_task(work())
    in_flight.tasks[task] = "request"
    task.add_done_callback(lambda t: in_flight.tasks.pop(t, None))
    closing = asyncio.create_task(in_flight.close(grace_s=30))
    await asyncio.sleep(0)
    assert in_flight.closing
    done.set()
    await closing
    assert not task.cancelled()


async def test_what_outlives_the_grace_is_cancelled() -> None:
    in_flight = InFlight()
    task: asyncio.Task[object] = asyncio.create_task(asyncio.Event().wait())
    in_flight.tasks[task] = "request"
    await in_flight.close(grace_s=0)
    assert task.cancelled()
