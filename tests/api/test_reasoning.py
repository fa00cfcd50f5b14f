"""Who is asked where a caller wants a model that thinks."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.api.conftest import Make, Serve
from tests.upstream import Behaviour, Upstream

ASKED: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "host": "upstream", "model": name, **more}


@pytest.fixture
async def client(serve: Serve, settings: Make) -> openai.AsyncOpenAI:
    """`first` declares that it does not reason, `second` that it does."""
    providers = [
        named("first", capabilities=["tools"]),
        named("second", capabilities=["reasoning"]),
        named("cheap"),
    ]
    return await (await serve(settings(providers=providers))).client()


async def answered_by(client: openai.AsyncOpenAI, **how: Any) -> str:
    done = await client.chat.completions.create(**{"model": "auto", "messages": ASKED, **how})
    return str(done.model)


@pytest.mark.parametrize(
    ("effort", "who"), [("high", "second"), ("low", "second"), ("none", "first")]
)
async def test_effort_is_for_a_model_that_reasons(
    effort: str, who: str, client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    assert await answered_by(client, reasoning_effort=effort) == who
    assert upstream.calls(who)[0].body["reasoning_effort"] == effort


async def test_without_it_the_order_stands(client: openai.AsyncOpenAI) -> None:
    assert await answered_by(client) == "first"


async def test_it_is_a_preference_and_the_callers_own_order_is_above_it(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    wish = {"extra_body": {"models": ["first"]}}
    assert await answered_by(client, reasoning_effort="high", **wish) == "first"
    upstream.behave("second", Behaviour(status=400, body="no such model"))
    assert await answered_by(client, reasoning_effort="high") != "second"
