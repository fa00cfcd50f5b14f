"""What if: how requests would have fared under other settings of the ranking, from the log alone.

Clipped, self-normalised inverse propensity scoring (Swaminathan and Joachims, The Self-Normalized
Estimator for Counterfactual Learning, 2015): each logged request counts by the probability with
which the other settings would have asked the same provider, over the probability with which it was
asked. Errors are taken over conversations, whose turns are alike. What the other settings would
have learned from answers that nobody gave is not known; they learn from the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np

from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation

CLIP = 20.0
"""No request counts more often than this: a small bias for a bounded variance."""

ENOUGH = 50.0
"""Effective conversations (Kish, Survey Sampling, 1965) below which nothing is said."""

Z95 = 1.96


class Interval(NamedTuple):
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scored:
    """One request: how it went, and how much likelier the other settings would have asked so."""

    conversation: str
    weight: float
    success: float
    cost_usd: float | None
    ttft_s: float | None


class Outcome(NamedTuple):
    """Means a request; None where there is not enough data."""

    success: Interval | None
    cost_usd: Interval | None
    ttft_s: Interval | None
    effective: float
    """Conversations that the weighted ones are worth."""


def scored(ranking: Ranking, requests: Iterable[tuple[str, Sequence[Observation]]]) -> list[Scored]:
    """Fold the requests, each with its conversation, in their order into a ranking with the other
    settings, and score each by what that ranking knew before.

    A request whose provider was not drawn (a named provider, a conversation that stayed) says
    nothing of another draw and is left out.
    """
    found = []
    for conversation, attempts in requests:
        first = next((seen for seen in attempts if seen.role == "primary"), None)
        if first is not None and first.propensity and first.outcome != "skipped":
            chance = ranking.chances(first.category).get(first.provider, 0.0)
            found.append(
                Scored(
                    conversation,
                    min(CLIP, chance / first.propensity),
                    float(first.outcome == "ok"),
                    first.cost_usd,
                    None if first.ttft_ms is None else first.ttft_ms / 1_000,
                )
            )
        ranking.fold(attempts)
        ranking.settle()
    return found


def outcome(rows: Sequence[Scored]) -> Outcome:
    """What the rows come to under the other settings."""
    totals: dict[str, float] = {}
    for row in rows:
        totals[row.conversation] = totals.get(row.conversation, 0.0) + row.weight
    whole, squares = sum(totals.values()), sum(total**2 for total in totals.values())
    effective = whole**2 / squares if squares else 0.0
    if effective < ENOUGH:
        return Outcome(None, None, None, effective)
    return Outcome(
        _interval([(row, row.success) for row in rows]),
        _interval([(row, row.cost_usd) for row in rows if row.cost_usd is not None]),
        _interval([(row, row.ttft_s) for row in rows if row.ttft_s is not None]),
        effective,
    )


def _interval(rows: Sequence[tuple[Scored, float | None]]) -> Interval | None:
    """The weighted mean; its error by linearisation over the conversations."""
    weights = np.array([row.weight for row, _ in rows])
    values = np.array([value for _, value in rows], dtype=float)
    whole = float(weights.sum())
    if whole <= 0.0:
        return None
    mean = float((weights * values).sum()) / whole
    names = {name: n for n, name in enumerate(dict.fromkeys(row.conversation for row, _ in rows))}
    off = np.zeros(len(names))
    np.add.at(off, [names[row.conversation] for row, _ in rows], weights * (values - mean))
    half = Z95 * sqrt(float((off**2).sum())) / whole
    return Interval(mean, mean - half, mean + half)
