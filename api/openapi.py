"""The parts of the OpenAPI document that FastAPI cannot infer, because bodies are read and answers
written by this package."""

from __future__ import annotations

import copy
import functools
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict

DESCRIPTIONS = {
    400: "The request is wrong; `param` names what.",
    401: "The key is missing or unknown.",
    403: "This service does not take changes.",
    404: "What was named does not exist.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    429: "Too many requests; Retry-After says when to try again.",
    500: "A bug; the service's log has the details under the request's id.",
    503: "Nobody could answer.",
}


class Documented(BaseModel):
    """Describes an answer in the OpenAPI document; answers themselves are plain dicts."""

    model_config = ConfigDict(extra="allow")


class PromptDetails(Documented):
    cached_tokens: int


class CompletionDetails(Documented):
    reasoning_tokens: int


class Usage(Documented):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class RouterObject(Documented):
    """What the router did."""

    request_id: str
    category: str
    confidence: float
    provider: str | None
    role: Literal["primary", "fallback"] | None
    attempts: list[dict[str, object]]
    cost_usd: float | None
    why: str | None
    """Why the answer changed hands, or why there is none: the log's `reason`. Otherwise why that
    provider was asked: learned order, exploration, conversation, the caller's preference, no
    alternative, budget."""
    note: str | None
    sources: list[dict[str, object]]
    grounded: bool


class Spoken(Documented):
    role: Literal["assistant"]
    content: str | None


class Choice(Documented):
    index: int
    message: Spoken
    finish_reason: Literal["stop", "length", "content_filter", "tool_calls", "function_call"]
    logprobs: dict[str, object] | None = None


class Completion(Documented):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    router: RouterObject


class ErrorDetail(Documented):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Documented):
    """OpenAI's error object; `router` records what each provider said, if any were asked."""

    error: ErrorDetail


STREAMED: dict[int | str, dict[str, object]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
}
"""A route's answer as server-sent events."""


class AnthropicDetail(Documented):
    type: str
    message: str


class AnthropicError(Documented):
    """Anthropic's error object, under its prefix."""

    type: Literal["error"]
    error: AnthropicDetail
    request_id: str | None


def errors(*statuses: int, body: type[BaseModel] = ErrorBody) -> dict[int | str, dict[str, object]]:
    """A route's error answers.

    By reference, since `document` has the bodies anyway: FastAPI would compile a validator for each
    status of each route, which takes half the time of making the application.
    """
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    content = {"application/json": {"schema": schema}}
    return {s: {"description": DESCRIPTIONS[s], "content": content} for s in (*statuses, 500)}


def body_of(model: type[BaseModel]) -> dict[str, object]:
    """A route's JSON body, for `openapi_extra`; each has its own, because `document` edits it."""
    schema = copy.deepcopy(_schema_of(model))
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@functools.cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Made once a process: it takes longer than all else that a route needs."""
    return model.model_json_schema(ref_template="#/components/schemas/{model}")


def document(app: FastAPI) -> dict[str, object]:
    """The document, built once. Definitions are inlined where they are used, and FastAPI's own 422
    is replaced by the 400 that is really sent."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for body in (ErrorBody, AnthropicError):
            schema = copy.deepcopy(_schema_of(body))
            schemas |= {**schema.pop("$defs", {}), body.__name__: schema}
        for path in made["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
                for content in operation.get("requestBody", {}).get("content", {}).values():
                    schemas.update(content["schema"].pop("$defs", {}))
        app.openapi_schema = made
    return app.openapi_schema
