"""Which category does this prompt belong to?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from config.errors import UsageError
from config.models import Limits, Settings
from providers.messages import text_of
from race import opinion
from race.actions import Start
from race.machine import Race
from race.request import Asked, Request
from race.services import Services
from race.state import Route, State
from race.wishes import allows, ruled_out_by, wished
from routing.classifier.classifier import Classification
from routing.classifier.own_words import own_words

LEARN_S = 0.02
"""Seconds that the first requests wait for the stored ranking; a healthy log delivers it in 10
ms."""


async def classify(state: State, services: Services, request: Request) -> State:
    """Find the category and the order of its providers; the caller's choice takes precedence."""
    await services.routing.ready(services.log, within_s=LEARN_S)
    found = foregone(request.asked, services.settings)
    if found is None:
        found = await services.thinkers.run(partial(understand, request.asked, services))
    route = route_of(request.asked, services, found)
    request.route = route
    opinion.begin(services, request)
    opinion.emit(request)
    begin_race(services, request)
    return {"request_id": request.request_id, "route": request.route, "reranked": None}


def foregone(asked: Asked, settings: Settings) -> Classification | None:
    """The classification of a prompt that needs no reading: the caller named its category, or there
    is but one."""
    names = list(settings.categories)
    if asked.category in names:
        category, why = asked.category, "the caller named the category"
    elif asked.category is None and len(names) == 1:
        [category], why = names, "there is no other category"
    else:
        return None
    shares = {name: float(name == category) for name in names}
    return Classification(category, 1.0, shares, 1.0, {"decided": why, "unsure": False})


def understand(asked: Asked, services: Services) -> Classification:
    """The classification of the prompt in its conversation; some milliseconds of CPU."""
    turns = [
        {"role": m["role"], "content": own_words(t) if m["role"] == "user" else t}
        for m in asked.history
        if (t := text_of(m))
    ]
    return services.classifier.classify(asked.prompt, turns)


def route_of(asked: Asked, services: Services, found: Classification) -> Route:
    """The route: the caller's category, else the classifier's; the caller's provider first.

    Raises UsageError for an unknown category and for contradictory wishes.
    """
    settings = services.settings
    category = asked.category or found.category
    if category not in settings.categories:
        known = ", ".join(settings.categories)
        raise UsageError(f"unknown category {category!r}; known are {known}", "category")
    needs = asked.needs()
    choice = services.routing.choose(category, needs)
    order, explored = list(choice.order), choice.explored
    propensity: float | None = choice.propensity
    chosen, stays, held = services.routing.why(choice, category), False, None
    if asked.reasons and (thinking := services.routing.thinkers_first(order)) != order:
        order, propensity, explored = thinking, None, False
        chosen = f"the caller's wish: reasoning, and {order[0]} reasons"
    if asked.wishes:
        if asked.provider and (wish := ruled_out_by(asked.provider, asked.wishes, settings)):
            raise UsageError(
                f"{asked.provider!r} is requested by name, but `provider.{wish}` rules it out;"
                " leave one of both out",
                f"provider.{wish}",
            )
        order = wished(order, asked.wishes, settings, services.routing.hedge_after_s)
        propensity, explored = 1.0, False
        chosen = f"the caller's wish ({', '.join(asked.wishes)}): {order[0] if order else 'nobody'}"
    elif asked.continues and (held := services.routing.stays(asked.thread, category, needs)):
        order = [held, *(name for name in order if name != held)]
        propensity, explored, stays = None, False, True
        chosen = f"conversation: {held} holds its prompt cache"
    if (looping := services.routing.loops.provider(asked.conversation)) in order:
        order = [looping, *(name for name in order if name != looping)]
        propensity, explored = None, False
        chosen = f"conversation: {looping} made the tool calls and continues"
    if asked.provider:
        order = [asked.provider, *(name for name in order if name != asked.provider)]
        propensity, explored = 1.0, False
        chosen = f"the caller's wish: {asked.provider} was requested by name"
    if needs and (able := able_first(order, needs, asked, services)) != order:
        order = able
        chosen = f"capability: {order[0]} is the first that can do {' and '.join(sorted(needs))}"
    evidence: dict[str, object] = dict(found.evidence)
    if stays and order[0] == held:
        evidence["stays"] = held
    if asked.category:
        evidence["given"] = category
    return Route(
        category=category,
        confidence=1.0 if asked.category else found.confidence,
        probabilities=dict(found.probabilities),
        margin=found.margin,
        evidence=evidence,
        order=order,
        preferred=order[0] if order else None,
        propensity=propensity,
        explored=explored,
        chosen=chosen,
    )


