"""Answer cheaply from retrieved passages, so that there is always an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from nodes.classify import begin_race, limits_of
from nodes.grounding import as_it_is, continuation, fallback_messages, quoted, source_of
from providers.base import ProviderError
from race.attempt import Attempt, branch_of, skip
from race.call import call, call_options, permit
from race.events import Retrieved
from race.permits import Refused
from race.rendezvous import cancel
from race.request import Request
from race.services import Services
from race.state import Branch, Source, State
from vectorstore.passages import Retrieval

ROOM_SHARE, ROOM_S = 1 / 3, 1.0
"""How long the search for passages waits in a crowd at most: this share of `ttft_s`, within which
the fallback must be ready, and never longer than so many seconds."""


async def fallback(state: State, services: Services, request: Request) -> State:
    """Retrieve, and generate when the race allows it; a fallback that loses is cancelled."""
    begin_race(services, request)
    given: list[Source] = []
    task = await request.meeting.until_decided("fallback", _ask(services, request, given))
    decision = request.meeting.decided.result()
    calls = request.calls("fallback")
    if request.judged and calls and decision.winner == "primary":
        branch = _branch(services, request, given)
        if _finishes(services, request, calls[-1], task):
            return {"fallback": branch}
    if calls and calls[-1].running:
        if decision.reason in ("deadline", "silent"):
            calls[-1].end("timed_out", "timeout")
        elif decision.reason == "cut":
            calls[-1].end("failed", "bad_reply", "it does not continue the shown text")
        else:
            calls[-1].end("cancelled", detail="the primary answered first")
    if not task.done():
        await cancel(task)
    return {"fallback": _branch(services, request, given)}


def _finishes(
    services: Services, request: Request, loser: Attempt, task: asyncio.Task[None]
) -> bool:
    """Have the loser's answer compared with the winner's; whether it may finish for that."""
    running, winner = loser.running, request.calls("primary")[-1]
    if not (running or loser.ok):
        return False
    finishing = task if running else None
    begun = services.judging.begin(services, request, winner, loser, "judge", finishing)
    if begun and running:
        loser.finish_for_judge()
    return begun and running


async def _ask(services: Services, request: Request, given: list[Source]) -> None:
    """Retrieve, wait for the race's permission to generate, and answer; repeat for a continuation.

    A hedge is rarely called, so it retrieves only then. A provider without a permit fails at once.
    """
    settings, meeting, asked = services.settings, request.meeting, request.asked
    wanted, name = settings.fallback, request.standby
    if as_it_is(asked, request.needs):
        await _stand_by(services, request, given)
        return
    usable = name is not None and settings.enabled(name) and services.routing.allows(name)
    if usable and meeting.race is not None and meeting.race.start == "hedged":
        await meeting.may_start.wait()
    await _room(services, request)
    try:
        found = await services.knowledge.retrieve(
            asked.prompt, wanted.passages, rerank=wanted.rerank
        )
    finally:
        meeting.passages_known.set()  # in any case: the primary may wait for it
    request.retrieval = found
    _say_found(services, request, found)
    meeting.passages_found(confident=found.confident)
    if usable and name is not None and services.routing.allows(name):
        await meeting.may_start.wait()
    await _answer(services, request, found, given)


async def _room(services: Services, request: Request) -> None:
    """In a crowd, let prompts be classified before passages are searched for that may be for
    nobody: most primaries answer meanwhile. A failure of the primary ends the wait at once.

    Not if a search is wanted in any case: for a hedge, for the judge, for an embedded LLaMA.
    """
    meeting = request.meeting
    at_once = meeting.race is None or meeting.race.start != "immediate" or request.judged
    if at_once or meeting.primary_failed or not services.thinkers.full:
        return
    turn = services.thinkers.room()

    def end() -> None:
        if not turn.done():
            turn.set_result(None)

    meeting.on_primary_failed = end
    most_s = ROOM_SHARE * limits_of(services, request).ttft_s
    timer = asyncio.get_running_loop().call_later(min(most_s, ROOM_S), end)
    try:
        await turn
    finally:
        timer.cancel()


def _say_found(services: Services, request: Request, found: Retrieval) -> None:
    """Passages are shown while nobody has answered: they are there long before any word."""
    meeting = request.meeting
    passages = [source_of(p) for p in found.passages[: services.settings.fallback.passages]]
    answer = quoted(passages) if found.confident and passages else None
    meeting.emit(
        Retrieved(
            type="retrieved",
            request_id=meeting.request_id,
            at_ms=meeting.elapsed_ms(),
            passages=passages,
            confident=found.confident,
            answer=answer,
        )
    )


async def _stand_by(services: Services, request: Request, given: list[Source]) -> None:
    """Answer the conversation unchanged, if passages are no help."""
    name = request.standby
    if name is None:
        request.meeting.failed("fallback", "no_provider")
        return
    if services.routing.allows(name, request.needs):
        await request.meeting.may_start.wait()
    await _answer(services, request, None, given)


async def _answer(
    services: Services, request: Request, found: Retrieval | None, given: list[Source]
) -> None:
    meeting = request.meeting
    while True:
        failure = await _generate(services, request, found, given)
        if meeting.continue_asked.is_set():
            continue
        if failure is not None:
            meeting.failed("fallback", failure)
            return
        meeting.done("fallback")
        if meeting.decided.done():
            return
        await meeting.continue_asked.wait()


async def _generate(
    services: Services, request: Request, found: Retrieval | None, given: list[Source]
) -> str | None:
    """One call, or the first part of one that a continuation replaces; returns why it failed."""
    wanted, asked = services.settings.fallback, request.asked
    so_far = request.meeting.take_continuation()
    name = request.standby
    if name is None or not services.settings.enabled(name):
        return "no_provider"
    granted = permit(services, request, name)
    provider = services.providers.get(name)
    if isinstance(granted, Refused):
        skip(request, provider, "fallback", granted.why)
        return "no_provider"
    messages = asked.messages()
    if found is not None:
        messages, given[:] = fallback_messages(
            asked.prompt, asked.history, found, wanted.prompt_tokens
        )
    if so_far is not None:
        prefill = services.settings.hosts[provider.host].kind == "llama_cpp"
        messages = continuation(messages, so_far, wanted.prompt_tokens, prefill=prefill)
    most = wanted.max_tokens if name == wanted.provider and found is not None else None
    options = call_options(asked.options, most=most)
    failure = await _unless_asked_to_continue(
        request,
        call(
            services,
            request,
            provider,
            granted,
            messages,
            options,
            role="fallback",
            prefix=so_far or "",
        ),
    )
    return failure.kind if failure else None


async def _unless_asked_to_continue(
    request: Request, work: Coroutine[None, None, ProviderError | None]
) -> ProviderError | None:
    """Run the call; it is cancelled when the race asks for a continuation."""
    running = asyncio.create_task(work)
    asked = asyncio.create_task(request.meeting.continue_asked.wait())
    try:
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        return running.result() if running.done() else None
    finally:
        await cancel(asked)
        calls = request.calls("fallback")
        if request.meeting.continue_asked.is_set() and calls and calls[-1].running:
            calls[-1].end("cancelled", detail="asked to continue the shown text instead")
        await cancel(running)


def _branch(services: Services, request: Request, given: list[Source]) -> Branch:
    """This side in the state: its answer, its sources, and the passages found."""
    branch, found = branch_of(request, "fallback"), request.retrieval
    passages = found.passages if found else ()
    branch["sources"] = list(given)
    branch["passages"] = [source_of(p) for p in passages[: services.settings.fallback.passages]]
    branch["confident"] = found is not None and found.confident
    return branch
