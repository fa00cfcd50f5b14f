"""How long a host asks not to be called, in every place and unit that hosts use."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT_S = 86_400.0

_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")
_RETRY = ("retry-after", "x-retry-after", "x-ratelimit-retry-after", "x-rate-limit-retry-after")
_RESETS = re.compile(
    r"(?:x-)?rate-?limit-reset(?:-[\w-]+)?$|(?:anthropic-|x-)?rate-?limit-[\w-]+-reset$"
)
"""`x-ratelimit-reset-requests` (OpenAI, Groq), `ratelimit-reset` (IETF draft),
`anthropic-ratelimit-tokens-reset`."""
_STRUCTURED = re.compile(r"[;,\s](?:t|reset)=(\d+)")
"""The time in IETF's `ratelimit: "default";r=0;t=30` and in the older `limit=9, reset=30`."""
_BODY_SECONDS = frozenset(
    {
        "retrydelay",  # google.rpc.RetryInfo
        "retryafter",
        "retryafters",
        "retryafterseconds",
        "retryafterminutes",
        "retryafterms",
        "retryin",
        "retryinseconds",
        "resetin",
        "resetsin",
        "resetsinseconds",
        "resetafter",
        "reset",
        "wait",
        "waittime",
        "waitseconds",
        "cooldown",
        "cooldownseconds",
        "estimatedtime",  # Hugging Face, while a model loads
        "retryat",
        "resetat",
        "resetsat",
        "resettime",
        "availableat",
        "xratelimitreset",
    }
)
"""Members by their names without separators; the unit is seconds unless the name ends in another.
Numbers too large for a wait are instants: see `_EPOCH_S`."""
_UNITS = {
    "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "millisecond": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0,
    "d": 86_400.0, "day": 86_400.0,
}  # fmt: skip
_NUMBER = r"\d+(?:\.\d+)?"
_UNIT = (
    r"(?:milliseconds?|ms|µs|us|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|[smhd])(?![a-zA-Z])"
)
_PART = re.compile(rf"({_NUMBER})\s*({_UNIT})", re.IGNORECASE)
_DURATION = rf"(?:{_NUMBER}\s*{_UNIT}[\s,]*(?:and\s+)?)+"
_CLOCK = r"\d+:[0-5]\d:[0-5]\d(?:\.\d+)?"
_ISO = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", re.IGNORECASE)
_SAID = re.compile(
    r"(?:again|retry(?:ing)?|retry[\W_]?(?:delay|after)|wait(?:ing)?|resets?|available|allowed"
    r"|come back|cooldown|blocked for)\b"
    rf"[^.\d]{{0,40}}?({_CLOCK}|{_DURATION}|\b(?:an?|one)\s+(?:second|minute|hour|day)\b)",
    re.IGNORECASE,
)
_SAID_BEFORE = re.compile(
    rf"\b(?:in|after)\s+({_DURATION})\W*(?:please\W+)?(?:try|retry)", re.IGNORECASE
)
_SAID_BARE = re.compile(
    rf"\bretry[\W_]?after\b[\s:=]{{1,3}}({_NUMBER})\s*(?:$|[.;,)])", re.IGNORECASE
)
"""A number of seconds without a unit."""
_SAID_AT = re.compile(
    r"(?:again|retry|resets?|until|after|available)\b[^.\d]{0,20}"
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)",
    re.IGNORECASE,
)
_EPOCH_S, _EPOCH_MS = 1e9, 1e12
"""Numbers from here on are instants, not waits: in seconds, in milliseconds."""


