"""A request from the log, as the events that it once was; the log keeps no tokens' instants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

from race.events import Event
from telemetry.records import AttemptRow, InteractionRow
from ui.display import Asked
from ui.view import total
from ui.wording import say

NOT_KEPT = say("replay.the_log_of")


def asked(row: InteractionRow) -> Asked:
    """What the caller had sent, as far as the log knows."""
    prompt = row.get("prompt")
    return {"prompt": prompt or NOT_KEPT, "prompt_hash": row.get("prompt_hash")}


def cost_of(row: InteractionRow) -> float | None:
    """All calls together: what a late one cost is known to its own row alone."""
    calls = [a for a in row.get("attempts") or [] if a["outcome"] != "skipped"]
    known = row.get("cost_usd")
    return total(a.get("cost_usd") for a in calls) if known is None and calls else known


def events(row: InteractionRow) -> list[Event]:
    """The events in their order; an instant that the log does not hold is its neighbour's.

    They lack what the log does not keep, and what the view can do without.
    """
    plain: InteractionRow = json.loads(json.dumps(row))  # the database's keys are no plain strings
    stamped = [{"request_id": plain["request_id"], **event} for event in _events(plain)]
    return sorted(cast(list[Event], stamped), key=lambda event: event["at_ms"])


Kept = dict[str, object]
"""An event as far as the log has it."""


def _events(row: InteractionRow) -> Iterator[Kept]:
    attempts = row.get("attempts") or []
    end = row["latency_ms"]
    begun = min((a["started_ms"] for a in attempts if a.get("started_ms") is not None), default=end)
    evidence = dict(row.get("evidence") or {})
    route = {
        "category": row["category"],
        "confidence": row.get("confidence") or 0.0,
        "probabilities": evidence.pop("probabilities", {}),
        "evidence": evidence,
        "order": [a["provider"] for a in attempts if a["role"] == "primary"],
        "preferred": row.get("preferred"),
    }
    yield _node(0.0, "classify", "started")
    yield {"type": "classified", "at_ms": begun, **route}
    yield _node(begun, "classify", "ended", route)
    for side in ("primary", "fallback"):
        yield _node(begun, side, "started")
    for attempt in attempts:
        yield from _attempt(attempt, end)
    yield from _switched(row, end)
    for side in ("primary", "fallback"):
        mine = [a for a in attempts if a["role"] == side]
        yield _node(end, side, "ended", _branch(mine, row))
    yield _node(end, "join", "started")
    answer = _answer(row)
    yield _node(end, "join", "ended", {**answer, "attempts": len(attempts)})
    yield _node(end, "log", "started")
    yield {"type": "logged", "at_ms": end, "ok": True}
    yield _node(end, "log", "ended", output=True)
    yield {"type": "answered", "at_ms": end, "answer": {**answer, "attempts": attempts}}


def _attempt(row: AttemptRow, end: float) -> Iterator[Kept]:
    start, first, whole = row.get("started_ms") or 0.0, row.get("ttft_ms"), row.get("latency_ms")
    call = {key: row.get(key) for key in ("seq", "provider", "model", "host", "role")}
    if row["outcome"] == "skipped":
        yield {"type": "attempt_ended", "at_ms": start, **row}
        return
    yield {"type": "attempt_started", "at_ms": start, **call}
    if first is not None and start + first <= end:
        yield {"type": "first_token", "at_ms": start + first, **call}
    if row.get("served") and row.get("text") and first is not None:
        yield {"type": "token", "at_ms": start + first, "text": row["text"], **call}
    stop = end if whole is None else min(start + whole, end)
    yield {"type": "attempt_ended", "at_ms": stop, **row}


def _switched(row: InteractionRow, end: float) -> Iterator[Kept]:
    """When the fallback spoke; why is the row's own `reason`, which comes with the answer."""
    if row.get("role") != "fallback":
        return
    first = row.get("ttft_ms")
    at_ms = end if first is None else min(first, end)
    switch = {"to": "fallback", "provider": row.get("winner"), "reason": "", "discard": 0}
    yield {"type": "switched", "at_ms": at_ms, **switch}


def _branch(attempts: list[AttemptRow], row: InteractionRow) -> dict[str, object]:
    if not attempts:
        return {"outcome": "skipped", "provider": None}
    last = attempts[-1]
    return {
        **{key: last.get(key) for key in ("provider", "model", "outcome", "error", "detail")},
        "text": last.get("text") or (row.get("answer") if last.get("served") else None) or "",
        "attempts": attempts,
    }


def _answer(row: InteractionRow) -> Kept:
    attempts = row.get("attempts") or []
    keep = ("request_id", "category", "confidence", "role", "success", "latency_ms", "ttft_ms")
    return {
        **{key: row.get(key) for key in (*keep, "error")},
        "why": row.get("reason"),
        "stopped": bool(row.get("stopped")),
        "finish_reason": next((a.get("finish_reason") for a in attempts if a.get("served")), None),
        "cost_usd": cost_of(row),
        "text": row.get("answer") or "",
        "provider": row.get("winner"),
        "tools": row.get("tools") or [],
    }


def _node(at_ms: float, name: str, phase: str, output: object = None) -> Kept:
    return {"type": "node", "at_ms": at_ms, "name": name, "phase": phase, "output": output}
