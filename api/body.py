"""Reading a JSON body: bounded in size and time, and wrong in one sentence."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import Request

from api.errors import INVALID, Problem, RefusedError, invalid, too_many
from web.body import BodyError, read_body

MAX_BODY_BYTES = 4 * 2**20
MAX_CHAT_BYTES = 16 * 2**20
"""Of a conversation: a photo of 10 MB is 14 MB as a data URL."""
RETRY_S = 1.0
"""When a place for a large body may be free again."""

_CODES = {408: "request_timeout", 413: "request_too_large"}


async def read_json(request: Request, most_bytes: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The body as a JSON object; RefusedError with 400, 408, 413 or 429.

    NaN, lone surrogates, invalid UTF-8 and nesting beyond a thousand levels are not JSON here.
    The declared type must be JSON: another one could be sent by any web page without asking.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise invalid("send the request as JSON, with `Content-Type: application/json`")
    try:
        raw = await read_body(request, most_bytes, request.state.may_be_large)
    except BodyError as error:
        raise RefusedError(_problem(error)) from None
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid(f"the body is not valid JSON: {_where(error)}") from None
    if not isinstance(body, dict):
        raise invalid("the body must be a JSON object")
    return body


def _problem(error: BodyError) -> Problem:
    if error.status == 429:
        return too_many(str(error), RETRY_S, code="overloaded")
    headers = {"connection": "close"} if error.status == 413 else {}
    return Problem(error.status, str(error), INVALID, _CODES.get(error.status), headers=headers)


def _where(error: orjson.JSONDecodeError) -> str:
    """The parser's words without the text that it parsed."""
    return f"{error.msg.partition(':')[0]} (line {error.lineno}, column {error.colno})"
