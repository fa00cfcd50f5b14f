"""Where does this prompt go?"""

from __future__ import annotations

import asyncio

from config.errors import UsageError
from race import opinion
from race.machine import Race, Start
from race.request import Asked, Request
from race.services import Services
from race.state import Route, State
from routing.classifier.classifier import Classification

LEARN_S = 0.04
"""How long the first requests wait for what was learned before: a healthy log gives it in 10 ms."""


async def classify(state: State, services: Services, request: Request) -> State:
    """Find the category and the order of its providers; what the caller names wins."""
    await services.routing.ready(services.log, within_s=LEARN_S)
    found = await asyncio.get_running_loop().run_in_executor(
        services.thinkers, understand, request.asked, services
    )
    route = route_of(request.asked, services, found)
    request.route = route
    opinion.begin(services, request)
    opinion.emit(request)
    begin_race(services, request)
    return {"request_id": request.request_id, "route": request.route, "reranked": None}


def understand(asked: Asked, services: Services) -> Classification:
    """The classifier's word on the prompt in its conversation; some milliseconds of CPU."""
    turns = [{"role": m["role"], "content": m["content"]} for m in asked.history]
    return services.classifier.classify(asked.prompt, turns)


def route_of(asked: Asked, services: Services, found: Classification) -> Route:
    """The route: the caller's category, else the classifier's; the caller's provider first."""
    settings = services.settings
    category = asked.category or found.category
    if category not in settings.categories:
        known = ", ".join(settings.categories)
        raise UsageError(f"unknown category {category!r}; known are {known}", "category")
    choice = services.routing.choose(category)
    order, propensity, explored = list(choice.order), choice.propensity, choice.explored
    if asked.provider:
        order = [asked.provider, *(name for name in order if name != asked.provider)]
        propensity, explored = 1.0, False
    evidence: dict[str, object] = dict(found.evidence)
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
    )


def begin_race(services: Services, request: Request) -> None:
    """Start the race by its route's terms; a second start changes nothing.

    Two calls to one embedded LLaMA would only slow each other down, and two to one provider would
    both be paid: there the fallback waits until the primary is out.
    """
    if request.meeting.race is not None:
        return
    settings, wanted, route = services.settings, services.settings.fallback, request.routed
    preferred = route["preferred"]
    start: Start = wanted.start
    hedge_after_s = 0.0
    services.routing.hedges.earn()
    if preferred and (
        preferred == wanted.provider
        or services.providers.shares_embedded(preferred, wanted.provider)
    ):
        start = "when_out"
    elif start == "hedged" and preferred:
        hedge_after_s = services.routing.hedge_after_s(preferred)
    request.meeting.begin(
        Race(
            settings.limits_for(route["category"]),
            admitted_at=request.meeting.admitted_at,
            start=start,
            hedge_after_s=hedge_after_s,
            may_hedge=services.routing.hedges.spend,
            rewindable=request.asked.rewindable,
        )
    )
