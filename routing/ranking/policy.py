"""From means and variances to an order, and to whom to ask.

A belief about a provider's reward is a mixture of normals. Where a part of the reward may or may
not have changed its state (see `routing.ranking.evidence`), one normal would put most of its mass
between the two, where the reward is for certain not.

The order moves by evidence alone; whom to ask is drawn, so that a better model is used before the
order is sure of it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import exp, pi, sqrt
from statistics import NormalDist

import numpy as np

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.arm import Arm
from routing.ranking.evidence import TINY, Trace

Array = np.ndarray

Belief = tuple[tuple[float, float, float], ...]
"""Weight, mean and variance of each component; the weights add up to 1."""


def belief(arm: Arm, weights: Ranking, count: int) -> Belief:
    """Two components where one part's two states are further apart than all the rest is unsure."""
    whole = arm.value(weights, count)
    single = ((1.0, whole.mean, max(whole.variance, TINY)),)
    if not arm.n:
        return single
    usual, apart = _doubt(arm, weights, count)
    within = whole.variance - usual * (1.0 - usual) * apart**2
    if apart**2 <= max(within, TINY):
        return single
    within = max(within, TINY)
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

POINTS = len(NODES) ** 2
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
        np.maximum(_below(0.5 * (places[1:] + places[:-1]), weight, mean, deviation), TINY)
    )
    others = np.exp(middle.sum(0) - middle)
    found = (np.diff(below, axis=1) * others).sum(1)
    whole = float(found.sum())
    return [float(chance) / whole if whole > 0.0 else 1.0 / len(beliefs) for chance in found]


_NONE = (0.0, 0.0, TINY)


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
    answered: Container[str] = (),
) -> tuple[str, ...]:
    """The new order: one moves ahead of another only if it is better by enough.

    Enough is what chance alone gives one of n once in `looks` times, by the standard error of the
    one that moves up, and the margin at least: whom to ask meanwhile is for exploration to find
    out, which does not wait for the order. Behind the first place both errors count, and all pairs.
    From the first place on, the one that held it stays unless the best of the rest beats it.
    Those that `answered` need only the margin for the first place: it is held by one that has
    failed and never answered.
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
            if settled:
                moves = moves and ahead > errors * sqrt(known(best) + known(first))
            elif best in answered:
                moves = ahead > margin
            settled[best if moves else first] = None
            errors = _errors(looks * len(order) ** 2)
    return tuple(settled)


@cache
def _errors(times: float) -> float:
    """Standard errors that a difference exceeds by chance once in so many times."""
    return NormalDist().inv_cdf(1.0 - 1.0 / times)


_ROOT2PI = sqrt(2.0 * pi)


DIFFERENCE = 0.05
"""Standard deviation of the difference between two that are not alike. A larger one stays with the
declared first for longer while others seem as good, and with a wrong first after a drift."""


@dataclass(slots=True)
class Served:
    """What is drawn from: the state at the last rerank, by provider."""

    order: tuple[str, ...]
    means: dict[str, float]
    costs: dict[str, float]
    """Share of the most that a price can take off the reward, in [0, 1]."""
    beliefs: dict[str, Belief]
    changed: dict[str, float]
    """The probability of each to be another one by now, of which nothing is known."""
    reranks: int
    answers: int
    """In all categories so far."""
    _shares: dict[tuple[str, ...], dict[str, float]] = field(default_factory=dict)

    def shares(self, ranked: Sequence[str]) -> Mapping[str, float]:
        """How much each one but the first deserves to be asked instead of the first, in [0, 1].

        The probability that two draws of who is best agree on it, of those that agree, times the
        probability that it is not as good as the same as the first. One that changed since it was
        last heard of is as likely to be the best as any: so the least that is explored goes round,
        and not always to the second best.
        """
        key = tuple(ranked)
        if key not in self._shares:
            best = best_probabilities([self.beliefs[name] for name in key])
            best = [
                chance + self.changed[name] * (1.0 / len(key) - chance)
                for name, chance in zip(key, best, strict=True)
            ]
            agree = [max(chance**2, TINY) for chance in best]
            whole, first = sum(agree), self.beliefs[key[0]]
            self._shares[key] = {
                name: chance / whole * differs(self.beliefs[name], first, len(key))
                for name, chance in zip(key[1:], agree[1:], strict=True)
            }
        return self._shares[key]


def differs(one: Belief, other: Belief, among: int) -> float:
    """The probability that two are not alike, where one of so many pairs is alike beforehand.

    The Bayes factor of a point hypothesis (Berger and Sellke, Testing a Point Null Hypothesis,
    1987): the difference that was found, with its error, against one that is normal with
    the deviation `DIFFERENCE`.
    """
    (mean, unsure), (level, spread) = moments(one), moments(other)
    error, apart = unsure + spread, mean - level
    wide = error + DIFFERENCE**2
    alike = sqrt(wide / error) * exp(-0.5 * apart**2 * (1.0 / error - 1.0 / wide)) / (among - 1)
    return 1.0 / (1.0 + alike)


def chances(served: Served, ranked: Sequence[str], config: Ranking) -> dict[str, float]:
    """The probability of each to be asked; the first of `ranked` is the one to exploit.

    Each of the others has its share, but all of them together no more than the ceiling and no less
    than `explore_min`.
    """
    first = ranked[0]
    if len(ranked) == 1:
        return {first: 1.0}
    shares = served.shares(ranked)
    whole = sum(shares.values())
    explore = min(max(whole, config.explore_min), ceiling(served, config))
    return {first: 1.0 - explore} | {n: explore * s / whole for n, s in shares.items()}


def ceiling(served: Served, config: Ranking) -> float:
    """How much may be explored: at first little, for somebody declared the order."""
    return config.explore_max * min(1.0, (1.0 + served.answers) / (1.0 + config.tried))


def draw(chances: Mapping[str, float], rng_value: float) -> str:
    """The name in whose share of [0, 1) the number falls."""
    name, reached = "", 0.0
    for name, chance in chances.items():
        reached += chance
        if rng_value < reached:
            return name
    return name
