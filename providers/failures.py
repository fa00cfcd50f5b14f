"""What went wrong at a host, as a ProviderError whose sentence can be shown to anyone."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from config.redaction import printable, redact
from providers.base import ErrorKind, ProviderError

QUOTE_CHARACTERS = 200
"""How much of a server's own words an error repeats."""

_CONTEXT = re.compile(
    r"context.length|context.size|context.window|maximum model length|max_model_len"
    r"|prompt is too long|input is too long|inputs?\W* tokens \+ \W*max_new_tokens"
    r"|reduce the length of (?:the|your) (?:messages|prompt|input)|too many (?:input )?tokens"
    r"|must have less than \d+ tokens|maximum number of tokens",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"not a valid model|model\b.{0,80}\b(?:does not exist|not found|not available)", re.IGNORECASE
)
_CONTEXT_CODES = {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"}
_FILTER_CODES = {"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"}
_LONGEST_WAIT_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Place:
    """Who is spoken to, for the sentences; the key is known here so that it can be struck out."""

    provider: str
    host: str
    url: str
    key: str | None = None
    key_env: str | None = None

    def __str__(self) -> str:
        return f"{self.provider} at {self.host} ({urlsplit(self.url).netloc})"

    def quote(self, text: str) -> str:
        """The server's own words: one line, redacted, at most QUOTE_CHARACTERS."""
        words = printable(" ".join(redact(text, self.key).split()))
        cut = words[: QUOTE_CHARACTERS - 1] + "…" if len(words) > QUOTE_CHARACTERS else words
        return f": “{cut}”" if cut else ""

    def error(
        self,
        kind: ErrorKind,
        what: str,
        words: str = "",
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> ProviderError:
        message = f"{self} {what}{self.quote(words)}"
        return ProviderError(kind, message, status=status, retry_after_s=retry_after_s)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` (seconds or an HTTP date).

    A date is compared with the server's own `Date`, so that a wrong clock here does no harm.
    """
    try:
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return _wait(float(milliseconds) / 1000)
        if (given := headers.get("retry-after")) is None:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", given):
            return _wait(float(given))
        until = parsedate_to_datetime(given).timestamp()
        date = headers.get("date")
        now = parsedate_to_datetime(date).timestamp() if date else time.time()
        return _wait(until - now)
    except (ValueError, OverflowError):
        return None


def _wait(seconds: float) -> float:
    return min(max(0.0, seconds), _LONGEST_WAIT_S)


def from_response(
    place: Place, status: int, headers: Mapping[str, str], body: bytes
) -> ProviderError:
    """The error that a response with an error status stands for."""
    if 300 <= status < 400:
        target = urlsplit(headers.get("location", "")).netloc or "another address"
        what = f"redirects to {target}, which is not followed; put that address into base_url"
        return place.error("bad_reply", what, status=status)
    detail = error_object(body)
    words = detail.words if detail else _plain(body)
    kind = _kind(status, detail, words)
    key = f"the key in {place.key_env}" if place.key_env else "a call without a key"
    what = "wants credit first" if status == 402 else _SENTENCES[kind].format(key=key)
    return place.error(
        kind, f"{what} (HTTP {status})", words, status=status, retry_after_s=retry_after_s(headers)
    )


def from_event(place: Place, error: object) -> ProviderError:
    """The error that an error object in mid-stream stands for."""
    detail = error_detail(error)
    status = next((int(c) for c in detail.codes if re.fullmatch(r"[45]\d\d", c)), 500)
    kind = _kind(status, detail, detail.words)
    return place.error(kind, "answered with an error", detail.words, status=status)


def from_exception(place: Place, error: Exception, *, started: bool) -> ProviderError:
    """The error that a failed connection stands for; `started`: the answer had begun."""
    if isinstance(error, aiohttp.ConnectionTimeoutError | asyncio.TimeoutError):
        return place.error("timeout", "did not accept a connection in time")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return place.error("connection", "cannot be found by that name; check the address")
    if isinstance(error, ssl.SSLError | aiohttp.ClientSSLError):
        return place.error("connection", "has no valid TLS certificate", str(error))
    if isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ClientProxyConnectionError):
        return place.error("connection", "cannot be reached through the proxy", str(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        return place.error("connection", "cannot be reached", error.strerror or str(error))
    if isinstance(error, aiohttp.ClientResponseError):
        return place.error("bad_reply", "does not speak HTTP properly", error.message)
    if started:
        return place.error("connection", "cut the connection in the middle of the answer")
    return place.error("connection", "closed the connection without an answer")


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """What OpenAI's error object, in any of its dialects, says."""

    words: str
    codes: frozenset[str]  # its `code` and its `type`
    param: str
    filtered: bool = False


def error_object(body: bytes) -> ErrorDetail | None:
    """The error in a JSON body, or None when there is none to be read."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return None
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        return None
    return error_detail(parsed.get("error") or parsed.get("detail") or parsed)


def error_detail(error: object) -> ErrorDetail:
    if not isinstance(error, dict):
        return ErrorDetail(words=str(error), codes=frozenset(), param="")
    words = error.get("message") or error.get("msg") or error.get("detail") or ""
    inner = error.get("innererror") or {}
    metadata = error.get("metadata") or {}
    return ErrorDetail(
        words=words if isinstance(words, str) else json.dumps(words),
        codes=frozenset(str(error[name]) for name in ("code", "type") if error.get(name)),
        param=str(error.get("param") or ""),
        filtered=_has(inner, "content_filter_result") or _has(metadata, "flagged_input"),
    )


def _has(value: Any, key: str) -> bool:
    return isinstance(value, dict) and key in value


def _kind(status: int, detail: ErrorDetail | None, words: str) -> ErrorKind:
    codes = detail.codes if detail else frozenset()
    refused = status in (400, 422)
    if codes & _FILTER_CODES or (detail and detail.filtered):
        return "content_filter"
    if codes & _CONTEXT_CODES or status == 413 or (refused and _CONTEXT.search(words)):
        return "context_length"
    if "model_not_found" in codes or (refused and _NO_MODEL.search(words)):
        return "not_found"
    return "server" if status >= 500 else _STATUS.get(status, "bad_reply")


_STATUS: dict[int, ErrorKind] = {
    401: "auth",
    402: "auth",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "server",
    425: "server",
    429: "rate_limited",
}
_SENTENCES: dict[ErrorKind, str] = {
    "auth": "refused {key}",
    "not_found": "does not know that model or address",
    "rate_limited": "is asked too often",
    "bad_reply": "refused the request",
    "connection": "cannot be reached",
    "server": "failed",
    "timeout": "gave up waiting",
    "content_filter": "declined the prompt by its content filter",
    "context_length": "cannot take so long a prompt",
}


def _plain(body: bytes) -> str:
    """The text of an error page, without its markup."""
    text = body.decode("utf-8", "replace")
    return re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
