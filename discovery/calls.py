"""One timed call of a trial; a failure is part of what comes back. What a call came to is kept on
disk, so that no call is paid twice after a restart.

A model that thinks needs room for it: its thoughts are no answer and are never graded, but they
cost time, tokens and money. What a call shows of a model (that it thinks) holds for the next ones.
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

from config.models import Cost, Provider
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
    """One trial's finished calls; a line that a crash cut short is left out. Blocks."""

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
        """Written through at once; a file that cannot be written costs a call after a crash."""
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
"""The longest that one call of a trial may take; the embedded LLaMA may have to load first."""
THINKING_CALL_S = 180.0
"""The same for a model that thinks."""
SMOKE_TOKENS = 16
THINK_TOKENS = 4096
"""What a model that thinks may write before its answer, beside the answer's own tokens."""


@dataclass
class Contender:
    """One side of the trial. `quality`, of a simulated one, stands for the answers' checks."""

    provider: ChatProvider
    cost: Cost | None = None
    quality: float | None = None
    limit: int | None = None
    """The most that its entry lets it write; more room than that is given only to think."""
    context: int | None = None
    thinks: bool = False
    """Whether it has been seen to think, or is known to."""
    journal: Journal | None = None
    """Where finished calls are kept, and found again after a restart."""

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
        """How many tokens it may write for an answer of so many."""
        if not self.thinks:
            return answer
        room = max(self.limit or 0, answer + thoughts)
        if self.context is None:
            return room
        return max(answer, min(room, self.context - 2 * estimate_tokens(prompt) - 64))


@dataclass(frozen=True, slots=True)
class Reply:
    """One call's answer or its failure; times since the call began, in milliseconds."""

    text: str = ""
    sign_ms: float | None = None
    """The first sign of life: a thought or the answer's first token."""
    ttft_ms: float | None = None
    """The answer's first token."""
    latency_ms: float = 0.0
    cost_usd: float | None = None
    """Of every attempt at this answer, thoughts included."""
    error: str | None = None
    thought: bool = False
    starved: bool = False
    """Whether it ran out of tokens before its answer was whole, for having thought first."""


async def ask(
    contender: Contender,
    prompt: str,
    max_tokens: int,
    limit_s: float | None = None,
    thoughts: int = THINK_TOKENS,
) -> Reply:
    """One answer, timed; a failure is part of the reply. What the journal knows is not asked again.

    A model that turns out to think, and has no token left to answer, is asked again with room.
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
    """Whether it answers at all: one short call."""
    return await ask(candidate, "Reply with the single word: ready", SMOKE_TOKENS)


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


@dataclass
class _Heard:
    """What came of one call so far."""

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
    heard = _Heard(time.perf_counter(), [], [])
    error = await _listen(contender, prompt, max_tokens, limit_s, heard)
    text, thoughts = "".join(heard.pieces), "".join(heard.thoughts)
    read = 0 if error and not (text or thoughts) else estimate_tokens(prompt)  # no bill for refusal
    counted = heard.usage or Usage(read, estimate_tokens(text) + estimate_tokens(thoughts))
    cut = heard.finish_reason == "length"
    return Reply(
        text=text[:MAX_CHARACTERS].strip() if thoughts else text[:MAX_CHARACTERS],
        sign_ms=heard.sign_ms,
        ttft_ms=heard.ttft_ms,
        latency_ms=(time.perf_counter() - heard.started) * 1000,
        cost_usd=cost_usd(contender.cost, counted),
        error=error,
        thought=bool(thoughts),
        starved=cut and (bool(thoughts) or not text.strip()),
    )


async def _listen(
    contender: Contender, prompt: str, max_tokens: int, limit_s: float | None, heard: _Heard
) -> str | None:
    """Fill `heard`; what went wrong, or None."""
    limit_s = limit_s or (THINKING_CALL_S if contender.thinks else CALL_S)
    options = CallOptions(max_tokens=max_tokens, temperature=0.0)
    stream = contender.provider.stream([Message(role="user", content=prompt)], options)
    try:
        async with (
            asyncio.timeout(limit_s),
            aclosing(cast("AsyncGenerator[Delta]", stream)) as deltas,
        ):
            async for delta in deltas:
                heard.take(delta)
    except ProviderError as failure:
        return f"{failure.kind}: {failure}"
    except TimeoutError:
        return f"timeout: no complete answer within {limit_s:g} s"
    return None
