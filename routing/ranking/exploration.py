"""Whom to ask: the first of the order, or another as often as that may be expected to pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from config.models import Ranking
from routing.ranking.evidence import TRIED
from routing.ranking.posterior import Belief, expected_gain

WORTHWHILE = 0.005
"""Reward that another one may be expected to gain, from which on more of it changes nothing: two
that are known to be nearly alike are not worth being told apart."""

LEAST = WORTHWHILE / 50.0
"""Gain that is taken to be possible of the most hopeless provider: none is forgotten for good."""


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
    _gains: dict[str, dict[str, float]] = field(default_factory=dict)

    def gains(self, first: str) -> Mapping[str, float]:
        """What each of the others may be expected to earn beyond the first, where it does."""
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

    The one with the best mean and any other are asked by the squares of what each may be expected
    to gain over the other, which is what never asking it would lose; but all others than the first
    together no more than the ceiling and no less than `explore_min`, and the less, the less there
    is to gain.
    """
    if len(ranked) == 1:
        return {ranked[0]: 1.0}
    first = ranked[0]
    top = max(ranked, key=served.means.__getitem__)
    gains = served.gains(top)
    hopes = {name: max(gains[name], LEAST) ** 2 for name in ranked if name != top}
    rival = max(hopes, key=hopes.__getitem__)
    hopes[top] = max(served.gains(rival)[top], LEAST) ** 2
    hope, whole = hopes.pop(first), sum(hopes.values())
    gain = min(1.0, max(served.gains(first)[name] for name in hopes) / WORTHWHILE)
    explore = min(max(gain * whole / (hope + whole), config.explore_min), ceiling(served, config))
    return {first: 1.0 - explore} | {n: explore * hopes[n] / whole for n in hopes}


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
