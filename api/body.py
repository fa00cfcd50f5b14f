"""Reading a JSON body: bounded in size and time, and wrong in one sentence."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import Request

from api.errors import INVALID, Problem, RefusedError, invalid
from web.body import BodyError, read_body

MAX_BODY_BYTES = 4 * 2**20

_CODES = {408: "request_timeout", 413: "request_too_large"}


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; RefusedError with 400, 408 or 413.

    NaN, lone surrogates, invalid UTF-8 and nesting beyond a thousand levels are not JSON here.
    The declared type must be JSON: another one could be sent by any web page without asking.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise invalid("send the request as JSON, with `Content-Type: application/json`")
    try:
        raw = await read_body(request, MAX_BODY_BYTES)
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
    headers = {"connection": "close"} if error.status == 413 else {}
    return Problem(error.status, str(error), INVALID, _CODES.get(error.status), headers=headers)


def _where(error: orjson.JSONDecodeError) -> str:
    """The parser's words without the text that it parsed."""
    return f"{error.msg.partition(':')[0]} (line {error.lineno}, column {error.colno})"
