"""Reads a request's body within bounds and translates it for the router; an error is one
sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from fastapi import Request
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from api.errors import INVALID, Problem, RefusedError, invalid, too_many
from api.wire import ChatRequest
from providers.base import Message
from providers.conversation import conversation
from providers.fields import PASSED, sorted_out
from providers.messages import written
from providers.tool_offers import FIELDS, tool_offers
from race.schema import response_format
from race.state import Options, Wishes
from web.body import BodyError, read_body

MAX_BODY_BYTES = 4 * 2**20
MAX_CHAT_BYTES = 16 * 2**20
"""Maximum size of a conversation in bytes: a photo of 10 MB is 14 MB as a data URL."""
RETRY_S = 1.0
"""Seconds after which a place for a large body may be free again."""

_CODES = {408: "request_timeout", 413: "request_too_large"}


async def read_json(request: Request, most_bytes: int = MAX_BODY_BYTES) -> dict[str, object]:
    """The body as a JSON object; raises RefusedError with 400, 408, 413 or 429.

    NaN, lone surrogates, invalid UTF-8 and nesting beyond a thousand levels are not accepted. The
    declared type must be JSON: browsers let any web page send others without a preflight.
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
    """The parser's message without the text that it parsed."""
    return f"{error.msg.partition(':')[0]} (line {error.lineno}, column {error.colno})"


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid request in the router's terms."""

    model: str
    messages: list[Message]
    options: Options
    wishes: Wishes
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...] = ()
    """Fields left out because they cannot change the meaning of the answer."""
    older_functions: bool = False
    """Tools were offered as `functions`: a call is returned as a `function_call`."""

    @property
    def prompt(self) -> str:
        """All text that a model reads."""
        return "\n".join(written(message) for message in self.messages)


def parse(body: dict[str, object], passes: frozenset[str] = frozenset()) -> Asked:
    """The request; raises RefusedError or UsageError (400) that names the first invalid parameter.

    `passes`: the non-standard fields that any enabled host accepts.
    """
    try:
        request = ChatRequest.model_validate(body)
    except ValidationError as error:
        raise refusal(error.errors(include_url=False)) from None
    streaming = (request.stream_options and request.stream_options.model_extra) or {}
    unknown = {f"stream_options.{name}": value for name, value in streaming.items()}
    passed, ignored = sorted_out(unknown | (request.model_extra or {}), passes)
    messages = conversation(body["messages"])
    options = _options(request, body)
    if passed:
        options["passes"] = passed
    return Asked(
        model=request.model,
        messages=messages,
        options=options,
        wishes=_wishes(request),
        stream=bool(request.stream),
        include_usage=bool(
            request.stream and request.stream_options and request.stream_options.include_usage
        ),
        ignored=tuple(ignored),
        older_functions=bool(body.get("functions")),
    )


def _options(request: ChatRequest, body: dict[str, object]) -> Options:
    """The options passed on to the providers, under OpenAI's names."""
    limits = {request.max_tokens, request.max_completion_tokens} - {None}
    if len(limits) > 1:
        raise invalid("give `max_tokens` or `max_completion_tokens`, not both", "max_tokens")
    options = Options()
    if limit := max((limit for limit in limits if limit is not None), default=None):
        options["max_tokens"] = limit
    if request.temperature is not None:
        options["temperature"] = request.temperature
    if request.top_p is not None:
        options["top_p"] = request.top_p
    if request.stop:
        options["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
    extra: dict[str, object] = {
        name: value
        for name in PASSED & request.model_fields_set
        if (value := getattr(request, name)) not in (None, "", {})
    }
    offers = tool_offers({name: body.get(name) for name in FIELDS})
    extra |= offers | _logprobs(request)
    if form := response_format(body.get("response_format")):
        extra["response_format"] = form
    if extra:
        options["extra"] = extra
    if request.session_id:
        options["session_id"] = request.session_id
    elif request.prompt_cache_key:
        options["caller"] = request.prompt_cache_key
    return options


def _logprobs(request: ChatRequest) -> dict[str, object]:
    if not request.logprobs:
        if request.top_logprobs:
            raise invalid("`top_logprobs` goes with `logprobs: true` only", "top_logprobs")
        return {}
    top = {} if request.top_logprobs is None else {"top_logprobs": request.top_logprobs}
    return {"logprobs": True, **top}


def _wishes(request: ChatRequest) -> Wishes:
    wishes = Wishes()
    if request.models:
        wishes["models"] = request.models
    if request.provider is not None:
        given = request.provider.model_dump(exclude_none=True)
        for name in ("allow_fallbacks", "require_parameters"):
            given.pop(name, None)
        wishes.update({name: value for name, value in given.items() if value})  # type: ignore[typeddict-item]
    return wishes


_MEANT = {
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dict_type": "an object",
    "list_type": "a list",
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
}
"""The expected type for each of pydantic's type errors."""


def refusal(errors: Sequence[ErrorDetails]) -> RefusedError:
    """400 for the first of pydantic's errors, in our own words."""
    first = next((error for error in errors if not _is_other_form(error)), errors[0])
    param = _param(first["loc"])
    given = repr(first["input"])[:60]
    limits = first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            message = f"`{param}` is not supported here; leave it out"
            return invalid(message, param, "unsupported_parameter")
        case "literal_error":
            expected = limits.get("expected")
            message = f"`{param}`: {given} is not supported here; it can be {expected}"
            return invalid(message, param, "unsupported_value")
        case "missing":
            return invalid(f"`{param}` is missing", param, "missing_required_parameter")
        case "too_long":
            message = f"`{param}` may hold at most {limits['max_length']}"
            return invalid(message, param, "invalid_value")
        case "string_type" if _is_form(first["loc"]):
            return invalid(f"`{param}` must be a text or a list", param, "invalid_value")
        case kind if kind in _MEANT:
            return invalid(f"`{param}` must be {_MEANT[kind]}", param, "invalid_value")
        case _:
            return invalid(f"`{param}`: {first['msg']}", param or None, "invalid_value")


_FORMS = frozenset({"input", "prompt", "system"})
"""Parameters that are a text or a list; pydantic appends the form that it tried."""


def _is_form(loc: Sequence[int | str]) -> bool:
    return len(loc) == 2 and loc[0] in _FORMS


def _is_other_form(error: ErrorDetails) -> bool:
    """Whether a list was tried as a text: an error inside the list is more specific."""
    return _is_form(error["loc"]) and isinstance(error["input"], list)


def _param(loc: Sequence[int | str]) -> str:
    """`messages[0].content[1].type`, without pydantic's tags for the form of a value."""
    path = ""
    for place, step in enumerate(loc):
        if isinstance(step, int):
            path += f"[{step}]"
        elif step == "schema_" or str(step).startswith("function-") or _is_form(loc[: place + 1]):
            continue
        elif not (place and loc[place - 1] == "stop" and step in ("text", "list")):
            path += f".{step}" if path else step
    return path
