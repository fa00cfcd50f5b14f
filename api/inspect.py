"""What the router did and learned: interactions, priorities, feedback, health, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.responses import JSONResponse, Response

from api.access import Keys
from api.errors import Problem, RefusedError
from api.openapi import Documented, body_of, errors
from api.parsing import read_json, refusal
from api.wire import Id
from graph.router import Router
from telemetry.metrics import Metrics
from telemetry.records import InteractionRow

TEXT: dict[int | str, dict[str, object]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}


class Feedback(BaseModel):
    """The caller's rating of an answer; null withdraws it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: Id = Field(min_length=1, max_length=64)
    liked: bool | None


class Correction(BaseModel):
    """The category of a prompt, or of a request's prompt; null withdraws the correction."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str | None = Field(default=None, min_length=1, max_length=400_000)
    request_id: Id | None = Field(default=None, min_length=1, max_length=64)
    category: str | None = Field(max_length=64)

    @model_validator(mode="after")
    def _one_of_both(self) -> Correction:
        if (self.prompt is None) == (self.request_id is None):
            raise ValueError("give either `prompt` or `request_id`")
        return self


class Health(Documented):
    """`status` is `ok`, `degraded` or `down`; details require a key if keys are set."""

    status: str
    version: str


class Ready(Documented):
    """Whether requests should be sent here."""

    ready: bool


DOWN: dict[int | str, dict[str, object]] = {503: {"model": Health}}


def inspect_routes(router: Router, keys: Keys, *, write: bool) -> APIRouter:
    """The routes under `/router`. Without `write` nothing can be changed, and other callers' texts
    are not shown."""
    routes = APIRouter()

    @routes.get("/router/interactions", responses=errors(400, 503))
    async def interactions(
        limit: Annotated[int, Query(ge=1, le=1000)] = 20,
        category: Annotated[str | None, Query(max_length=64)] = None,
    ) -> list[dict[str, object]]:
        """Requests with their attempts, newest first."""
        rows = await router.interactions(limit, category)
        return [dict(row) if write else _without_texts(row) for row in rows]

    @routes.get("/router/priorities", responses=errors(503))
    async def priorities() -> Mapping[str, object]:
        """The declared and the learned order of each category, with figures."""
        return await router.priorities()

    @routes.post(
        "/router/feedback",
        responses=errors(400, 403, 404, 408, 413, 503),
        openapi_extra=body_of(Feedback),
    )
    async def feedback(request: Request) -> dict[str, object]:
        """Replace the caller's rating of an answer."""
        if not write:
            message = "this public service does not accept feedback"
            raise RefusedError(Problem(403, message, code="read_only"))
        given = await read_json(request)
        try:
            wanted = Feedback.model_validate(given)
        except ValidationError as error:
            raise refusal(error.errors(include_url=False)) from None
        await router.feedback(wanted.request_id, wanted.liked)
        return wanted.model_dump()

    @routes.post(
        "/router/teach",
        responses=errors(400, 403, 404, 408, 413, 503),
        openapi_extra=body_of(Correction),
    )
    async def teach(request: Request) -> dict[str, object]:
        """Correct the classifier; takes effect at once, in every replica."""
        _refuse_unless(write)
        given = await read_json(request)
        try:
            wanted = Correction.model_validate(given)
        except ValidationError as error:
            raise refusal(error.errors(include_url=False)) from None
        by = keys.who(request)
        if wanted.prompt is not None:
            return dict(await router.teach(wanted.prompt, wanted.category, by=by, kind="prompt"))
        named = str(wanted.request_id)
        return dict(await router.teach(named, wanted.category, by=by, kind="request"))

    @routes.get("/router/taught", responses=errors(403, 503))
    async def taught() -> list[dict[str, object]]:
        """The corrections in force, oldest first."""
        _refuse_unless(write)
        return [dict(lesson) for lesson in await router.taught()]

    @routes.delete("/router/taught/{lesson}", responses=errors(403, 404, 503))
    async def take_back(lesson: str, request: Request) -> dict[str, object]:
        """Withdraw a correction."""
        _refuse_unless(write)
        return dict(await router.take_back(lesson, by=keys.who(request)))

    return routes


def _refuse_unless(write: bool) -> None:
    """A public service learns nothing from its callers and shows none of their texts."""
    if not write:
        raise RefusedError(
            Problem(403, "this public service does not accept corrections", code="read_only")
        )


def metrics_routes(router: Router) -> APIRouter:
    routes = APIRouter()

    @routes.get(
        "/metrics",
        response_class=Response,
        responses=TEXT | errors(),
    )
    async def metrics() -> Response:
        """Prometheus text."""
        return Response(router.metrics(), headers={"content-type": Metrics.content_type})

    return routes


def health_routes(router: Router, keys: Keys) -> APIRouter:
    routes = APIRouter()

    @routes.get("/health", response_model=Health, responses=DOWN | errors())
    async def health(request: Request) -> JSONResponse:
        """Whether anything can answer (503 if not), and each provider's state.

        Public, so that probes need no key; its details are not.
        """
        found = router.health()
        status = 503 if found["status"] == "down" else 200
        if not keys.accept(request):
            return JSONResponse({"status": found["status"], "version": found["version"]}, status)
        return JSONResponse(found, status)

    @routes.get("/ready", response_model=Ready, responses={503: {"model": Ready}})
    async def ready() -> JSONResponse:
        """200 as soon as a request would be answered within its limits, degraded or not; 503 before
        that and while shutting down. An outage of the log, of Chroma or of the classifier does
        not change it. Public."""
        return JSONResponse({"ready": router.ready}, 200 if router.ready else 503)

    return routes


def _without_texts(row: InteractionRow) -> dict[str, object]:
    attempts = [{**attempt, "text": None} for attempt in row.get("attempts", [])]
    hidden: dict[str, object] = {name: None for name in ("prompt", "answer") if name in row}
    return {**row, **hidden, "attempts": attempts}
