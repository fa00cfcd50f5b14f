"""From means and variances to an order and to the probability of being best.

A belief about a provider's reward is a mixture of normals. Where a part of the reward may or may
not have changed its state (see `routing.ranking.evidence`), one normal would put most of its mass
between the two, where the reward is for certain not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import erf, exp, pi, sqrt

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.arm import Arm

Belief = tuple[tuple[float, float, float], ...]
"""Weight, mean and variance of each component; the weights add up to 1."""

LEAST_VARIANCE = 1e-8


def belief(arm: Arm, weights: Ranking, count: int) -> Belief:
    """Two components where one part's two states are further apart than all the rest is unsure."""
    whole = arm.value(weights, count)
    single = ((1.0, whole.mean, max(whole.variance, LEAST_VARIANCE)),)
    if not arm.n:
        return single
    usual, apart = _doubt(arm, weights, count)
    within = whole.variance - usual * (1.0 - usual) * apart**2
    if apart**2 <= max(within, LEAST_VARIANCE):
        return single
    within = max(within, LEAST_VARIANCE)
    return (
        (usual, whole.mean + (1.0 - usual) * apart, within),
        (1.0 - usual, whole.mean - usual * apart, within),
    )


def _doubt(arm: Arm, weights: Ranking, count: int) -> tuple[float, float]:
    """Of the part whose state is the least certain: its probability to be as usual, and by how
    much the reward is better then."""
    success, quality, liked, latency, cost = (part.mean for part in arm.parts(weights, count))
    liking = reward.liking(liked, weights)
    share = arm.weight / (arm.weight + arm.prior.weight)
    worth = max(0.0, quality * liking - latency - cost)
    found, widest = (1.0, 0.0), 0.0
    for trace, slope in (
        (arm.success, worth),
        (arm.quality, success * liking),
        (arm.liking, success * quality * weights.feedback_weight),
        (arm.latency, -success),
        (arm.cost, -success),
    ):
        if trace.seen:
            usual, apart = trace.chance(count), share * slope * (trace.mean - trace.fast)
            width = usual * (1.0 - usual) * apart**2
            if width > widest:
                found, widest = (usual, apart), width
    return found


LEAST_MARGIN = 0.25

POINTS = 24
REACH = 3.5
"""Standard deviations that the integral covers on either side."""


def best_probabilities(beliefs: Sequence[Belief]) -> list[float]:
    """For independent beliefs, each a mixture of normals, the probability that each is the largest.

    P(i best) = ∫ p_i(x) ∏_{j≠i} P_j(x) dx, by the midpoint rule over each component's own range.
    """
    likely = _likely(beliefs)
    found = dict.fromkeys(range(len(beliefs)), 0.0)
    if len(likely) == 1:
        return list((found | {likely[0]: 1.0}).values())
    parts = {
        i: [
            (weight, mean, sqrt(variance) * _ROOT2 or 1e-6) for weight, mean, variance in beliefs[i]
        ]
        for i in likely
    }
    for i in likely:
        others = [parts[j] for j in likely if j != i]
        for share, mean, deviation in parts[i]:
            for weight, z in _NODES:
                x = mean + z * deviation / _ROOT2
                product = share * weight
                for other in others:
                    below = 0.0
                    for part, middle, width in other:
                        below += part * (1.0 + erf((x - middle) / width))
                    product *= 0.5 * below
                    if product < 1e-9:
                        break
                found[i] += product
    whole = sum(found.values()) or 1.0
    return [chance / whole for chance in found.values()]


def expected_gain(other: Belief, first: Belief) -> float:
    """How much better it may be expected to do where it is better: E[max(0, other - first)].

    For independent mixtures of normals; of two components at a distance d with the standard
    deviation s of their difference it is s φ(d/s) + d Φ(d/s).
    """
    gain = 0.0
    for weight, mean, variance in other:
        for share, level, spread in first:
            apart, deviation = mean - level, sqrt(variance + spread)
            z = apart / deviation
            better = 0.5 * (1.0 + erf(z / _ROOT2))
            gain += weight * share * (deviation * exp(-z * z / 2) / _ROOT2PI + apart * better)
    return max(0.0, gain)


def _likely(beliefs: Sequence[Belief]) -> list[int]:
    """Those that are not beaten by the best for certain; the others would only cost time."""
    reach = [
        (
            min(mean - 4 * sqrt(variance) for _, mean, variance in belief),
            max(mean + 4 * sqrt(variance) for _, mean, variance in belief),
        )
        for belief in beliefs
    ]
    least = max((low for low, _ in reach), default=0.0)
    return [i for i, (_, high) in enumerate(reach) if high >= least]


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
_ROOT2PI = sqrt(2.0 * pi)


def _nodes() -> list[tuple[float, float]]:
    step = 2 * REACH / POINTS
    places = [-REACH + (k + 0.5) * step for k in range(POINTS)]
    total = sum(exp(-z * z / 2) for z in places)
    return [(exp(-z * z / 2) / total, z) for z in places]


_NODES = _nodes()
