"""One timed call of a trial; a failure is part of what comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from config.models import Cost
from discovery.checks import MAX_CHARACTERS
from providers.base import CallOptions, ChatProvider, Delta, Message, ProviderError, Usage
from providers.prices import cost_usd, estimate_tokens

CALL_S = 60.0
"""The longest that one call of a trial may take; the embedded LLaMA may have to load first."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One side of the trial. `quality`, of a simulated one, stands for the answers' checks."""

    provider: ChatProvider
    cost: Cost | None = None
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One call's answer or its failure; times since the call began."""

    text: str = ""
    ttft_ms: float | None = None
    latency_ms: float = 0.0
    cost_usd: float | None = None
    error: str | None = None


async def ask(contender: Contender, prompt: str, max_tokens: int, limit_s: float = CALL_S) -> Reply:
    """One call, timed; a failure is part of the reply."""
    started = time.perf_counter()
    pieces: list[str] = []
    ttft, usage, error = None, None, None
    messages = [Message(role="user", content=prompt)]
    stream = contender.provider.stream(
        messages, CallOptions(max_tokens=max_tokens, temperature=0.0)
    )
    try:
        async with (
            asyncio.timeout(limit_s),
            aclosing(cast("AsyncGenerator[Delta]", stream)) as deltas,
        ):
            async for delta in deltas:
                if delta.text and ttft is None:
                    ttft = (time.perf_counter() - started) * 1000
                pieces.append(delta.text)
                usage = delta.usage or usage
    except ProviderError as failure:
        error = f"{failure.kind}: {failure}"
    except TimeoutError:
        error = f"timeout: no complete answer within {limit_s:g} s"
    text = "".join(pieces)[:MAX_CHARACTERS]
    read = 0 if error and not text else estimate_tokens(prompt)  # nobody bills a refusal
    counted = usage or Usage(read, estimate_tokens(text))
    return Reply(
        text=text,
        ttft_ms=ttft,
        latency_ms=(time.perf_counter() - started) * 1000,
        cost_usd=cost_usd(contender.cost, counted),
        error=error,
    )


async def smoke(candidate: Contender) -> Reply:
    """Whether it answers at all: one short call."""
    return await ask(candidate, "Reply with the single word: ready", max_tokens=16)
