"""Ask the category's preferred model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from nodes.classify import begin_race
from nodes.grounding import KNOWLEDGE_ANSWERS, as_it_is
from nodes.log import revise
from providers.base import ProviderError
from race import opinion
from race.attempt import Attempt, branch_of, skip
from race.call import call, call_options, permit
from race.events import LateAnswer
from race.permits import Permit, Refused
from race.rendezvous import cancel
from race.request import Request
from race.services import Services
from race.state import State

MAX_CALLS = 3
"""Maximum number of primary calls in one request."""

LONGEST_WAIT_S = 1.0
"""Seconds; a longer Retry-After is better spent at the next provider."""

_PASSING = frozenset({"server", "connection", "rate_limited", "timeout"})


@dataclass(frozen=True, slots=True)
class NextCall:
    """Call `provider` after `wait_s` seconds."""

    provider: str
    wait_s: float = 0.0


def next_call(
    tried: Sequence[str],
    kind: str,
    retry_after_s: float | None,
    remaining: Sequence[str],
    *,
    again: bool = True,
) -> NextCall | None:
    """The call that follows a failed one, or None to stop.

    `tried` are the providers called so far, in order; `remaining` the callable ones not tried yet,
    best first; `again`: the last one may be called once more. A transient failure is repeated once
    on the same provider, a 429 only if it names a short wait; anything else, and a second failure,
    moves on to the next provider.
    """
    if len(tried) >= MAX_CALLS or kind == "content_filter":
        return None
    last = tried[-1]
    if again and kind in _PASSING and tried.count(last) < 2:
        if kind != "rate_limited":
            return NextCall(last)
        if retry_after_s is not None and retry_after_s <= LONGEST_WAIT_S:
            return NextCall(last, retry_after_s)
    return NextCall(remaining[0]) if remaining else None


async def primary(state: State, services: Services, request: Request) -> State:
    """Race the preferred model, retrying while waiting is free; a primary that loses by time is
    late."""
    begin_race(services, request)
    task = await request.meeting.until_decided("primary", _ask(services, request))
    decision = request.meeting.decided.result()
    last = calls[-1] if (calls := request.calls("primary")) else None
    if last is not None and decision.winner == "fallback":
        last.overtake()
        if last.running:
            _keep_listening(services, request, task, last)
            return {"primary": branch_of(request, "primary"), "route": request.routed}
        _compare_late(services, request, last)
    elif last is not None and last.running and decision.reason == "deadline":
        last.end("timed_out", "timeout")
    if not task.done():
        await cancel(task)
    return {"primary": branch_of(request, "primary"), "route": request.routed}


async def _ask(services: Services, request: Request) -> None:
    """Call the order's providers until one answers or waiting is no longer free."""
    await opinion.settle(services, request)
    meeting, order = request.meeting, _candidates(services, request)
    if order and await _knowledge_is_better(services, request, order[0]):
        skip(request, services.providers.get(order[0]), "primary", KNOWLEDGE_ANSWERS)
        meeting.failed("primary", "no_provider")
        return
    granted, tried = _first(services, request, order), list[str]()
    if granted is None:
        meeting.failed("primary", "no_provider")
    messages, options = request.asked.messages(), call_options(request.asked.options)
    while granted is not None:
        provider = services.providers.get(granted.provider)
        tried.append(provider.name)
        failure = await call(
            services, request, provider, granted, messages, options, role="primary"
        )
        if failure is None:
            meeting.done("primary")
            return
        if failure.kind == "content_filter" and services.settings.content_filter == "propagate":
            meeting.refused()
            return
        granted = await _after(services, request, order, tried, failure)


async def _knowledge_is_better(services: Services, request: Request, preferred: str) -> bool:
    """Whether only the embedded LLaMA is available and confident passages were found, which then
    answer.

    It knows little by itself, and would invent. A provider that the caller named answers anyway.
    However long retrieval takes: after `ttft_s` the fallback takes over, and uses what is found.
    """
    behind, meeting = request.standby, request.meeting
    if request.asked.provider or behind is None or as_it_is(request.asked, request.needs):
        return False
    if not services.providers.shares_embedded(preferred, behind):
        return False
    if meeting.race is None or meeting.race.start != "when_out":
        return False
    await meeting.passages_known.wait()
    return request.retrieval is not None and request.retrieval.confident


