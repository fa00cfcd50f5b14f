"""From means and variances to an order and to the probability of being best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import erf, exp, sqrt

from routing.evidence import Estimate

LEAST_MARGIN = 0.25

POINTS = 24
REACH = 3.5
"""Standard deviations that the integral covers on either side."""


def best_probabilities(posteriors: Sequence[Estimate]) -> list[float]:
    """For independent normal posteriors, the probability that each is the largest.

    P(i best) = ∫ φ_i(x) ∏_{j≠i} Φ_j(x) dx, by the midpoint rule over each one's own range.
    """
    likely = _likely(posteriors)
    if len(likely) < len(posteriors):
        chances = best_probabilities([posteriors[i] for i in likely])
        found = dict(zip(likely, chances, strict=True))
        return [found.get(i, 0.0) for i in range(len(posteriors))]
    if len(posteriors) == 1:
        return [1.0]
    means = [p.mean for p in posteriors]
    deviations = [max(sqrt(p.variance), 1e-6) for p in posteriors]
    chances = []
    for i, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
        total = 0.0
        for weight, z in _NODES:
            x = mean + z * deviation
            product = weight
            for j, other in enumerate(means):
                if j != i:
                    product *= 0.5 + 0.5 * erf((x - other) / (deviations[j] * _ROOT2))
                    if product < 1e-9:
                        break
            total += product
        chances.append(total)
    whole = sum(chances) or 1.0
    return [chance / whole for chance in chances]


def _likely(posteriors: Sequence[Estimate]) -> list[int]:
    """Those that are not beaten by the best for certain; the others would only cost time."""
    top = max(posteriors)
    return [
        i
        for i, p in enumerate(posteriors)
        if p is top or top.mean - p.mean < 4 * sqrt(top.variance + p.variance)
    ]


def settle(
    order: Sequence[str],
    means: Mapping[str, float],
    variance: Callable[[str], float],
    margin: float,
) -> tuple[str, ...]:
    """The new order: one moves ahead of another only if it is better by enough.

    Enough is the margin, or less where both are known well: the standard error of the
    difference, but a quarter of the margin at least. From the first place on, the one that held
    it stays unless the best of the rest beats it.
    """
    least = LEAST_MARGIN * margin
    best_behind = -1.0
    for name in reversed(order):  # nearly always nothing moves, and that is quickly seen
        mean = means[name]
        if best_behind > mean + least:
            break
        if mean > best_behind:
            best_behind = mean
    else:
        return tuple(order)
    settled: dict[str, None] = {}
    by_mean = iter(sorted(order, key=means.__getitem__, reverse=True))
    best = next(by_mean)
    for first in order:
        while first not in settled:
            while best in settled:
                best = next(by_mean)
            ahead = means[best] - means[first]
            moves = ahead > margin or (
                ahead > least and ahead > sqrt(variance(best) + variance(first))
            )
            settled[best if moves else first] = None
    return tuple(settled)


_ROOT2 = sqrt(2.0)


def _nodes() -> list[tuple[float, float]]:
    step = 2 * REACH / POINTS
    places = [-REACH + (k + 0.5) * step for k in range(POINTS)]
    total = sum(exp(-z * z / 2) for z in places)
    return [(exp(-z * z / 2) / total, z) for z in places]


_NODES = _nodes()
