"""Providers on the misbehaving upstream, closed after each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from config.models import Settings
from providers.base import (
    DEFAULT_OPTIONS,
    CallOptions,
    ChatProvider,
    Delta,
    Message,
    ProviderError,
    Usage,
)
from providers.registry import Providers

HELLO = [Message(role="user", content="Hello")]


@dataclass(frozen=True)
class Reply:
    """A whole answer, or as much of it as came before the error."""

    text: str
    reasoning: str
    finish_reason: str | None
    usage: Usage | None
    deltas: tuple[Delta, ...]
    error: ProviderError | None


async def ask(
    provider: ChatProvider,
    messages: list[Message] = HELLO,
    options: CallOptions = DEFAULT_OPTIONS,
) -> Reply:
    """The answer in one piece; a ProviderError becomes part of the reply."""
    deltas: list[Delta] = []
    error = None
    try:
        async with asyncio.timeout(10):
            async for delta in provider.stream(messages, options):
                deltas.append(delta)
    except ProviderError as raised:
        error = raised
    return Reply(
        text="".join(d.text for d in deltas),
        reasoning="".join(d.reasoning for d in deltas),
        finish_reason=next((d.finish_reason for d in deltas if d.finish_reason), None),
        usage=next((d.usage for d in deltas if d.usage), None),
        deltas=tuple(deltas),
        error=error,
    )


MakeProviders = Callable[[Settings], Providers]


@pytest.fixture
async def make_providers() -> AsyncIterator[MakeProviders]:
    made: list[Providers] = []

    def make(settings: Settings) -> Providers:
        made.append(Providers(settings))
        return made[-1]

    yield make
    for providers in made:
        await providers.close()
