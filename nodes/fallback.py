"""Answer cheaply from retrieved passages, so that there is always an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from nodes.grounding import continuation, fallback_messages, source_of
from race.attempt import Call, attempt, branch_of, call_options, new_row
from race.rendezvous import Rendezvous, cancel
from race.services import Services
from race.state import Branch, Source, State


async def fallback(state: State, services: Services, r: Rendezvous) -> State:
    """Retrieve and generate when the race allows it; a fallback that loses is cancelled."""
    calls: list[Call] = []
    given: list[Source] = []
    task = await r.until_decided("fallback", _ask(state, services, r, calls, given))
    if not task.done():
        await cancel(task)
    return {"fallback": _branch(services, r, calls, given)}


async def _ask(
    state: State, services: Services, r: Rendezvous, calls: list[Call], given: list[Source]
) -> None:
    """Retrieve, wait for leave to generate, and answer; again where a continuation is asked for.

    A hedge is rarely called: it retrieves only then. One that may not be asked says so at once.
    """
    settings, route = services.settings, state["route"]
    wanted = settings.fallback
    usable = settings.enabled(wanted.provider) and services.routing.allows(wanted.provider)
    if usable and r.race is not None and r.race.start == "hedged":
        await r.may_start.wait()
    r.retrieval = await services.knowledge.retrieve(
        state["prompt"], wanted.passages, vector=r.vector, rerank=wanted.rerank
    )
    if not usable or not services.routing.allows(wanted.provider):
        r.failed("fallback", "no_provider")
        return
    await r.may_start.wait()
    provider = services.providers.get(wanted.provider)
    while True:
        so_far = r.take_continuation()
        messages, given[:] = fallback_messages(
            state["prompt"], state.get("history") or [], r.retrieval, wanted.prompt_tokens
        )
        if so_far is not None:
            messages = continuation(messages, so_far)
        call = Call(new_row(r, route, provider, "fallback"), prefix=so_far or "")
        calls.append(call)
        options = call_options(state.get("options") or {}, most=wanted.max_tokens)
        with services.routing.watch(provider.name, route["category"]) as call.watch:
            ended = await _unless_asked_to_continue(
                r, attempt(r, services, call, provider, messages, options)
            )
            if ended:
                call.watch.ended(call.row, call.error)
        if not ended or r.continue_asked.is_set():
            continue
        if call.error is not None:
            r.failed("fallback", call.error.kind)
            return
        r.done("fallback")
        await r.continue_asked.wait()


async def _unless_asked_to_continue(r: Rendezvous, work: Any) -> bool:
    """Run the call; False if it was dropped because the race asked for a continuation."""
    call = asyncio.create_task(work)
    asked = asyncio.create_task(r.continue_asked.wait())
    try:
        await asyncio.wait({call, asked}, return_when=asyncio.FIRST_COMPLETED)
        if call.done():
            call.result()
            return True
        return False
    finally:
        await cancel(asked)
        await cancel(call)


def _branch(services: Services, r: Rendezvous, calls: list[Call], given: list[Source]) -> Branch:
    """The state's view of this side: its answer, its sources, and the passages at hand."""
    branch = branch_of(r, "fallback", calls)
    branch["sources"] = list(given)
    branch["passages"] = _passages(services, r)
    branch["confident"] = r.retrieval is not None and r.retrieval.confident
    return branch


def _passages(services: Services, r: Rendezvous) -> list[Source]:
    found = r.retrieval.passages if r.retrieval else ()
    return [source_of(p) for p in found[: services.settings.fallback.passages]]
