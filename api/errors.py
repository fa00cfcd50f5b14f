"""Our errors as HTTP responses, in the dialect of the path, so that clients raise their own types:
Anthropic's error object under its prefix, OpenAI's everywhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.outcome import router_object
from config.errors import (
    NoAnswerError,
    NotFoundError,
    OverloadedError,
    RouterError,
    StorageError,
    UsageError,
)
from race.state import Answer

ANTHROPIC = "/v1/messages"
"""The paths of Anthropic's dialect."""


def speaks_anthropic(path: str) -> bool:
    return path == ANTHROPIC or path.startswith(f"{ANTHROPIC}/")


NO_THREADS = "thread_unsupported_request"
"""Anthropic's code that makes its clients send the whole conversation each time."""

_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
}

INVALID = "invalid_request_error"
SERVER = "server_error"


@dataclass(frozen=True, slots=True)
class Problem:
    """An error for the caller; `code` and `kind` are OpenAI's, where it has one."""

    status: int
    message: str
    kind: str = INVALID
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    router: dict[str, object] | None = None
    """What each provider said, if any were asked."""

    def body(self) -> dict[str, object]:
        error = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        return {"error": error} if self.router is None else {"error": error, "router": self.router}

    def anthropic(self, request_id: str | None) -> dict[str, object]:
        """The same in Anthropic's format, whose types follow the status."""
        kind = _ANTHROPIC.get(self.status, "api_error")
        error: dict[str, object] = {"type": kind, "message": self.message}
        if self.code == NO_THREADS:
            error["details"] = {"error_code": self.code, "unsupported": [self.param]}
        if self.code in ("overloaded", "shutting_down"):
            error["type"] = "overloaded_error"
        body: dict[str, object] = {"type": "error", "error": error, "request_id": request_id}
        return body if self.router is None else {**body, "router": self.router}

    def response(self) -> Response:
        return ProblemResponse(self)


class ProblemResponse(Response):
    """An error on its way out; its path determines the dialect."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(status_code=problem.status)
        self.problem = problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self.problem
        if speaks_anthropic(scope["path"]):
            body = problem.anthropic(scope.get("state", {}).get("request_id"))
        else:
            body = problem.body()
        data = orjson.dumps(body)
        response = Response(data, problem.status, problem.headers, media_type="application/json")
        await response(scope, receive, send)


class RefusedError(RouterError):
    """The service rejects a request before the router sees it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def invalid(message: str, param: str | None = None, code: str | None = None) -> RefusedError:
    """An invalid request: 400."""
    return RefusedError(Problem(400, message, param=param, code=code))


def problem_of(error: RouterError) -> Problem:
    """The response to each of our own errors."""
    match error:
        case RefusedError():
            return error.problem
        case UsageError():
            return Problem(400, str(error), param=error.param, code=error.code)
        case NotFoundError():
            return Problem(404, str(error), code="not_found")
        case OverloadedError():
            return too_many(str(error), error.retry_after_s, code="overloaded")
        case NoAnswerError(answer=Answer() as answer):
            return _no_answer(answer)
        case StorageError():
            return Problem(503, str(error), SERVER, "storage")
        case _:
            return Problem(503, str(error), SERVER, "no_answer")


def too_many(message: str, retry_after_s: float, code: str) -> Problem:
    headers = _retry_after(retry_after_s)
    return Problem(429, message, "rate_limit_error", code, headers=headers)


def crashed(request_id: str) -> Problem:
    """A bug: its traceback is in the service's log, under this id."""
    message = f"the service failed; its log has the details under request {request_id}"
    return Problem(500, message, SERVER, "internal_error")


def stopping() -> Problem:
    message = "the service is shutting down; send the request again in a moment"
    return Problem(503, message, SERVER, "shutting_down", headers={"retry-after": "5"})


_THE_REQUESTS = frozenset({"bad_request", "capability", "context_length"})
"""Errors that the same request would meet again."""


def _no_answer(answer: Answer) -> Problem:
    """Nobody answered: the request's fault if all providers say so, else theirs."""
    message, router = answer.error or "no provider answered", router_object(answer)
    if answer.error_kind == "content_filter":
        return Problem(400, message, code="content_filter", param="messages", router=router)
    failed = {row["error"] for row in answer.attempts if row["outcome"] in ("failed", "timed_out")}
    if failed == {"capability"}:
        return Problem(400, message, code="unsupported_parameter", router=router)
    if failed == {"context_length"}:
        code = "context_length_exceeded"
        return Problem(400, message, code=code, param="messages", router=router)
    skipped = any(row["outcome"] == "skipped" for row in answer.attempts)
    if failed and failed <= _THE_REQUESTS and not skipped:  # who was skipped might have taken it
        return Problem(400, message, router=router)
    wait_s = answer.retry_after_s
    headers = {} if wait_s is None else _retry_after(wait_s)
    return Problem(503, message, SERVER, "no_answer", headers=headers, router=router)


def _retry_after(seconds: float) -> dict[str, str]:
    """In whole seconds, at least one."""
    return {"retry-after": str(max(1, math.ceil(seconds)))}
