"""The log as files that other programs read."""

from __future__ import annotations

import csv as comma
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TextIO

from telemetry.records import InteractionRow

REQUEST = (
    "request_id",
    "at",
    "category",
    "confidence",
    "preferred",
    "fallback_used",
    "winner",
    "role",
    "success",
    "latency_ms",
    "ttft_ms",
    "cost_usd",
    "liked",
    "prompt_hash",
    "error",
    "reason",
    "stopped",
    "time",
    "prompt",
    "answer",
)
"""`time` is `at` as people read it, in UTC; the texts are there with `log: {text: true}` alone."""
ATTEMPT = (
    "seq",
    "provider",
    "model",
    "host",
    "role",
    "outcome",
    "error",
    "served",
    "started_ms",
    "ttft_ms",
    "latency_ms",
    "tokens_in",
    "tokens_out",
    "cost_usd",
    "cost_estimated",
    "propensity",
    "revision",
)


_UNSEEN = (
    r"\s\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    r"\U000e0000-\U000e0fff\"'"
)
"""White space, quotes, control characters and what Unicode calls ignorable by default."""
_SIGNS = "\t\r\n=+\\-@|%−＝＋－＠﹦﹢﹣﹫"
_FORMULA = re.compile(f"[{_UNSEEN}]*[{_SIGNS}]")


def jsonl(rows: Iterable[InteractionRow], out: TextIO) -> None:
    """Write one request a line with its attempts, as `--log` prints them."""
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False) + "\n")


def csv(rows: Iterable[InteractionRow], out: TextIO) -> None:
    """Write one attempt a line, the request's own columns first; a request without one has its
    line."""
    writer = comma.writer(out)
    writer.writerow([*REQUEST, *(f"attempt_{name}" for name in ATTEMPT)])
    for row in rows:
        own: Mapping[str, object] = {**row, "time": _time(row["at"])}
        attempts: Sequence[Mapping[str, object]] = row.get("attempts") or [{}]
        for attempt in attempts:
            cells = [own.get(name) for name in REQUEST] + [attempt.get(name) for name in ATTEMPT]
            writer.writerow([_cell(value) for value in cells])


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula is kept from being one: it looks past
    spaces and what is not seen, and reads full-width signs as plain ones."""
    if isinstance(value, str) and _FORMULA.match(value):
        return f"'{value}"
    return value
