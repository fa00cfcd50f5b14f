"""One timed call of a trial. A failure is part of the reply, and finished calls are kept on disk,
so that no call is paid for twice after a restart.

A model that reasons needs extra tokens: its reasoning is not graded, but costs time, tokens and
money. Once a call shows that a model reasons, later calls allow for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from config.hosts import Cost, Provider
from discovery.checks import MAX_CHARACTERS
from providers.base import (
    CallOptions,
    ChatProvider,
    Delta,
    Message,
    ProviderError,
    Usage,
    cost_usd,
    estimate_tokens,
)


class Journal:
    """The finished calls of one trial; a line cut short by a crash is ignored. Blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, object]] = {}
        with suppress(OSError):
            for line in path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError):
                    row = json.loads(line)
                    self._known[row["call"]] = row["reply"]

    def get(self, call: str) -> dict[str, object] | None:
        return self._known.get(call)

    def put(self, call: str, reply: dict[str, object]) -> None:
        """Written through at once; if the file cannot be written, a crash costs one repeated
        call."""
        self._known[call] = reply
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"call": call, "reply": reply}) + "\n")

    def remove(self) -> None:
        self._known.clear()
        self._path.unlink(missing_ok=True)


def call_id(host: str, model: str, prompt: str, max_tokens: int) -> str:
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:24]
    return f"{host}/{model}/{digest}/{max_tokens}"


CALL_S = 60.0
"""Time limit in seconds of one trial call; the embedded LLaMA may have to load first."""
THINKING_CALL_S = 180.0
"""The same limit for a model that reasons."""
SMOKE_TOKENS = 16
THINK_TOKENS = 4096
"""Extra tokens that a model may spend on reasoning, on top of the answer's own limit."""


@dataclass
class Contender:
    """One side of the trial. For a simulated one, `quality` replaces the checks of its answers."""

    provider: ChatProvider
    cost: Cost | None = None
    quality: float | None = None
    limit: int | None = None
    """Its entry's own token limit; anything beyond it may be spent on reasoning only."""
    context: int | None = None
    thinks: bool = False
    """Whether it is known, or was observed, to reason."""
    journal: Journal | None = None
    """Where finished calls are stored and found again after a restart."""

    @classmethod
    def of(
        cls,
        chat: ChatProvider,
        entry: Provider,
        *,
        thinks: bool = False,
        journal: Journal | None = None,
    ) -> Contender:
        quality = entry.simulation.quality if entry.simulation else None
        declared = "reasoning" in (entry.capabilities or ())
        return cls(
            chat, entry.cost, quality, entry.max_tokens, entry.context, thinks or declared, journal
        )

    def room(self, prompt: str, answer: int, thoughts: int) -> int:
        """The token limit of a call whose answer may have `max_tokens` tokens."""
        if not self.thinks:
            return answer
        room = max(self.limit or 0, answer + thoughts)
        if self.context is None:
            return room
        return max(answer, min(room, self.context - 2 * estimate_tokens(prompt) - 64))


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer of one call, or its failure; times since the start of the call, in
    milliseconds."""

    text: str = ""
    sign_ms: float | None = None
    """The first sign of life: reasoning or the answer's first token."""
    ttft_ms: float | None = None
    """The answer's first token."""
    latency_ms: float = 0.0
    cost_usd: float | None = None
    """Of all attempts at this answer, reasoning included."""
    error: str | None = None
    thought: bool = False
    starved: bool = False
    """Whether reasoning used up the token limit before the answer was complete."""


