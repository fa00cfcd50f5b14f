"""The log as files that other programs read."""

from __future__ import annotations

import csv as comma
import io
import json
from collections.abc import Iterable
from typing import Any

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
)
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


def jsonl(rows: Iterable[InteractionRow]) -> str:
    """One request a line with its attempts, as `--log` prints them."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def csv(rows: Iterable[InteractionRow]) -> str:
    """One attempt a line, the request's own columns first; a request without one has its line."""
    out = io.StringIO()
    writer = comma.writer(out)
    writer.writerow([*REQUEST, *(f"attempt_{name}" for name in ATTEMPT)])
    for row in rows:
        own: dict[str, Any] = dict(row)
        for attempt in row.get("attempts") or [{}]:
            told: dict[str, Any] = dict(attempt)
            cells = [own.get(name) for name in REQUEST] + [told.get(name) for name in ATTEMPT]
            writer.writerow([_cell(value) for value in cells])
    return out.getvalue()


def _cell(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is kept from being one."""
    if isinstance(value, str) and value[:1] in "=+-@\t\r":
        return f"'{value}"
    return value
