"""One call to a provider, watched, measured and reported to the race."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from providers.base import CallOptions, ChatProvider, Delta, Message, ProviderError, Usage
from providers.prices import cost_usd, estimate_tokens
from race.machine import Side
from race.rendezvous import Rendezvous
from race.routing_state import Watch
from race.services import Services
from race.state import Branch, Options, Route
from routing.quality import quality
from routing.repetition import RepetitionGuard
from telemetry.records import AttemptRow


@dataclass(slots=True)
class Call:
    """What one call came to; `row` is its line in the log and grows while the call runs."""

    row: AttemptRow
    parts: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Usage | None = None
    error: ProviderError | None = None
    prefix: str = ""
    """What the caller had been shown before a continuation."""
    watch: Watch | None = None

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def ok(self) -> bool:
        return self.row["outcome"] in ("ok", "late")


def call_options(options: Options, most: int | None = None) -> CallOptions:
    """The caller's options; `most` tokens where the caller names no limit."""
    return CallOptions(
        max_tokens=options.get("max_tokens", most),
        temperature=options.get("temperature"),
        top_p=options.get("top_p"),
        stop=tuple(options.get("stop", ())),
        extra=dict(options.get("extra", {})),
    )


def new_row(r: Rendezvous, route: Route, provider: ChatProvider, role: Side) -> AttemptRow:
    """An attempt's row, with a place in the request's list."""
    row = AttemptRow(
        request_id=r.request_id,
        seq=len(r.attempts),
        at=time.time(),
        category=route["category"],
        confidence=route["confidence"],
        provider=provider.name,
        model=provider.model,
        host=provider.host,
        role=role,
        outcome="cancelled",
        error=None,
        detail=None,
        served=False,
        started_ms=r.elapsed_ms(),
        ttft_ms=None,
        latency_ms=None,
        tokens_in=None,
        tokens_out=None,
        cost_usd=None,
        cost_estimated=False,
        propensity=route["propensity"] if role == "primary" and not r.attempts else None,
        quality=None,
        finish_reason=None,
        revision=0,
        text=None,
    )
    r.attempts.append(row)
    return row


def branch_of(r: Rendezvous, side: Side, calls: list[Call]) -> Branch:
    """What a side came to, as the decision and its last call's row in the log tell it."""
    rows = [row for row in r.attempts if row["role"] == side]
    if not calls:
        return Branch(won=False, text="", outcome="skipped", provider=None, attempts=rows)
    decision, last = r.decided.result(), calls[-1]
    row = r.attempts[last.row["seq"]]
    return Branch(
        won=decision.winner == side,
        refused=decision.reason == "content_filter",
        text=last.prefix + last.text,
        provider=row["provider"],
        model=row["model"],
        outcome=row["outcome"],
        error=row["error"],
        detail=row["detail"],
        finish_reason=last.finish_reason,
        attempts=rows,
    )


async def attempt(
    r: Rendezvous,
    services: Services,
    call: Call,
    provider: ChatProvider,
    messages: list[Message],
    options: CallOptions,
) -> None:
    """Stream one call into the race and complete `call`; never raises a provider's failure.

    Cancelling it closes the upstream call; what was read until then stays in `call`.
    """
    role: Side = "fallback" if call.row["role"] == "fallback" else "primary"
    r.speakers[role] = provider.name
    r.emit(
        "attempt_started",
        provider=provider.name,
        model=provider.model,
        host=provider.host,
        role=role,
        seq=call.row["seq"],
        simulated=provider.simulated,
    )
    started = r.now()
    try:
        think_s = services.settings.think_s(call.row["category"], provider.name)
        await _read(r, call, provider.stream(messages, options), role, started, think_s)
        call.row["outcome"] = "ok"
    except ProviderError as error:
        call.error = error
        call.row["outcome"] = "failed"
        call.row["error"], call.row["detail"] = error.kind, str(error)
    except asyncio.CancelledError:
        call.row["outcome"] = "cancelled"
        raise
    finally:
        _measure(r, services, call, messages, started)


async def _read(
    r: Rendezvous,
    call: Call,
    stream: AsyncIterator[Delta],
    role: Side,
    started: float,
    think_s: float,
) -> None:
    guard = RepetitionGuard()
    async with aclosing(stream) as deltas:  # type: ignore[type-var]
        async for delta in deltas:
            if call.watch and (delta.text or delta.reasoning):
                call.watch.sign_of_life((r.now() - started) * 1000)
            if delta.text:
                if call.row["ttft_ms"] is None:
                    call.row["ttft_ms"] = round((r.now() - started) * 1000, 1)
                    r.emit(
                        "first_token",
                        provider=call.row["provider"],
                        role=role,
                        seq=call.row["seq"],
                        ttft_ms=call.row["ttft_ms"],
                    )
                call.parts.append(delta.text)
                r.token(role, delta.text)
                if guard.feed(delta.text):
                    name = call.row["provider"]
                    raise ProviderError("bad_reply", f"{name} repeats itself without end")
            elif delta.reasoning:
                r.alive(role, think_s)
            if delta.finish_reason:
                call.finish_reason = delta.finish_reason
            if delta.usage:
                call.usage = delta.usage


def _measure(
    r: Rendezvous, services: Services, call: Call, messages: list[Message], started: float
) -> None:
    """Latency, tokens, cost and quality of a call, however it ended."""
    row, text = call.row, call.text
    row["latency_ms"] = round((r.now() - started) * 1000, 1)
    row["finish_reason"] = call.finish_reason
    usage = call.usage
    if usage is None and (text or row["outcome"] == "cancelled"):
        prompt = "\n".join(m["content"] for m in messages)
        usage = Usage(estimate_tokens(prompt), estimate_tokens(text))
        row["cost_estimated"] = True
    if usage is not None:
        row["tokens_in"], row["tokens_out"] = usage.tokens_in, usage.tokens_out
        row["cost_usd"] = cost_usd(services.settings.provider(row["provider"]).cost, usage)
    else:
        row["cost_usd"] = 0.0
    if row["outcome"] == "ok":
        row["quality"] = quality(r.prompt, call.prefix + text, call.finish_reason)
    row["text"] = text or None
    report(r, row)


def report(r: Rendezvous, row: AttemptRow) -> None:
    """Tell the caller how an attempt ended, or that it is late."""
    told = ("provider", "role", "seq", "outcome", "error", "detail", "ttft_ms", "latency_ms")
    figures = ("tokens_in", "tokens_out", "cost_usd", "cost_estimated")
    r.emit("attempt_ended", **{key: row.get(key) for key in told + figures})
