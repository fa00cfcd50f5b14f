"""`GET /v1/models`: the values that `model` accepts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from api.errors import Problem, RefusedError
from api.openapi import Documented, errors
from config.errors import NotFoundError
from config.hosts import Provider
from config.models import Settings
from graph.asked import Target, target_of
from graph.router import Router
from race.capabilities import Known
from race.state import Wishes
from race.wishes import AUTO


class AboutAuto(Documented):
    kind: Literal["auto"]
    categories: list[str]


class AboutCategory(Documented):
    kind: Literal["category"]
    description: str
    declared: list[str]
    """The providers in the configuration's order."""


class AboutProvider(Documented):
    kind: Literal["provider"]
    model: str
    """The host's own name for it."""
    simulated: bool
    cost: dict[str, object] | None
    """USD per million tokens; null: unknown."""
    context: int | None
    """Tokens; null: unknown."""
    capabilities: Known = Field(
        description="`declared`: what the configuration says that the model can do beside text "
        "(null: nothing is declared, it is asked for everything). `lacks`: what it is not asked "
        "for. `learned`: what its host refused in the last week, with the host's words."
    )


class Listed(Documented):
    """A value for `model`; `router` describes it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    router: Annotated[AboutAuto | AboutCategory | AboutProvider, Field(discriminator="kind")]


class Listing(Documented):
    object: Literal["list"] = "list"
    data: list[Listed]


def listing_routes(router: Router) -> APIRouter:
    routes = APIRouter()
    since = int(time.time())

    @routes.get("/v1/models", operation_id="listModels", responses=errors())
    async def list_models() -> Listing:
        """`auto`, each `auto:<category>`, and each enabled provider."""
        return Listing(
            data=listed(router.settings, since, router.services.routing.capabilities.about)
        )

    @routes.get("/v1/models/{model:path}", operation_id="retrieveModel", responses=errors(404))
    async def retrieve_model(model: str) -> Listed:
        for one in listed(router.settings, since, router.services.routing.capabilities.about):
            if one.id == model:
                return one
        resolve(router.settings, model)  # an alias is not a model of the list
        message = f"the model {model[:80]!r} is an alias or an order; it is not listed"
        raise _unknown(message)

    return routes


def listed(settings: Settings, since: int, capabilities: Callable[[str], Known]) -> list[Listed]:
    """Every name, `auto` first; `since` is the Unix time to report as the date of creation."""
    auto = AboutAuto(kind="auto", categories=list(settings.categories))
    names = [Listed(id=AUTO, created=since, owned_by="router", router=auto)]
    for name, category in settings.categories.items():
        order = list(settings.order(name))
        kind = AboutCategory(kind="category", description=category.description, declared=order)
        names.append(Listed(id=f"{AUTO}:{name}", created=since, owned_by="router", router=kind))
    for provider in settings.providers:
        if provider.disabled is None:
            about = _about(settings, provider, capabilities(provider.name))
            names.append(
                Listed(id=provider.name, created=since, owned_by=provider.host, router=about)
            )
    return names


def resolve(settings: Settings, model: str, wishes: Wishes | None = None) -> Target:
    """The meaning of the name; raises RefusedError (404) if it is unknown."""
    try:
        return target_of(settings, model, wishes)
    except NotFoundError as error:
        raise _unknown(str(error)) from None


def _about(settings: Settings, provider: Provider, capabilities: Known) -> AboutProvider:
    cost = provider.cost.model_dump(mode="json", exclude_none=True) if provider.cost else None
    return AboutProvider(
        kind="provider",
        model=provider.resolved_model,
        simulated=settings.hosts[provider.host].kind == "simulated",
        cost=cost,
        context=provider.context,
        capabilities=capabilities,
    )


def _unknown(message: str) -> RefusedError:
    return RefusedError(Problem(404, message, code="model_not_found", param="model"))
