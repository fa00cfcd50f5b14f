"""Calls a provider for a request: the permit, and the stream of its answer into the race."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from providers import stopping
from providers.base import (
    CallOptions,
    ChatProvider,
    Delta,
    Message,
    ProviderError,
)
from race import schema
from race.actions import Side
from race.attempt import Attempt
from race.events import AttemptStarted, FirstToken
from race.permits import Permit, Refused
from race.request import Request
from race.state import Options
from routing.quality import RepetitionGuard

if TYPE_CHECKING:
    from race.services import Services


def call_options(options: Options, most: int | None = None) -> CallOptions:
    """The caller's options; `most` tokens unless the caller sets a limit."""
    return CallOptions(
        max_tokens=options.get("max_tokens", most),
        temperature=options.get("temperature"),
        top_p=options.get("top_p"),
        stop=tuple(options.get("stop", ())),
        extra={**options.get("extra", {}), **options.get("passes", {})},
    )


def permit(
    services: Services, request: Request, name: str, *, forced: bool = False
) -> Permit | Refused:
    """A permit to call the provider for this request now; refused once the race is decided."""
    if request.meeting.decided.done():
        return Refused("the request is decided")
    category, needs = request.routed["category"], request.needs
    return services.routing.grant(name, category, needs=needs, forced=forced)


async def call(
    services: Services,
    request: Request,
    provider: ChatProvider,
    permit: Permit,
    messages: Sequence[Message],
    options: CallOptions,
    *,
    role: Side,
    prefix: str = "",
) -> ProviderError | None:
    """Stream one call into the race; a provider's failure is returned, never raised.

    Cancelling it closes the upstream call.
    """
    meeting = request.meeting
    attempt = Attempt(request, provider, role)
    attempt.prefix = prefix
    attempt.begin(permit, services.settings.provider(provider.name).cost, messages)
    meeting.speaks(role, provider.name)
    meeting.emit(
        AttemptStarted(
            type="attempt_started",
            request_id=meeting.request_id,
            at_ms=meeting.elapsed_ms(),
            provider=provider.name,
            model=provider.model,
            host=provider.host,
            role=role,
            seq=attempt.seq,
            simulated=provider.simulated,
        )
    )
    think_s = services.settings.think_s(request.routed["category"], provider.name)
    messages = services.routing.readable(provider.name, messages)
    try:
        await _read(
            request, attempt, role, permit, stopping.stream(provider, messages, options), think_s
        )
        await _check(request, attempt)
    except ProviderError as failure:
        if failure.lacks:
            services.routing.learn(provider.name, failure.lacks, str(failure))
        if attempt.running:
            attempt.end("failed", failure=failure)
        return failure
    except asyncio.CancelledError:
        if attempt.running:
            attempt.end("cancelled")
        raise
    except BaseException as bug:
        if attempt.running:
            attempt.end("failed", detail=f"the router failed: {bug!r}")
        raise
    if attempt.running:
        attempt.end("ok")
    return None


async def _read(
    request: Request,
    attempt: Attempt,
    role: Side,
    permit: Permit,
    stream: AsyncIterator[Delta],
    think_s: float,
) -> None:
    guard, meeting = RepetitionGuard(), request.meeting
    async with aclosing(stream) as deltas:  # type: ignore[type-var]
        async for delta in deltas:
            if delta.text:
                if attempt.ttft_ms is None:
                    _first_token(request, attempt, role, permit)
                attempt.parts.append(delta.text)
                meeting.token(role, delta.text)
                if guard.feed(delta.text):
                    name = attempt.provider
                    raise ProviderError("bad_reply", f"{name} repeats itself endlessly")
            elif delta.reasoning:
                permit.sign_of_life(attempt.elapsed_ms)
                attempt.thoughts.append(delta.reasoning)
                meeting.thought(role, delta.reasoning, think_s)
            if delta.logprobs and request.asked.logprobs:
                attempt.logprobs += delta.logprobs
                meeting.measured(role, delta.logprobs)
            if delta.tool_calls:
                if attempt.ttft_ms is None:
                    _first_token(request, attempt, role, permit)
                attempt.add_calls(delta.tool_calls)
                meeting.called(role, delta.tool_calls)
            if delta.finish_reason:
                attempt.finish_reason = delta.finish_reason
            if delta.usage:
                attempt.usage = delta.usage


async def _check(request: Request, attempt: Attempt) -> None:
    """Raise ProviderError (`schema`) if a complete answer does not match the requested format.

    An answer that calls tools has no format; one cut by `length` is not the provider's fault.
    """
    form = (request.asked.options.get("extra") or {}).get("response_format")
    if not form or attempt.tool_calls or attempt.finish_reason == "length":
        return
    if (fault := await schema.fault(form, attempt.prefix + attempt.text)) is not None:
        raise ProviderError("schema", f"{attempt.provider} did not match the format: {fault}")


async def read_aside(
    attempt: Attempt, stream: AsyncIterator[Delta], within_s: float, *, brief: bool = False
) -> bool:
    """Read a call that is no side of the race. True if it came to its end, which is the caller's
    to judge and to note; else the attempt has ended with the reason. `brief`: it is given less time
    than any answer has, so running out of it says nothing of the provider."""
    try:
        async with asyncio.timeout(within_s), aclosing(stream) as deltas:  # type: ignore[type-var]
            async for delta in deltas:
                if delta.text and attempt.ttft_ms is None:
                    attempt.ttft_ms = attempt.elapsed_ms
                attempt.parts.append(delta.text)
                attempt.finish_reason = delta.finish_reason or attempt.finish_reason
                attempt.usage = delta.usage or attempt.usage
    except TimeoutError:
        if brief and attempt.permit is not None:
            attempt.permit.dropped()
        attempt.end("timed_out", "timeout")
    except ProviderError as failure:
        attempt.end("failed", failure=failure)
    except asyncio.CancelledError:
        attempt.end("cancelled")
        raise
    else:
        return True
    return False


def _first_token(request: Request, attempt: Attempt, role: Side, permit: Permit) -> None:
    meeting = request.meeting
    attempt.ttft_ms = attempt.elapsed_ms
    permit.sign_of_life(attempt.ttft_ms)
    meeting.emit(
        FirstToken(
            type="first_token",
            request_id=meeting.request_id,
            at_ms=meeting.elapsed_ms(),
            provider=attempt.provider,
            role=role,
            seq=attempt.seq,
            ttft_ms=attempt.ttft_ms,
        )
    )
