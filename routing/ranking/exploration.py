"""Whom to ask: nearly always the first of the order, and now and then another, to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from config.models import Ranking
from routing.ranking.posterior import Belief, expected_gain

WORTHWHILE = 0.005
"""Reward that another one may be expected to gain, from which on more of it changes nothing: two
that are known to be nearly alike are not worth being told apart."""

LEAST = 0.005
"""Weight of a hopeless provider among those that may be explored: none is forgotten for good."""

SHARP = 2.0
"""Power of the probability of being best by which is explored."""

TRUSTED = 8.0
"""Answers of a category until which the order is believed more than what chance says of it."""


@dataclass(slots=True)
class Served:
    """What is drawn from: the state at the last rerank, by provider."""

    order: tuple[str, ...]
    means: dict[str, float]
    costs: dict[str, float]
    """Share of the most that a price can take off the reward, in [0, 1]."""
    p_best: dict[str, float]
    beliefs: dict[str, Belief]
    reranks: int
    count: int
    """Answers of the category so far."""
    _gains: dict[str, dict[str, float]] = field(default_factory=dict)

    def gains(self, first: str) -> Mapping[str, float]:
        """What each may be expected to earn beyond the first, where it does."""
        if first not in self._gains:
            top = self.beliefs[first]
            self._gains[first] = {
                name: expected_gain(belief, top)
                for name, belief in self.beliefs.items()
                if name != first
            }
        return self._gains[first]


def chances(served: Served, ranked: Sequence[str], config: Ranking) -> dict[str, float]:
    """The probability of each to be asked; the first of `ranked` is the one to exploit.

    Each by the square of its probability of being the best (Thompson sampling would take that
    itself: more than some thousand requests ever pay back), but the others together no more than
    the ceiling and no less than `explore_min`, and the less, the less they may be expected to gain.
    """
    if len(ranked) == 1:
        return {ranked[0]: 1.0}
    first, others = ranked[0], ranked[1:]
    hopes = {name: max(served.p_best[name], LEAST) ** SHARP for name in others}
    whole = sum(hopes.values())
    gains = served.gains(first)
    gain = min(1.0, max(gains[name] for name in others) / WORTHWHILE)
    doubt = gain * whole / (max(served.p_best[first], LEAST) ** SHARP + whole)
    explore = min(max(doubt, config.explore_min), ceiling(served, config))
    return {first: 1.0 - explore, **{n: explore * hope / whole for n, hope in hopes.items()}}


def ceiling(served: Served, config: Ranking) -> float:
    """How much may be explored: at first little, for somebody declared the order."""
    known = min(1.0, served.count / TRUSTED)
    return config.explore_max * (0.2 + 0.8 * known)


def draw(chances: Mapping[str, float], rng_value: float) -> str:
    """The name in whose share of [0, 1) the number falls."""
    name, reached = "", 0.0
    for name, chance in chances.items():
        reached += chance
        if rng_value < reached:
            return name
    return name
