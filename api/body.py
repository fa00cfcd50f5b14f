"""Reading a JSON body: bounded in size and time, and wrong in one sentence."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect

from api.errors import INVALID, Problem, RefusedError, invalid

MAX_BODY_BYTES = 4 * 2**20
READ_S = 30.0
"""How long a body may take to arrive."""

DRAIN_BYTES = 16 * 2**20
"""What is read and thrown away of a body too large: a client that is still sending would see a
broken connection instead of the answer."""


async def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; RefusedError with 400, 408 or 413.

    NaN, lone surrogates, invalid UTF-8 and nesting beyond a thousand levels are not JSON here.
    The declared type must be JSON: another one could be sent by any web page without asking.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise invalid("send the request as JSON, with `Content-Type: application/json`")
    try:
        async with asyncio.timeout(READ_S):
            raw = await _read(request)
    except TimeoutError:
        message = f"the body did not arrive within {READ_S:g} s"
        raise RefusedError(Problem(408, message, INVALID, "request_timeout")) from None
    except ClientDisconnect:
        raise invalid("the client left before its request was complete") from None
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise invalid(f"the body is not valid JSON: {_where(error)}") from None
    if not isinstance(body, dict):
        raise invalid("the body must be a JSON object")
    return body


async def _read(request: Request) -> bytes:
    """The raw body."""
    declared = request.headers.get("content-length", "")
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            body += chunk
        elif size > DRAIN_BYTES or (declared.isdecimal() and int(declared) > DRAIN_BYTES):
            break
    if size > MAX_BODY_BYTES:
        message = f"the body is larger than {MAX_BODY_BYTES // 2**20} MB"
        headers = {"connection": "close"}
        raise RefusedError(Problem(413, message, INVALID, "request_too_large", headers=headers))
    return bytes(body)


def _where(error: orjson.JSONDecodeError) -> str:
    """The parser's words without the text that it parsed."""
    return f"{error.msg.partition(':')[0]} (line {error.lineno}, column {error.colno})"