async def ask(
    contender: Contender,
    prompt: str,
    max_tokens: int,
    limit_s: float | None = None,
    thoughts: int = THINK_TOKENS,
) -> Reply:
    """One answer, timed; a failure is part of the reply. A call found in the journal is not
    repeated.

    A model that turns out to reason, and has no tokens left for its answer, is asked again with a
    higher limit.
    """
    journal, chat = contender.journal, contender.provider
    call = call_id(chat.host, chat.model, prompt, max_tokens)
    if journal is not None and (known := journal.get(call)):
        reply = Reply(**known)  # type: ignore[arg-type]
        contender.thinks = contender.thinks or reply.thought or reply.starved
        return reply
    reply = await _asked(contender, prompt, max_tokens, limit_s, thoughts)
    if journal is not None and reply.error is None:
        await asyncio.to_thread(journal.put, call, asdict(reply))
    return reply


async def _asked(
    contender: Contender, prompt: str, max_tokens: int, limit_s: float | None, thoughts: int
) -> Reply:
    knew = contender.thinks
    reply = await _call(contender, prompt, contender.room(prompt, max_tokens, thoughts), limit_s)
    contender.thinks = contender.thinks or reply.thought or reply.starved
    if knew or not reply.starved:
        return reply
    again = await _call(contender, prompt, contender.room(prompt, max_tokens, thoughts), limit_s)
    return replace(again, cost_usd=_sum(reply.cost_usd, again.cost_usd))


async def smoke(candidate: Contender) -> Reply:
    """Whether the model answers at all: one short call."""
    return await ask(candidate, "Reply with the single word: ready", SMOKE_TOKENS)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


@dataclass
class _Received:
    """What one call has returned so far."""

    started: float
    pieces: list[str]
    thoughts: list[str]
    sign_ms: float | None = None
    ttft_ms: float | None = None
    usage: Usage | None = None
    finish_reason: str | None = None

    def take(self, delta: Delta) -> None:
        now_ms = (time.perf_counter() - self.started) * 1000
        if (delta.text or delta.reasoning) and self.sign_ms is None:
            self.sign_ms = now_ms
        if delta.text.strip() and self.ttft_ms is None:
            self.ttft_ms = now_ms
        self.pieces.append(delta.text)
        self.thoughts.append(delta.reasoning)
        self.usage = delta.usage or self.usage
        self.finish_reason = delta.finish_reason or self.finish_reason


async def _call(contender: Contender, prompt: str, max_tokens: int, limit_s: float | None) -> Reply:
    received = _Received(time.perf_counter(), [], [])
    error = await _receive(contender, prompt, max_tokens, limit_s, received)
    text, thoughts = "".join(received.pieces), "".join(received.thoughts)
    refused = error is not None and not (text or thoughts)  # a refused call is not billed
    read = 0 if refused else estimate_tokens(prompt)
    counted = received.usage or Usage(read, estimate_tokens(text) + estimate_tokens(thoughts))
    cut = received.finish_reason == "length"
    return Reply(
        text=text[:MAX_CHARACTERS].strip() if thoughts else text[:MAX_CHARACTERS],
        sign_ms=received.sign_ms,
        ttft_ms=received.ttft_ms,
        latency_ms=(time.perf_counter() - received.started) * 1000,
        cost_usd=cost_usd(contender.cost, counted),
        error=error,
        thought=bool(thoughts),
        starved=cut and (bool(thoughts) or not text.strip()),
    )


async def _receive(
    contender: Contender, prompt: str, max_tokens: int, limit_s: float | None, received: _Received
) -> str | None:
    """Fill `received`; returns what went wrong, or None."""
    limit_s = limit_s or (THINKING_CALL_S if contender.thinks else CALL_S)
    options = CallOptions(max_tokens=max_tokens, temperature=0.0)
    stream = contender.provider.stream([Message(role="user", content=prompt)], options)
    try:
        async with (
            asyncio.timeout(limit_s),
            aclosing(cast("AsyncGenerator[Delta]", stream)) as deltas,
        ):
            async for delta in deltas:
                received.take(delta)
    except ProviderError as failure:
        return f"{failure.kind}: {failure}"
    except TimeoutError:
        return f"timeout: no complete answer within {limit_s:g} s"
    return None