def asked_in_headers(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by `retry-after-ms` or `Retry-After`; None if neither is present.

    A date is compared with the server's own `Date`, so that a wrong clock here does not matter.
    """
    for name in _MILLISECONDS:
        if (given := headers.get(name)) is not None and (ms := _number(given)) is not None:
            return _bounded(ms / 1000)
    waits = (_seconds(headers[name], _now(headers)) for name in _RETRY if name in headers)
    return _bounded(next((wait for wait in waits if wait is not None), None))


def reset_in_headers(headers: Mapping[str, str]) -> float | None:
    """Seconds until the limit that refused a call is reset.

    If several limits are named, the last one to reset among those with nothing left counts; if none
    says how much is left, the nearest.
    """
    now = _now(headers)
    used_up: list[float] = []
    others: list[float] = []
    for name, value in headers.items():
        if not _RESETS.match(name.lower()) or (wait := _seconds(value, now)) is None:
            continue
        (used_up if _nothing_left(headers, name.lower()) else others).append(wait)
    if (said := _STRUCTURED.search(headers.get("ratelimit", ""))) is not None:
        others.append(float(said[1]))
    if used_up:
        return _bounded(max(used_up))
    return _bounded(min(others)) if others else None


def asked_in_body(error: object, headers: Mapping[str, str] | None = None) -> float | None:
    """Seconds to wait by a member of the error object, at any depth."""
    now = _now(headers or {})
    for name, value in _members(error, 0):
        key = re.sub(r"[\W_]+", "", name.lower())
        if key not in _BODY_SECONDS:
            continue
        wait = _protobuf(value) if isinstance(value, dict) else _seconds(str(value), now)
        if wait is not None and key.endswith(("ms", "minutes")):
            wait *= 60 if key.endswith("minutes") else 1e-3
        if wait is not None:
            return _bounded(wait)
    return None


def asked_in_words(words: str, headers: Mapping[str, str] | None = None) -> float | None:
    """Seconds to wait by the message: `try again in 1m27.66s`, `retry after 59 seconds`."""
    if match := _SAID.search(words) or _SAID_BEFORE.search(words):
        return _bounded(_duration(match[1]))
    if match := _SAID_AT.search(words):
        return _bounded(_seconds(match[1], _now(headers or {})))
    if match := _SAID_BARE.search(words):
        return _bounded(_number(match[1]))
    return None


def _seconds(given: str, now: float) -> float | None:
    """A wait from a number, a duration with units, an instant in seconds or milliseconds since
    1970, an ISO or an HTTP date."""
    text = given.strip().strip('"')
    if (number := _number(text)) is not None:
        if number >= _EPOCH_MS:
            return number / 1000 - now
        return number - now if number >= _EPOCH_S else number
    if (duration := _duration(text)) is not None:
        return duration
    try:
        return datetime.fromisoformat(text).timestamp() - now
    except (ValueError, OverflowError):
        pass
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None


def _duration(text: str) -> float | None:
    """`7m12s`, `1.5 s`, `2 minutes and 5 seconds`, `an hour`, `00:01:30`, `PT90S` in seconds."""
    if re.fullmatch(_CLOCK, text.strip()):
        hours, minutes, seconds = map(float, text.split(":"))
        return 3600 * hours + 60 * minutes + seconds
    if (iso := _ISO.fullmatch(text.strip())) and any(iso.groups()):
        sizes = (86_400, 3600, 60, 1)
        return sum(float(n or 0) * size for n, size in zip(iso.groups(), sizes, strict=True))
    text = re.sub(r"^(?:an?|one)\s+", "1 ", text.strip(), flags=re.IGNORECASE)
    if not re.fullmatch(_DURATION, text.strip(), re.IGNORECASE):
        return None
    parts = _PART.findall(text)
    return sum(float(number) * _UNITS[_unit(unit)] for number, unit in parts)


def _unit(word: str) -> str:
    lower = word.lower()
    return lower if lower in _UNITS else lower.rstrip("s")


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(rf"\s*{_NUMBER}\s*", text) else None


def _protobuf(duration: dict[str, object]) -> float | None:
    """`google.protobuf.Duration` written as an object."""
    seconds, nanos = duration.get("seconds", 0), duration.get("nanos", 0)
    whole, rest = _number(str(seconds)), _number(str(nanos))
    return None if whole is None or rest is None else whole + rest / 1e9


def _members(value: object, depth: int) -> Iterable[tuple[str, object]]:
    if depth > 6:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield str(name), inner
            yield from _members(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value[:20]:
            yield from _members(inner, depth + 1)


def _nothing_left(headers: Mapping[str, str], name: str) -> bool:
    left = headers.get(name.replace("reset", "remaining"))
    return left is not None and _number(left) == 0


def _now(headers: Mapping[str, str]) -> float:
    """Seconds since 1970 by the server's clock, else by ours."""
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return time.time()


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None else min(max(0.0, seconds), LONGEST_WAIT_S)
