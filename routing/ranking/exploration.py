"""Whom to ask: nearly always the first of the order, and now and then another, to learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from config.models import Ranking
from routing.ranking.posterior import Belief, expected_gain

UNSURE = 0.7
"""Probability of another one being best from which on more of it changes nothing; what is explored
grows with its square, so that a small doubt costs little and a real one is soon settled."""

WORTHWHILE = 0.03
"""Reward that another one may be expected to gain, from which on more of it changes nothing: two
that are known to be nearly alike are not worth being told apart."""

LEAST = 0.005
"""Weight of a hopeless provider among those that may be explored: none is forgotten for good."""

FAR = 0.1
"""Reward behind the first from which on that weight falls, with the square of the distance."""

SLACK = 0.15
"""Reward that trying another costs in any case: of two as likely to be best, the one that is
expected to lose less is tried more often."""

CHEAP = 0.02
"""Of the dearest price; below it, dearer and cheaper are tried alike."""


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

    How much is explored lies between `explore_min` and `explore_max`, by how likely another one is
    the best and by what it may be expected to gain. Who is explored is drawn by its probability of
    being best over what trying it is expected to lose, and the less often, the dearer it is than
    the first.
    """
    if len(ranked) == 1:
        return {ranked[0]: 1.0}
    first = ranked[0]
    top, price = served.means[first], served.costs[first] + CHEAP
    weights = {}
    others = 0.0
    for name in ranked[1:]:
        behind = max(0.0, top - served.means[name])
        hope = max(served.p_best[name], LEAST * (FAR / (FAR + behind)) ** 2)
        others += hope
        dearer = max(1.0, (served.costs[name] + CHEAP) / price)
        weights[name] = hope / ((behind + SLACK) * dearer)
    unsure = others / (max(served.p_best[first], LEAST) + others)
    least, most = config.explore_min, config.explore_max
    gains = served.gains(first)
    gain = max(gains[name] for name in ranked[1:])
    doubt = min(1.0, unsure / UNSURE) ** 2 * min(1.0, gain / WORTHWHILE)
    explore = least + (most - least) * doubt
    whole = sum(weights.values())
    shares = {name: explore * weight / whole for name, weight in weights.items()}
    return {first: 1.0 - explore, **shares}


def draw(chances: Mapping[str, float], rng_value: float) -> str:
    """The name in whose share of [0, 1) the number falls."""
    name, reached = "", 0.0
    for name, chance in chances.items():
        reached += chance
        if rng_value < reached:
            return name
    return name
