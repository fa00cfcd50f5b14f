"""Reads a host's error: its message, codes and parameter, wherever the host puts them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from providers.vendor_words import ERROR_WORDS, normal

_WORDS = (
    "message", "msg", "error_msg", "errormessage", "error_message", "status_msg", "detail",
    "errormsg", "err_msg", "errmsg", "error_description", "description", "faultstring", "title",
    "error", "exception", "raw",
)  # fmt: skip
"""Members that contain the message, the most specific first."""
_CODES = frozenset(
    {"code", "type", "status", "reason", "error_code", "errorcode", "error_type", "status_code",
     "http_code", "__type", "errortype", "statuscode", "errcode", "err_no",
     "http_status", "httpstatus"}
)  # fmt: skip
_WRAPPERS = (
    "error", "errors", "detail", "details", "metadata", "raw", "innererror", "base_resp", "status",
    "message", "body", "fault", "exception", "data", "result", "response", "responsemetadata",
    "output", "header",
)  # fmt: skip
"""Members in which a nested object, list or JSON text may contain the rest."""
_FILTERED = frozenset({"content_filter_result", "content_filter_results", "flagged_input"})
_DEEPEST = 6
_FINE = frozenset({"", "0", "200", "ok", "success", "succeeded", "none", "false", "completed"})
_BROKEN_STATES = frozenset({"failed", "error", "errored", "cancelled", "canceled"})
_ENVELOPES = ("data", "result", "response", "responsemetadata", "output", "header")
"""Members in which some hosts wrap the whole error."""
_ERRORS = ("error", "errors", "exception", "fault", "base_resp")
_ERROR_CODES = (
    "errormessage", "error_msg", "error_message", "errormsg", "err_msg", "errmsg", "error_code",
    "errorcode", "errcode", "err_no",
)  # fmt: skip
_NAMES_AN_ERROR = re.compile(r"(?:\b|_|[a-z])(?:error|exception|fail(?:ed|ure)?)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error in any vendor's dialect; `statuses` are those of its codes that are HTTP
    statuses."""

    words: str
    codes: frozenset[str]
    param: str
    filtered: bool = False

    @property
    def status(self) -> int | None:
        statuses = (int(code) for code in self.codes if re.fullmatch(r"[45]\d\d", code))
        return max(statuses, default=None)


def error_reply(error: object) -> ErrorReply:
    """Read an error from an object, a list or a text."""
    found = list(_objects(error, 0))
    said = list(dict.fromkeys(text for entry in found if (text := _words(entry))))
    return ErrorReply(
        words=": ".join(said[:2]) if found else _text(error),
        codes=frozenset(code for entry in found for code in _codes(entry)),
        param=next((param for entry in found if (param := _param(entry))), ""),
        filtered=any(_FILTERED & entry.keys() for entry in found),
    )


def error_in_body(body: bytes) -> ErrorReply | None:
    """The error in a JSON body, or None if there is none."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return error_reply(parsed) if isinstance(parsed, dict | list) and parsed else None


def error_in_event(name: bytes, event: object) -> object | None:
    """The error in an event of a stream, to be read by `error_reply`; else None."""
    if any(word in name.lower() for word in (b"error", b"fail", b"exception")):
        return _named(name, event)
    if isinstance(event, str):
        return event if ERROR_WORDS.search(event) else None
    if not isinstance(event, dict):
        return None
    for member in ("error", "errors"):
        if _is_error(event.get(member)):
            return event
    choices = event.get("choices")
    if isinstance(choices, list) and choices:
        return next((found for choice in choices if (found := _in_choice(choice))), None)
    return event if _is_broken(event, 0) else None


def _named(name: bytes, event: object) -> object:
    """An event named as an error; its name is one of the codes."""
    if isinstance(event, dict):
        return {"type": name.decode("utf-8", "replace"), **event}
    return event or "an error without a message"


def _is_broken(event: object, depth: int) -> bool:
    """Whether an object that is not part of an answer describes an error, wrapped or not."""
    if not isinstance(event, dict) or depth > _DEEPEST:
        return False
    event = {str(name).lower(): held for name, held in event.items()}
    return (
        any(_is_error(event.get(member)) for member in _ERRORS)
        or any(_is_error(held) for name, held in event.items() if name.endswith("exception"))
        or any(_NAMES_AN_ERROR.search(str(event.get(n, ""))) for n in ("object", "type", "__type"))
        or any(not _fine(event.get(member)) for member in _ERROR_CODES)
        or str(event.get("status", "")).lower() in _BROKEN_STATES
        or any(_is_http_error(event.get(m)) for m in ("status", "statuscode", "status_code"))
        or (depth == 0 and "detail" in event and "object" not in event)
        or event.get("success") is False
        or event.get("ok") is False
        or _says_of_an_error(event)
        or any(_is_broken(event.get(member), depth + 1) for member in _ENVELOPES)
    )


def _is_http_error(code: object) -> bool:
    return re.fullmatch(r"[45]\d\d", str(code)) is not None


def _in_choice(choice: object) -> object | None:
    """The error of one choice, in its delta or its message."""
    if not isinstance(choice, dict):
        return None
    for holder in (choice, choice.get("delta"), choice.get("message")):
        if isinstance(holder, dict) and _is_error(holder.get("error")):
            found: object = holder["error"]
            return found
    return None


def _is_error(value: object) -> bool:
    """Some hosts send an error member on every chunk, empty or with a code of success."""
    if isinstance(value, dict):
        code = value.get("code", value.get("status_code"))
        return any(value.values()) if code in (None, "") else not _fine(code)
    return not _fine(value) if isinstance(value, str) else bool(value)


def _fine(code: object) -> bool:
    return code is None or str(code).strip().lower() in _FINE


def _says_of_an_error(event: dict[str, object]) -> bool:
    said = event.get("message", event.get("msg"))
    if not isinstance(said, str):
        return False
    return not _fine(event.get("code", event.get("status_code"))) or bool(ERROR_WORDS.search(said))


def _objects(value: object, depth: int) -> Iterator[dict[str, object]]:
    """The objects that describe the error, outermost first."""
    if depth > _DEEPEST:
        return
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return
    if isinstance(value, list):
        for inner in value[:20]:
            yield from _objects(inner, depth + 1)
    elif isinstance(value, dict):
        inner = {str(name).lower(): held for name, held in value.items()}
        yield inner
        for name in (
            *_WRAPPERS,
            *(n for n in inner if n.endswith("exception") and n not in _WRAPPERS),
        ):
            yield from _objects(inner.get(name), depth + 1)


def _words(entry: dict[str, object]) -> str:
    for name in _WORDS:
        value = entry.get(name)
        if isinstance(value, str) and value.strip() and not value.lstrip().startswith(("{", "[{")):
            return value
    return ""


def _codes(entry: dict[str, object]) -> Iterator[str]:
    yield from (name for name in entry if name.endswith("exception"))  # Bedrock
    for name in _CODES & entry.keys():
        value = entry[name]
        if isinstance(value, str | int) and not isinstance(value, bool) and value:
            yield str(value)
            yield normal(str(value).rpartition("#")[2])


def _param(entry: dict[str, object]) -> str:
    if isinstance(entry.get("param"), str):
        return str(entry["param"])
    if isinstance(loc := entry.get("loc"), list):  # FastAPI, pydantic
        return ".".join(str(part) for part in loc if part != "body")
    return ""


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, default=str)
