"""Photos in a conversation: taken up to a bound, and only so many at once."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import openai
import pytest

from api.parsing import MAX_CHAT_BYTES
from tests.api.conftest import Service
from tests.upstream import Behaviour, Upstream
from web.body import LARGE_AT_ONCE, LARGE_BYTES, LargeBodies


def looking(size: int) -> list[Any]:
    """A question about a photo of so many bytes."""
    url = "data:image/jpeg;base64," + base64.b64encode(bytes(size)).decode()
    picture = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]


async def test_a_photo_of_ten_megabytes_travels_whole(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    asked = looking(10 * 2**20)
    done = await client.chat.completions.create(model="auto", messages=asked)
    assert done.model == "first"
    assert upstream.calls("first")[0].body["messages"] == asked


async def test_beyond_the_bound_it_is_413(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    with pytest.raises(openai.APIStatusError) as refusal:
        await client.chat.completions.create(model="auto", messages=looking(MAX_CHAT_BYTES))
    assert (refusal.value.status_code, upstream.requests) == (413, 0)


async def test_only_so_many_are_held_and_their_places_come_back(
    service: Service, upstream: Upstream
) -> None:
    gate = asyncio.Event()
    upstream.behave("first", Behaviour(gates={-1: gate}))
    client, asked = await service.client(), looking(LARGE_BYTES)

    async def ask(messages: list[Any]) -> Any:
        return await client.chat.completions.create(model="first", messages=messages)

    held = [asyncio.create_task(ask(asked)) for _ in range(LARGE_AT_ONCE)]
    await upstream.until(lambda: len(upstream.calls("first")) == LARGE_AT_ONCE, within_s=20)
    with pytest.raises(openai.RateLimitError) as refusal:
        await ask(asked)
    assert refusal.value.response.headers["retry-after"] == "1"
    gate.set()
    await asyncio.gather(*held)
    assert (await ask(asked)).model == "first"


def test_a_request_has_one_place() -> None:
    places = LargeBodies(most=1)
    assert places.enter("a")
    assert places.enter("a")
    assert not places.enter("b")
    places.leave("a")
    places.leave("a")
    assert places.enter("b")
