"""What the embedded LLaMA answers, and when it stops."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from providers import llama_server
from providers.base import CallOptions, ChatProvider, Message
from providers.openai_chat import OpenAIChat
from tests.conftest import SettingsFor
from tests.providers.conftest import MakeProviders, ask

MODEL = llama_server.BUNDLED_MODEL
pytestmark = [pytest.mark.model, pytest.mark.usefixtures("embedded")]


@pytest.fixture
async def chat(make_providers: MakeProviders, settings_for: SettingsFor) -> ChatProvider:
    provider = {
        "host": "embedded",
        "model": MODEL,
        "temperature": 0.0,
        "max_tokens": 12,
        "instructions": "You answer in one short sentence. " * 6,
    }
    settings = settings_for(
        hosts={"embedded": {"kind": "llama_cpp"}},
        providers=[{**provider, "name": name} for name in ("first", "second", "cheap")],
    )
    providers = make_providers(settings)
    await providers.warm(["first"])
    return providers.get("first")


async def busy_slots(chat: ChatProvider) -> int:
    """How many slots the server says are at work."""
    assert isinstance(chat, OpenAIChat)
    address = await chat.endpoint.address()
    headers = {"authorization": f"Bearer {address.key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        url = address.base_url.removesuffix("/v1") + "/slots"
        async with session.get(url) as response:
            return sum(slot["is_processing"] for slot in await response.json())


async def test_the_embedded_llama_answers_through_the_same_provider(chat: ChatProvider) -> None:
    reply = await ask(chat, [Message(role="user", content="What is the capital of France?")])
    assert "Paris" in reply.text
    assert reply.usage is not None
    assert reply.usage.tokens_out <= 12
    assert await chat.models() == [MODEL]


async def test_the_instructions_are_not_read_again(chat: ChatProvider) -> None:
    assert isinstance(chat, OpenAIChat)
    address = await chat.endpoint.address()
    body = {
        "messages": [
            {"role": "system", "content": chat.provider.instructions},
            {"role": "user", "content": "Name a colour."},
        ],
        "max_tokens": 1,
    }
    headers = {"authorization": f"Bearer {address.key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{address.base_url}/chat/completions", json=body) as response,
    ):
        usage = (await response.json())["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] >= 40


@pytest.mark.parametrize("prompt", ["Write a long story.", "word " * 1200])
async def test_an_abandoned_call_frees_its_slot(chat: ChatProvider, prompt: str) -> None:
    """While it writes, and while it still reads a prompt of 1,200 words (8 s of work)."""
    messages = [Message(role="user", content=prompt)]
    task = asyncio.create_task(ask(chat, messages, CallOptions(max_tokens=700)))
    async with asyncio.timeout(5):
        while not await busy_slots(chat):
            pass
        task.cancel()
        await asyncio.wait({task})
        while await busy_slots(chat):
            pass


async def test_four_at_once_are_all_answered(chat: ChatProvider) -> None:
    replies = await asyncio.gather(*(ask(chat, options=CallOptions(max_tokens=4)) for _ in "1234"))
    assert [reply.error for reply in replies] == [None] * 4


async def test_a_prompt_too_long_is_reported_as_such(chat: ChatProvider) -> None:
    error = (await ask(chat, [Message(role="user", content="word " * 3000)])).error
    assert error is not None
    assert error.kind == "context_length"
