"""What to expect of a provider before it is observed."""

from __future__ import annotations

from typing import NamedTuple

from config.models import Ranking

PRIOR_REWARD = 0.8
PRIOR_STEP = 0.02
"""What a place further down in the declared order takes off the prior."""
PRIOR_DEVIATION = 0.15

ELSEWHERE = 16.0
"""How many observations the other categories are worth, at most."""
ELSEWHERE_DEVIATION = 0.08
"""By how much a provider's lead differs from one category to the other."""


NOTED = 0.002
"""A prior that moved by less is left as it is."""


class Prior(NamedTuple):
    """What to expect of the reward before it is observed, worth `weight` observations.

    `lead` is the part that is the provider's own lead in the other categories, `blind` the share
    that comes from the declared order, which knows of no price.
    """

    mean: float
    variance: float
    weight: float
    lead: float = 0.0
    blind: float = 1.0

    @classmethod
    def declared(cls, place: int, weights: Ranking) -> Prior:
        """By its place in the declared order, 0 the first."""
        mean = PRIOR_REWARD - PRIOR_STEP * place
        return cls(mean, PRIOR_DEVIATION**2, weights.prior_strength)

    def informed(self, base: float, lead: float, weight: float) -> Prior:
        """This, and what to expect from the other categories.

        `base` is what the category gives anybody, `lead` what the provider has beyond that
        elsewhere, of so much weight. The declared order counts as far as that is little.
        """
        known = weight / (weight + self.weight)
        return Prior(
            self.mean + known * (base + lead - self.mean),
            self.variance + known * (ELSEWHERE_DEVIATION**2 - self.variance),
            self.weight + min(weight, ELSEWHERE),
            known * lead,
            1.0 - known,
        )

    def moved(self, old: Prior, base: float, lead: float, weight: float) -> bool:
        """Whether `informed` gives notably another one than it did before."""
        mean = self.mean + weight / (weight + self.weight) * (base + lead - self.mean)
        known = self.weight + (weight if weight < ELSEWHERE else ELSEWHERE)
        return not -NOTED <= mean - old.mean <= NOTED or known > old.weight + 1.0