def _candidates(services: Services, request: Request) -> list[str]:
    """The order without what the fallback calls anyway: two calls to it would both be billed."""
    order, race = request.routed["order"], request.meeting.race
    helper, needs = request.standby, request.needs
    if race is None or race.start == "when_out" or not helper:
        return order
    if not services.routing.allows(helper, needs):
        return order
    return [name for name in order if name != helper]


def _first(services: Services, request: Request, order: Sequence[str]) -> Permit | None:
    """The permit for the first call; each provider that may not be called is logged as skipped.

    If all are open, including the fallback's, the one whose time is nearest is tried.
    """
    routing, needs = services.routing, request.needs
    able = [name for name in order if routing.allows(name, needs)]
    helped = request.standby is not None and routing.allows(request.standby, needs)
    spared = None if able or helped else routing.nearest(order, needs)
    for name in order:
        if name not in able and name != spared:
            routing.turned_away(name)
            skip(request, services.providers.get(name), "primary", routing.why_not(name, needs))
    names = able or ([spared] if spared else [])
    return _granted(services, request, names, forced=spared is not None)


def _granted(
    services: Services, request: Request, names: Sequence[str], *, forced: bool = False
) -> Permit | None:
    """The permit of the first of these providers that may be called."""
    for name in names:
        found = permit(services, request, name, forced=forced)
        if not isinstance(found, Refused):
            return found
    return None


async def _after(
    services: Services,
    request: Request,
    order: Sequence[str],
    tried: Sequence[str],
    failure: ProviderError,
) -> Permit | None:
    """The permit for the call after a failed one, or None to stop.

    A call that must wait checks again, once its time has come, whether waiting is still free.
    """
    meeting, routing = request.meeting, services.routing
    remaining = [
        name for name in order if name not in tried and routing.allows(name, request.needs)
    ]
    following = (
        next_call(
            tried,
            failure.kind,
            failure.retry_after_s,
            remaining,
            again=_may_repeat(services, tried[-1], failure),
        )
        if meeting.waiting_is_free
        else None
    )
    if following is not None and following.wait_s:
        meeting.failed("primary", failure.kind, retrying=True)
        await asyncio.sleep(following.wait_s)
        following = following if meeting.waiting_is_free else None
    granted = _granted(services, request, _names(following, remaining)) if following else None
    meeting.failed("primary", failure.kind, retrying=granted is not None)
    return granted


def _may_repeat(services: Services, name: str, failure: ProviderError) -> bool:
    """A Retry-After opens the breaker for exactly that long, so the permit is requested
    afterwards."""
    return bool(failure.retry_after_s) or services.routing.may_repeat(name)


def _names(following: NextCall, remaining: Sequence[str]) -> list[str]:
    return [following.provider, *(name for name in remaining if name != following.provider)]


def _compare_late(services: Services, request: Request, late: Attempt) -> None:
    """Where the race is one that is compared: the late answer with the one that was served."""
    calls = request.calls("fallback")
    if late.outcome == "late" and calls and calls[-1].ok:
        services.judging.begin(services, request, late, calls[-1], "late")


def _keep_listening(
    services: Services, request: Request, task: asyncio.Task[None], late: Attempt
) -> None:
    """The fallback's answer is served; the primary's is logged and amends it when it comes."""
    late_s = services.settings.limits_for(request.routed["category"]).late_s

    def give_up() -> None:
        if late.running:
            late.end("timed_out", "timeout")

    async def settle() -> LateAnswer | None:
        row = late.row()
        await revise(services, request, row)
        if row["outcome"] != "late":
            return None
        _compare_late(services, request, late)
        return LateAnswer(
            type="late",
            request_id=request.request_id,
            provider=late.provider,
            text=late.text,
            latency_ms=row["latency_ms"],
            cost_usd=row["cost_usd"],
        )

    services.late.listen(task, late_s, give_up, settle)
