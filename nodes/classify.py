"""Where does this prompt go?"""

from __future__ import annotations

import asyncio
from typing import Any

from config.errors import UsageError
from race.machine import Race, Start
from race.rendezvous import Rendezvous
from race.services import Services
from race.state import Route, State
from routing.classifier.classifier import Classification


async def classify(state: State, services: Services, r: Rendezvous) -> State:
    """Find the category and the order of its providers; what the caller names wins."""
    await services.routing.ready(services.log)
    found = await asyncio.get_running_loop().run_in_executor(
        services.thinkers, understand, state, services
    )
    route = route_of(state, services, found)
    r.prompt, r.route, r.vector = state["prompt"], route, found.vector
    r.emit("classified", **route)
    r.begin(_race(state, services, r, route))
    return {"request_id": r.request_id, "route": route}


def understand(state: State, services: Services) -> Classification:
    """The classifier's word on the prompt in its conversation; some milliseconds of CPU."""
    turns = [{"role": m["role"], "content": m["content"]} for m in state.get("history") or []]
    return services.classifier.classify(state["prompt"], turns)


def route_of(state: State, services: Services, found: Classification) -> Route:
    """The route: the caller's category, else the classifier's; the caller's provider first."""
    settings = services.settings
    category = state.get("asked_category") or found.category
    if category not in settings.categories:
        known = ", ".join(settings.categories)
        raise UsageError(f"unknown category {category!r}; known are {known}", "category")
    choice = services.routing.choose(category)
    order, propensity, explored = list(choice.order), choice.propensity, choice.explored
    if asked := state.get("asked_provider"):
        order = [asked, *(name for name in order if name != asked)]
        propensity, explored = 1.0, False
    evidence: dict[str, Any] = dict(found.evidence)
    if state.get("asked_category"):
        evidence["given"] = category
    return Route(
        category=category,
        confidence=1.0 if state.get("asked_category") else found.confidence,
        probabilities=dict(found.probabilities),
        margin=found.margin,
        evidence=evidence,
        order=order,
        preferred=order[0] if order else None,
        propensity=propensity,
        explored=explored,
    )


def _race(state: State, services: Services, r: Rendezvous, route: Route) -> Race:
    """The race's terms; two calls to one embedded LLaMA would only slow each other down."""
    settings, wanted = services.settings, services.settings.fallback
    preferred = route["preferred"]
    start: Start = wanted.start
    hedge_after_s = 0.0
    services.routing.hedges.earn()
    if preferred and services.providers.shares_embedded(preferred, wanted.provider):
        start = "when_out"
    elif start == "hedged" and preferred:
        hedge_after_s = services.routing.hedge_after_s(preferred)
    return Race(
        settings.limits_for(route["category"]),
        admitted_at=r.admitted_at,
        start=start,
        hedge_after_s=hedge_after_s,
        may_hedge=services.routing.hedges.spend,
        rewindable=state.get("rewindable", True),
    )