def able_first(
    order: Sequence[str], needs: frozenset[str], asked: Asked, services: Services
) -> list[str]:
    """The order with providers that lack a capability moved to the end; raises UsageError if nobody
    is able."""
    lacks = {name: services.routing.lacks(name, needs) for name in order}
    helper = services.settings.fallback.provider
    if not all(lacks.values()) or may_stand_by(services, asked, helper, needs):
        return sorted(order, key=lambda name: lacks[name] is not None)
    unmet = sorted(
        need for need in needs if all(services.routing.lacks(name, (need,)) for name in order)
    )
    names = " and ".join(f"`{need}`" for need in unmet or sorted(needs))
    said = "; ".join(f"{name}: {why}" for name, why in lacks.items())
    raise UsageError(f"no enabled provider can do {names} ({said})", _PARAMS.get(*unmet[:1]))


_PARAMS: dict[str | None, str] = {
    "tools": "tools",
    "json_schema": "response_format",
    "json_object": "response_format",
    "images": "messages",
    "audio": "messages",
    "files": "messages",
    "logprobs": "logprobs",
}


def may_stand_by(services: Services, asked: Asked, name: str, needs: frozenset[str]) -> bool:
    """Whether the provider exists, the caller allows it, and it has the capabilities."""
    settings = services.settings
    if not settings.enabled(name) or not allows(name, asked.wishes, settings):
        return False
    return services.routing.lacks(name, needs) is None


def standby(services: Services, request: Request) -> str | None:
    """The provider behind the primary: the fallback's or, if that lacks a capability, the next able
    one of the order."""
    needs, helper = request.needs, services.settings.fallback.provider
    if not (needs or request.asked.wishes):
        return helper
    preferred, others = request.routed["preferred"], request.routed["order"][1:]
    able = [n for n in (helper, *others) if may_stand_by(services, request.asked, n, needs)]
    able = [n for n in able if n != preferred or n == helper]
    return next((n for n in able if services.routing.allows(n, needs)), able[0] if able else None)


def limits_of(services: Services, request: Request) -> Limits:
    """The category's limits, with what the caller gives the primary for its first sign of life."""
    limits, own = services.settings.limits_for(request.routed["category"]), request.asked.ttft_s
    return limits if own is None else limits.model_copy(update={"ttft_s": own})


def begin_race(services: Services, request: Request) -> None:
    """Start the race under its route's conditions; a second start changes nothing.

    Two calls to one embedded LLaMA would only slow each other down, and two to one provider would
    both be billed: in these cases the fallback waits until the primary is out.
    """
    if request.meeting.race is not None:
        return
    wanted, route = services.settings.fallback, request.routed
    preferred, behind = route["preferred"], standby(services, request)
    request.standby = behind
    start: Start = wanted.start if behind == wanted.provider else "hedged"
    hedge_after_s = 0.0
    services.routing.hedges.earn()
    if (
        preferred
        and behind
        and (preferred == behind or services.providers.shares_embedded(preferred, behind))
    ):
        start = "when_out"
    elif services.judging.draw(services, request, (preferred, behind)):
        request.judged, start = True, "immediate"
    elif start == "hedged" and preferred:
        hedge_after_s = services.routing.hedge_after_s(preferred)
    request.meeting.begin(
        Race(
            limits_of(services, request),
            admitted_at=request.meeting.admitted_at,
            start=start,
            hedge_after_s=hedge_after_s,
            may_hedge=services.routing.hedges.spend,
            rewindable=request.asked.rewindable,
            continuable=request.asked.continuable,
        )
    )
