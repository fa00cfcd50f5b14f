"""From means and variances to an order and to the probability of being best.

A belief about a provider's reward is a mixture of normals. Where a part of the reward may or may
not have changed its state (see `routing.ranking.evidence`), one normal would put most of its mass
between the two, where the reward is for certain not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import pi, sqrt
from statistics import NormalDist

import numpy as np

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.arm import Arm
from routing.ranking.evidence import Trace

Array = np.ndarray

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

    def slower(trace: Trace, usual: float | None) -> float:
        by = reward.latency_share(trace.mean, None, reward.Usual(usual), weights)
        by -= reward.latency_share(trace.fast, None, reward.Usual(usual), weights)
        return by if usual is not None and not arm.pace.seen else 0.5 * by

    for trace, apart in (
        (arm.success, worth * (arm.success.mean - arm.success.fast)),
        (arm.quality, success * liking * (arm.quality.mean - arm.quality.fast)),
        (
            arm.liking,
            success * quality * weights.feedback_weight * (arm.liking.mean - arm.liking.fast),
        ),
        (arm.wait, -success * slower(arm.wait, arm.usual.wait)),
        (arm.pace, -success * slower(arm.pace, arm.usual.pace)),
        (arm.cost, -success * (arm.cost.mean - arm.cost.fast)),
    ):
        if trace.seen:
            usual, apart = trace.chance(count), share * apart
            width = usual * (1.0 - usual) * apart**2
            if width > widest:
                found, widest = (usual, apart), width
    return found


NODES = np.linspace(-3.5, 3.5, 15)
"""Standard deviations from the mean of each belief at which the integral looks."""

POINTS = 160
"""Of all these nodes, so many are kept, evenly by rank."""


def best_probabilities(beliefs: Sequence[Belief]) -> list[float]:
    """For independent beliefs, each a mixture of normals, the probability that each is the largest.

    P(i best) = ∫ p_i(x) ∏_{j≠i} P_j(x) dx, by the midpoint rule.
    """
    if len(beliefs) < 2:
        return [1.0] * len(beliefs)
    parts = np.array([belief if len(belief) == 2 else (*belief, _NONE) for belief in beliefs])
    weight, mean, deviation = parts[..., 0], parts[..., 1], np.sqrt(parts[..., 2])
    places = (mean[..., None] + deviation[..., None] * NODES).ravel()
    places.sort()
    if len(places) > POINTS:
        places = places[np.linspace(0, len(places) - 1, POINTS).astype(int)]
    below = _below(places, weight, mean, deviation)
    middle = np.log(
        np.maximum(_below(0.5 * (places[1:] + places[:-1]), weight, mean, deviation), 1e-300)
    )
    others = np.exp(middle.sum(0) - middle)
    found = (np.diff(below, axis=1) * others).sum(1)
    whole = float(found.sum())
    return [float(chance) / whole if whole > 0.0 else 1.0 / len(beliefs) for chance in found]


_NONE = (0.0, 0.0, 1e-12)


def _below(places: Array, weight: Array, mean: Array, deviation: Array) -> Array:
    """The distribution function of each belief at these places."""
    z = (places - mean[..., None]) / deviation[..., None]
    found: Array = (weight[..., None] * _normal(z)).sum(1)
    return found


def _normal(z: Array) -> Array:
    """The normal distribution function, within 1e-7 (Abramowitz and Stegun, 26.2.17)."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(z))
    tail = t * (
        0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))
    )
    tail *= np.exp(-0.5 * z * z) / _ROOT2PI
    found: Array = np.where(z > 0, 1.0 - tail, tail)
    return found


def moments(belief: Belief) -> tuple[float, float]:
    """Mean and variance of a mixture."""
    mean = sum(weight * level for weight, level, _ in belief)
    return mean, sum(w * (variance + (level - mean) ** 2) for w, level, variance in belief)


def settle(
    order: Sequence[str],
    means: Mapping[str, float],
    variance: Callable[[str], float],
    margin: float,
    looks: float,
) -> tuple[str, ...]:
    """The new order: one moves ahead of another only if it is better by enough.

    Enough is what chance alone gives one of n once in `looks` times, by the standard error of the
    one that moves up, and the margin at least: whom to ask meanwhile is for exploration to find
    out, which does not wait for the order. Behind the first place both errors count, and all pairs.
    From the first place on, the one that held it stays unless the best of the rest beats it.
    """
    best_behind = -1.0
    for name in reversed(order):  # nearly always nothing moves, and that is quickly seen
        mean = means[name]
        if best_behind > mean + margin:
            break
        if mean > best_behind:
            best_behind = mean
    else:
        return tuple(order)
    errors = _errors(
        looks * len(order)
    )  # of the first place; of the others there are more to compare
    settled: dict[str, None] = {}
    known = cache(variance)
    by_mean = iter(sorted(order, key=means.__getitem__, reverse=True))
    best = next(by_mean)
    for first in order:
        while first not in settled:
            while best in settled:
                best = next(by_mean)
            ahead = means[best] - means[first]
            moves = ahead > margin and ahead > errors * sqrt(known(best))
            if moves and settled:
                moves = ahead > errors * sqrt(known(best) + known(first))
            settled[best if moves else first] = None
            errors = _errors(looks * len(order) ** 2)
    return tuple(settled)


@cache
def _errors(times: float) -> float:
    """Standard errors that a difference exceeds by chance once in so many times."""
    return NormalDist().inv_cdf(1.0 - 1.0 / times)


_ROOT2PI = sqrt(2.0 * pi)
