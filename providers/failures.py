"""Describes what went wrong at a host as a ProviderError whose message may be shown to anyone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from config.redaction import printable, redact
from providers.base import ErrorKind, ProviderError
from providers.error_reply import ErrorReply, error_in_body, error_reply
from providers.vendor_words import (
    PASSING_WORDS,
    REFUSING,
    WORDS,
    kind_of_codes,
    kind_of_words,
    wants_credit,
)
from providers.waiting import asked_in_body, asked_in_headers, asked_in_words, reset_in_headers

QUOTE_CHARACTERS = 200
"""Characters of the server's own message that an error repeats."""


@dataclass(frozen=True, slots=True)
class Place:
    """The upstream, as messages name it; the key is included only so that it can be redacted."""

    provider: str
    host: str
    url: str
    key: str | None = None
    key_env: str | None = None

    def __str__(self) -> str:
        return f"{self.provider} at {self.host} ({urlsplit(self.url).netloc})"

    def quote(self, text: str) -> str:
        """The server's own message: one line, redacted, at most QUOTE_CHARACTERS."""
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


def from_response(
    place: Place, status: int, headers: Mapping[str, str], body: bytes
) -> ProviderError:
    """The error described by a response with an error status."""
    if 300 <= status < 400:
        target = _netloc(headers.get("location", "")) or "another address"
        what = f"redirects to {target}, which is not followed; put that address into base_url"
        return place.error("bad_reply", what, status=status)
    reply = error_in_body(body) or ErrorReply(_plain(body), frozenset(), "")
    kind, credit = _kind(status, reply)
    key = f"the key in {place.key_env}" if place.key_env else "a call without a key"
    what = "wants credit first" if credit else _SENTENCES[kind].format(key=key)
    wait_s = None if kind == "auth" else _wait(kind, headers, body, reply.words)
    said = f"{what} (HTTP {status})"
    error = place.error(kind, said, reply.words, status=status, retry_after_s=wait_s)
    error.credit = credit
    return error


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def from_event(place: Place, error: object) -> ProviderError:
    """The error described by an error in a successful response: an object, a list or a text."""
    reply = error_reply(error)
    kind, credit = _kind(reply.status, reply)
    what = "wants credit first" if credit else "answered with an error"
    wait_s = None
    if kind in _WAITING and (wait_s := asked_in_body(error)) is None:
        wait_s = asked_in_words(reply.words)
    return place.error(kind, what, reply.words, status=reply.status or 500, retry_after_s=wait_s)


def from_exception(place: Place, error: Exception, *, started: bool) -> ProviderError:
    """The error for a failed connection; `started`: the answer had begun."""
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


def _wait(kind: ErrorKind, headers: Mapping[str, str], body: bytes, words: str) -> float | None:
    """How long in seconds the host asks not to be called; a reset time counts only for a limit."""
    if (wait := asked_in_headers(headers)) is not None or kind not in _WAITING:
        return wait
    with contextlib.suppress(ValueError, RecursionError):
        if (wait := asked_in_body(json.loads(body), headers)) is not None:
            return wait
    if (wait := asked_in_words(words, headers)) is not None or kind != "rate_limited":
        return wait
    return reset_in_headers(headers)


_WAITING = frozenset({"rate_limited", "server"})
"""Errors whose body may state when they are over."""


def _kind(status: int | None, reply: ErrorReply) -> tuple[ErrorKind, bool]:
    """The kind by status, codes and message together, and whether credit is missing.

    `status` None: the error came in a successful response without a status of its own.
    """
    if reply.filtered:
        return "content_filter", False
    if wants_credit(status, reply.codes, reply.words):
        return "auth", True
    by_code = kind_of_codes(reply.codes)
    if by_code and by_code != "server":  # hosts report anything as a server error
        return by_code, False
    if status == 402:  # the request costs more than what is left: see `wants_credit`
        return "bad_request", False
    if status in REFUSING and reply.param not in _ABOUT_THE_PROMPT:
        return "bad_request", False
    if status is None:
        return kind_of_words(reply.words, (*WORDS, *PASSING_WORDS)) or "server", False
    if status >= 500:
        by_words = kind_of_words(reply.words)
        return (by_words if by_words in _SAID_BY_500 else "server"), False
    by_words = kind_of_words(reply.words) if status in REFUSING else None
    return by_words or _STATUS.get(status, "bad_request"), False


_SAID_BY_500 = frozenset({"context_length", "rate_limited"})
_ABOUT_THE_PROMPT = frozenset({"", "messages", "prompt", "input", "model"})
_STATUS: dict[int, ErrorKind] = {
    401: "auth",
    403: "auth",
    404: "not_found",
    405: "not_found",
    407: "connection",  # of a proxy on the way
    408: "timeout",
    409: "server",
    410: "not_found",
    413: "context_length",
    424: "server",
    425: "server",
    498: "rate_limited",  # Groq's flexible tier
    429: "rate_limited",
}
_SENTENCES: dict[ErrorKind, str] = {
    "auth": "refused {key}",
    "not_found": "does not know this model or address",
    "rate_limited": "is rate-limiting requests",
    "bad_reply": "sent an unusable reply",
    "bad_request": "rejected a parameter of the request",
    "connection": "cannot be reached",
    "server": "failed",
    "timeout": "gave up waiting",
    "content_filter": "declined the prompt by its content filter",
    "context_length": "does not accept a prompt of this length",
}


def _plain(body: bytes) -> str:
    """The text of an error page, without markup."""
    text = body.decode("utf-8", "replace")
    return re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
