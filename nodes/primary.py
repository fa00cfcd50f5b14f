"""Ask the category's preferred model."""

from __future__ import annotations

import asyncio
from typing import Any

from nodes.log import revise
from providers.base import Message
from race.attempt import Call, attempt, branch_of, call_options, new_row, report
from race.rendezvous import Rendezvous, cancel
from race.retry import NextCall, next_call
from race.services import Services
from race.state import State
from telemetry.records import AttemptRow


async def primary(state: State, services: Services, r: Rendezvous) -> State:
    """Race the preferred model, with free-time retries; a primary that loses by time is late."""
    calls: list[Call] = []
    task = await r.until_decided("primary", _ask(state, services, r, calls))
    decision = r.decided.result()
    if not task.done():
        if decision.winner == "fallback" and calls:
            _keep_listening(state, services, r, task, calls[-1])
        else:
            if calls and decision.winner is None and calls[-1].watch:
                calls[-1].watch.too_late()
            await cancel(task)
            if calls and decision.winner is None:
                calls[-1].row["outcome"], calls[-1].row["error"] = "timed_out", "timeout"
    elif decision.winner == "fallback" and calls and calls[-1].ok:
        calls[-1].row["outcome"] = "late"
    return {"primary": branch_of(r, "primary", calls)}


async def _ask(state: State, services: Services, r: Rendezvous, calls: list[Call]) -> None:
    """Call the order's providers until one answers or waiting is no longer free."""
    route, routing = state["route"], services.routing
    order = _callable(state, services, r)
    messages = [*(state.get("history") or []), Message(role="user", content=state["prompt"])]
    options = call_options(state.get("options") or {})
    tried: list[str] = []
    following = NextCall(order[0]) if order else None
    if following is None:
        r.failed("primary", "no_provider")
    while following is not None:
        await asyncio.sleep(following.wait_s)
        provider = services.providers.get(following.provider)
        tried.append(provider.name)
        call = Call(new_row(r, route, provider, "primary"))
        calls.append(call)
        with routing.watch(provider.name, route["category"]) as call.watch:
            await attempt(r, services, call, provider, messages, options)
            call.watch.ended(call.row, call.error)
        if call.error is None:
            r.done("primary")
            return
        if call.error.kind == "content_filter" and services.settings.content_filter == "propagate":
            r.refused()
            return
        remaining = [n for n in order if n not in tried and routing.allows(n)]
        following = (
            next_call(tried, call.error.kind, call.error.retry_after_s, remaining)
            if r.waiting_is_free
            else None
        )
        r.failed("primary", call.error.kind, retrying=following is not None)


def _callable(state: State, services: Services, r: Rendezvous) -> list[str]:
    """The order without the providers whose breaker is open, each of which is logged as skipped.

    When all are open, the one whose time is nearest is tried.
    """
    order, routing = state["route"]["order"], services.routing
    able = [name for name in order if routing.allows(name)]
    if not able and (spared := routing.nearest(order)):
        able = [spared]
    for name in order:
        if name not in able:
            row = new_row(r, state["route"], services.providers.get(name), "primary")
            row["outcome"], row["detail"], row["cost_usd"] = "skipped", routing.why_not(name), 0.0
            report(r, row)
    return able


def _keep_listening(
    state: State, services: Services, r: Rendezvous, task: asyncio.Task[None], call: Call
) -> None:
    """The fallback's answer is served; the primary's is logged and amends it when it comes."""
    late_s = services.settings.limits_for(state["route"]["category"]).late_s
    first: AttemptRow = {**call.row, "outcome": "timed_out", "error": "timeout"}
    first["latency_ms"] = round(r.elapsed_ms() - first["started_ms"], 1)
    r.attempts[call.row["seq"]] = first
    report(r, first)
    if call.watch:
        call.watch.too_late()

    async def settle(came: bool) -> dict[str, Any] | None:
        row = call.row
        if came and row["outcome"] == "ok":
            row["outcome"] = "late"
        elif row["outcome"] == "cancelled":
            row["outcome"], row["error"] = "timed_out", "timeout"
        row["revision"] = 1
        await revise(services, r, row)
        if row["outcome"] != "late":
            return None
        return {
            "type": "late",
            "request_id": r.request_id,
            "provider": row["provider"],
            "text": call.text,
            "latency_ms": row["latency_ms"],
            "cost_usd": row["cost_usd"],
        }

    services.late.listen(task, late_s, settle)
