"""Each thing that a provider can do wrong, as a client of the service sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from tests.api.conftest import Make, Serve, Service, settled
from tests.upstream import FAULTS, Behaviour, Upstream

FALLBACK = "and so the fallback goes on."
LIMITS = {"ttft_s": 1.2, "stall_s": 0.9, "deadline_s": 20.0, "late_s": 0.5}
REFUSALS = {"content filter", "content filter 400"}
SURVIVED = [name for name in FAULTS if name not in REFUSALS]


def model_of(fault: str) -> str:
    return fault.replace(" ", "-")


@pytest.fixture
async def service(serve: Serve, settings: Make, upstream: Upstream) -> Service:
    """One provider for each fault, none of which knows of the others' breakers."""
    names = [*map(model_of, SURVIVED), "cheap"]
    providers = [{"name": name, "host": "upstream", "model": name} for name in names]
    for fault in SURVIVED:
        upstream.behave(model_of(fault), FAULTS[fault])
    upstream.behave("cheap", Behaviour(text=FALLBACK))
    priorities = {category: ["cheap"] for category in ("technical", "creative", "general")}
    patient = {"slow_s": 60.0}  # a busy machine must not open the fallback's breaker
    made = settings(providers=providers, priorities=priorities, limits=LIMITS, breaker=patient)
    return await serve(made)


async def ask(client: openai.AsyncOpenAI, fault: str, *, stream: bool) -> tuple[str, str | None]:
    """The text and the finish reason that the client is left with."""
    asked: dict[str, Any] = {
        "model": model_of(fault),
        "messages": [{"role": "user", "content": "Is everything well?"}],
    }
    if not stream:
        whole = (await client.chat.completions.create(**asked)).choices[0]
        return whole.message.content or "", whole.finish_reason
    parts, reason = [], None
    async for chunk in await client.chat.completions.create(**asked, stream=True):
        parts.append(chunk.choices[0].delta.content or "")
        reason = chunk.choices[0].finish_reason
    return "".join(parts), reason


def is_whole(text: str, fault: str, *, stream: bool) -> bool:
    """The primary's answer, the fallback's, or, live, the one gone on with by the other."""
    primary = "".join(FAULTS[fault].words()) * (10_000 if FAULTS[fault].endless else 1)
    if text in (primary, FALLBACK):
        return True
    return stream and text.endswith(FALLBACK) and primary.startswith(text.removesuffix(FALLBACK))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_no_fault_costs_the_client_its_answer(
    stream: bool, service: Service, upstream: Upstream
) -> None:
    client = await service.client()
    answers = await asyncio.gather(*(ask(client, fault, stream=stream) for fault in SURVIVED))
    for fault, (text, reason) in zip(SURVIVED, answers, strict=True):
        assert is_whole(text, fault, stream=stream), f"{fault}: {text[:200]!r}"
        assert reason == "stop", fault
        assert 1 <= len(upstream.calls(model_of(fault))) <= 3, fault
    upstream.behave("cheap", Behaviour(text="Healthy afterwards"))
    assert await ask(client, "no usage", stream=stream)
    await settled(service)
    assert service.router.health()["races"]["running"] == 0
