"""What the ranking learns from: the attempts of the log, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple


class Observation(NamedTuple):
    """One attempt. Sorts by (at, request_id, seq), which is the order of the fold."""

    at: float  # Unix time in seconds when the attempt started
    request_id: str
    seq: int
    category: str
    provider: str
    role: str = "primary"
    outcome: str = "ok"
    error: str | None = None
    ttft_ms: float | None = None
    latency_ms: float | None = None
    cost_usd: float | None = None
    quality: float | None = None
    liked: bool | None = None
    propensity: float | None = None
    revision: int = 0


def observations(rows: Iterable[Mapping[str, Any]]) -> Iterator[Observation]:
    """The attempts of rows of the interactions log (`telemetry.records.InteractionRow`).

    What the caller said of an answer goes to the attempt that was served. A feedback that was
    withdrawn comes as None and replaces the one before.
    """
    for row in rows:
        liked = row.get("liked")
        for attempt in row.get("attempts") or ():
            get = attempt.get
            yield Observation(
                at=get("at") if get("at") is not None else row["at"],
                request_id=row["request_id"],
                seq=get("seq") or 0,
                category=get("category") or row.get("category") or "",
                provider=get("provider") or "",
                role=get("role") or "primary",
                outcome=get("outcome") or "failed",
                error=get("error"),
                ttft_ms=get("ttft_ms"),
                latency_ms=get("latency_ms"),
                cost_usd=get("cost_usd"),
                quality=get("quality"),
                liked=liked if get("served") else None,
                propensity=get("propensity"),
                revision=get("revision") or 0,
            )
