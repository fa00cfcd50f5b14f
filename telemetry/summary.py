"""Statistics over rows of the log, for the page and for tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from routing.ranking.evidence import percentile
from telemetry.records import AttemptRow, InteractionRow

ASKED = frozenset({"ok", "failed", "timed_out", "late"})
"""Outcomes of completed calls; a cancelled or skipped one says nothing about success."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One provider's statistics in one category. `cost_usd` is None if no call's cost is known."""

    provider: str
    category: str
    n: int
    success: float | None
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    cost_usd: float | None
    cost_unknown: int
    """Calls of unknown cost, which the sum leaves out."""


@dataclass(slots=True)
class _Tally:
    asked: int = 0
    ok: int = 0
    ttfts: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    unknown: int = 0

    def add(self, attempt: AttemptRow) -> None:
        outcome = attempt.get("outcome")
        if outcome == "skipped":
            return
        if outcome in ASKED:
            self.asked += 1
            self.ok += outcome == "ok"
        if (ttft_ms := attempt.get("ttft_ms")) is not None:
            self.ttfts.append(ttft_ms)
        if (cost_usd := attempt.get("cost_usd")) is not None:
            self.costs.append(cost_usd)
        else:
            self.unknown += 1


def figures(rows: Iterable[InteractionRow]) -> list[Figures]:
    """One entry for each category and provider, sorted by both; providers that were only skipped
    have none."""
    tallies: dict[tuple[str, str], _Tally] = {}
    for row in rows:
        for attempt in row.get("attempts") or ():
            if attempt.get("outcome") != "skipped":
                category = attempt.get("category") or row.get("category") or ""
                tallies.setdefault((category, attempt["provider"]), _Tally()).add(attempt)
    return [_figures(*key, tally) for key, tally in sorted(tallies.items())]


def _figures(category: str, provider: str, tally: _Tally) -> Figures:
    return Figures(
        provider=provider,
        category=category,
        n=tally.asked,
        success=tally.ok / tally.asked if tally.asked else None,
        ttft_p50_ms=percentile(tally.ttfts, 0.5),
        ttft_p95_ms=percentile(tally.ttfts, 0.95),
        cost_usd=sum(tally.costs) if tally.costs else None,
        cost_unknown=tally.unknown,
    )
