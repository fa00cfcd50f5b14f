"""What verdicts on two answers say of their providers.

A verdict says which of two answers to one prompt is better, or that neither is. It is read on the
scale of the share liked. Where answers are right or wrong, one is better if it alone is right, so

    P(a is better) - P(b is better) = P(a is right) - P(b is right)

and the leads of the providers are fitted to that by least squares, one verdict after the other (the
linear model of paired comparisons: David, The Method of Paired Comparisons, 1988): a verdict says
of the one that its lead is the other's and the verdict, and of the other the reverse. Leads are
pulled towards 0 and forgotten like everything else.

The answer that stands behind every primary, which is written from passages, has a lead of its own
in each category. That one is hardly pulled: a judge that likes it more or less than it deserves
moves it, and not the primaries that it is compared with.
"""

from __future__ import annotations

from typing import NamedTuple

from config.models import Ranking
from routing.ranking.evidence import Estimate
from routing.ranking.reward import Observation

PRIOR = 20.0
"""Verdicts that "no lead" is worth: their variance over that of leads, (0.65 / 0.15)²."""

PRIOR_BESIDE = 1.0
"""The same for the answers that stand behind the primaries."""


class Lead(NamedTuple):
    """By how much more a provider's answers are liked than was expected, from verdicts alone."""

    prior: float = PRIOR
    at: float = 0.0
    weight: float = 0.0
    mean: float = 0.0
    square: float = 0.0  # mean square about the level that was expected
    n: int = 0

    @property
    def level(self) -> float:
        return self.mean * self.weight / (self.weight + self.prior)

    @property
    def estimate(self) -> Estimate:
        """The lead with its variance."""
        return Estimate(self.level, self.square / (self.weight + self.prior))

    def after(self, lead: float, at: float, weights: Ranking) -> Lead:
        """What is known after a verdict that says that the lead is so much."""
        keep = weights.forgetting
        if self.n and at > self.at:
            keep = min(keep, 2.0 ** ((self.at - at) / 3_600 / weights.half_life_h))
        weight, off = self.weight * keep + 1.0, lead - self.level
        return Lead(
            self.prior,
            max(self.at, at),
            weight,
            self.mean + (lead - self.mean) / weight,
            self.square + (off * off - self.square) / weight,
            self.n + 1,
        )


BESIDE = Lead(PRIOR_BESIDE)


def apart(one: Lead, other: Lead, seen: Observation, weights: Ranking) -> tuple[Lead, Lead]:
    """Both leads after a verdict on an answer of the one against an answer of the other."""
    by = margin(seen, weights)
    return (
        one.after(other.level + by, seen.at, weights),
        other.after(one.level - by, seen.at, weights),
    )


def margin(seen: Observation, weights: Ranking) -> float:
    """By how much the one is better than the other: 1 where a person says so, `judge_weight` where
    a model does; 0 for a tie."""
    by = 2.0 * (0.5 if seen.verdict is None else seen.verdict) - 1.0
    return by if seen.source == "person" else weights.judge_weight * by
