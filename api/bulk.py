"""One line of OpenAI's batch format, answered through the service's own routes.

The line passes through the same code as a request of a client, without a network: every dialect of
the service can be asked, and the answer is what that route answers.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

import httpx2

if TYPE_CHECKING:
    from starlette.types import ASGIApp

ROUTES = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/responses",
)
"""What a line may ask."""


class BulkResponse(TypedDict):
    """What the route answered."""

    status_code: int
    request_id: str
    body: object


class BulkError(TypedDict):
    """Why a line could not be asked at all."""

    code: str
    message: str


class BulkResult(TypedDict):
    """One line of OpenAI's batch output."""

    id: str
    custom_id: str | None
    response: BulkResponse | None
    error: BulkError | None


class Bulk:
    """Asks the routes of an application that has been started; `key` where it wants one."""

    def __init__(self, app: ASGIApp, key: str | None = None) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        self._client = httpx2.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers, timeout=None
        )

    async def answer(self, line: Mapping[str, object]) -> BulkResult:
        """The line's answer; whatever is wrong with it is in the result, nothing is raised."""
        given = line.get("custom_id")
        custom_id = given if isinstance(given, str) else None
        if (problem := problem_of(line)) is not None:
            return _result(custom_id, error={"code": "invalid_request", "message": problem})
        reply = await self._client.post(
            str(line["url"]),
            content=json.dumps(line["body"]).encode(),
            headers={"content-type": "application/json"},
        )
        response: BulkResponse = {
            "status_code": reply.status_code,
            "request_id": reply.headers.get("x-request-id", ""),
            "body": reply.json(),
        }
        return _result(custom_id, response=response)

    async def close(self) -> None:
        await self._client.aclose()


def problem_of(line: Mapping[str, object]) -> str | None:
    """Why a line cannot be asked, as a sentence; None where it can."""
    custom_id, body = line.get("custom_id"), line.get("body")
    if not isinstance(custom_id, str) or not custom_id:
        return "`custom_id` is not a text that names the line"
    if line.get("method", "POST") != "POST":
        return "`method` is not POST"
    if line.get("url") not in ROUTES:
        return f"`url` is none of {', '.join(ROUTES)}"
    if not isinstance(body, dict):
        return "`body` is not an object"
    if body.get("stream"):
        return "`body.stream` is set: a line is answered whole"
    return None


def failed(result: Mapping[str, object]) -> bool:
    """A line that was not asked, or that the route answered with an error."""
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
