"""Lines of OpenAI's batch format, checked and answered through the service's own routes.

A line takes the same code path as a client's request, without a network: every dialect of the
service can be used, and the answer is that route's answer.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import httpx2
import orjson

from batches.files import Files, lines_of
from batches.store import LineError

if TYPE_CHECKING:
    from sqlalchemy import RowMapping
    from starlette.types import ASGIApp

ROUTES = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/responses",
)
"""The routes that a line may name."""


class BulkResponse(TypedDict):
    """The route's response."""

    status_code: int
    request_id: str
    body: object


class BulkError(TypedDict):
    """Why a line was rejected before it reached a route."""

    code: str
    message: str


class BulkResult(TypedDict):
    """One line of OpenAI's batch output."""

    id: str
    custom_id: str | None
    response: BulkResponse | None
    error: BulkError | None


class Attempt(NamedTuple):
    """One attempt at a line."""

    result: BulkResult
    retry_after_s: float
    """Seconds that the route asks to wait before another attempt; 0 if it names none."""

    @property
    def may_pass(self) -> bool:
        """Whether a retry may help: too many requests at once, or nobody can answer now."""
        response = self.result["response"]
        return response is not None and response["status_code"] in (408, 429, 503)


class Bulk:
    """Sends lines to the routes of an application that has been started; `key` if it requires
    one."""

    def __init__(self, app: ASGIApp, key: str | None = None) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        self._client = httpx2.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers, timeout=None
        )

    async def answer(self, line: Mapping[str, object]) -> BulkResult:
        """The line's result; errors are part of it, and nothing is raised."""
        return (await self.attempt(line)).result

    async def attempt(self, line: Mapping[str, object]) -> Attempt:
        """The result, with what a retry needs to know."""
        given = line.get("custom_id")
        custom_id = given if isinstance(given, str) else None
        if (problem := problem_of(line)) is not None:
            error: BulkError = {"code": "invalid_request", "message": problem}
            return Attempt(_result(custom_id, error=error), 0.0)
        reply = await self._client.post(
            str(line["url"]),
            content=orjson.dumps(line["body"]),
            headers={"content-type": "application/json"},
        )
        response: BulkResponse = {
            "status_code": reply.status_code,
            "request_id": reply.headers.get("x-request-id", ""),
            "body": reply.json(),
        }
        waits = reply.headers.get("retry-after", "0")
        result = _result(custom_id, response=response)
        return Attempt(result, float(waits) if waits.isdecimal() else 0.0)

    async def close(self) -> None:
        await self._client.aclose()


def problem_of(line: Mapping[str, object]) -> str | None:
    """Why a line cannot be processed, as a sentence; None if it can."""
    custom_id, body = line.get("custom_id"), line.get("body")
    if not isinstance(custom_id, str) or not custom_id:
        return "`custom_id` is not a text that identifies the line"
    if line.get("method", "POST") != "POST":
        return "`method` is not POST"
    if line.get("url") not in ROUTES:
        return f"`url` is not one of {', '.join(ROUTES)}"
    if not isinstance(body, dict):
        return "`body` is not an object"
    if body.get("stream"):
        return "`body.stream` is set, but a batch line cannot be streamed"
    return _unsendable(body)


def _unsendable(body: dict[str, object]) -> str | None:
    """What keeps the body from being sent, such as its depth, so that it never fails on the way."""
    try:
        orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        return f"`body` cannot be sent as JSON: {error}"
    return None


def failed(result: Mapping[str, object]) -> bool:
    """A line that was rejected, or that the route answered with an error."""
    response = result.get("response")
    if result.get("error") or not isinstance(response, dict):
        return True
    status = response.get("status_code")
    return not isinstance(status, int) or status >= 400


def _result(
    custom_id: str | None,
    *,
    response: BulkResponse | None = None,
    error: BulkError | None = None,
) -> BulkResult:
    return {
        "id": f"batch_req_{uuid.uuid4().hex}",
        "custom_id": custom_id,
        "response": response,
        "error": error,
    }


MOST_ERRORS = 50
"""Number of mistakes reported for one file; the rest are probably the same mistake."""


def mistakes(files: Files, batch: RowMapping, most_lines: int) -> list[LineError]:
    """The first mistakes in the batch's file; empty if it is valid. Blocks."""
    found: list[LineError] = []
    names: set[bytes] = set()
    number, lines = 0, 0
    while (part := files.part(batch["input_file_id"], number)) is not None:
        for place, raw in lines_of(part.body):
            lines += 1
            if lines > most_lines:
                message = f"a batch may have {most_lines} lines (`batch.lines`)"
                return [_said("too_many_lines", message)]
            if error := _mistake(raw, batch["endpoint"], names):
                found.append({**error, "line": part.first_line + place})
                if len(found) == MOST_ERRORS:
                    return found
        number += 1
    if not lines:
        found.append(_said("empty_file", "the file has no lines"))
    return found


def _mistake(raw: bytes, endpoint: str, names: set[bytes]) -> LineError | None:
    try:
        line = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        where = f"{error.msg.partition(':')[0]} (column {error.colno})"
        return _said("invalid_json_line", f"the line is not valid JSON: {where}")
    if not isinstance(line, dict):
        return _said("invalid_json_line", "the line is not a JSON object")
    if (problem := problem_of(line)) is not None:
        return _said("invalid_request", problem)
    if line["url"] != endpoint:
        message = f"`url` is {line['url']}, the batch's endpoint is {endpoint}"
        return _said("mismatched_endpoint", message, "url")
    name = hashlib.blake2b(line["custom_id"].encode(), digest_size=16).digest()
    if name in names:
        return _said("duplicate_custom_id", "an earlier line has this `custom_id`", "custom_id")
    names.add(name)
    return None


def _said(code: str, message: str, param: str | None = None) -> LineError:
    return {"code": code, "line": None, "message": message, "param": param}
