"""Whom to ask: the first of the order, or another as often as that may be expected to pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, sqrt

from config.models import Ranking
from routing.ranking.evidence import TRIED
from routing.ranking.posterior import Belief, best_probabilities, moments

SHARPER = 0.5
"""Factor on the standard deviations that are drawn from: Thompson sampling explores for longer than
some thousand requests pay back."""

DIFFERENCE = 0.05
"""Standard deviation of the difference between two that are not alike. A larger one stays with the
declared first for longer while others seem as good, and with a wrong first after a drift."""

HOPELESS = 1e-4
"""The least probability of being the best: no provider is forgotten for good."""


@dataclass(slots=True)
class Served:
    """What is drawn from: the state at the last rerank, by provider."""

    order: tuple[str, ...]
    means: dict[str, float]
    costs: dict[str, float]
    """Share of the most that a price can take off the reward, in [0, 1]."""
    beliefs: dict[str, Belief]
    reranks: int
    answers: int
    """In all categories so far."""
    _shares: dict[tuple[str, ...], dict[str, float]] = field(default_factory=dict)

    def shares(self, ranked: Sequence[str]) -> Mapping[str, float]:
        """How much each one but the first deserves to be asked instead of the first, in [0, 1].

        The probability that it is the best of these, by beliefs that are taken for sharper than
        they are, times the probability that it is not as good as the same as the first.
        """
        key = tuple(ranked)
        if key not in self._shares:
            best = best_probabilities([_sharper(self.beliefs[name]) for name in key])
            first = self.beliefs[key[0]]
            self._shares[key] = {
                name: max(chance, HOPELESS) * differs(self.beliefs[name], first, len(key))
                for name, chance in zip(key[1:], best[1:], strict=True)
            }
        return self._shares[key]


def _sharper(belief: Belief) -> Belief:
    return tuple((weight, mean, SHARPER**2 * variance) for weight, mean, variance in belief)


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
    known = min(1.0, served.answers / TRIED)
    return config.explore_max * (0.2 + 0.8 * known)


def draw(chances: Mapping[str, float], rng_value: float) -> str:
    """The name in whose share of [0, 1) the number falls."""
    name, reached = "", 0.0
    for name, chance in chances.items():
        reached += chance
        if rng_value < reached:
            return name
    return name
