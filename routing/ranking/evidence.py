"""What is known of one quantity of one provider in one category, with forgetting.

A provider is taken to be in one of two states: as usual, or otherwise since a while (slow, down,
overloaded). A trace keeps a long mean for the first, a short one for the second, and by Bayes'
rule the probability that the first still holds: a hidden Markov model with two states, whose
levels are learned as it goes. So a steady provider is judged by its long, precise mean; a change
is noticed within a few values; and when it is over, the old mean is at once the right one again,
without having to be learned anew.

While nothing is heard of a provider in trouble, the probability that it is as usual again grows,
up to half the share of its life in which it was: worth another try for one that had been good,
not for one that has been bad all along.

What the categories say of each other is partial pooling of the providers' rewards:

    reward of provider a in category c = base c + lead a + what is its own there

The leads are taken to be normal about the declared order, what is own about 0, and the variance of
the latter is estimated from the log (empirical Bayes; Efron and Morris, Stein's Estimation Rule and
Its Competitors, 1973): where providers do alike in all categories a new category knows them
already, where they do not it begins nearly from nothing.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from math import exp, log, log2
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from config.models import Ranking
from routing.ranking import reward

Array = np.ndarray

TINY = math.sqrt(sys.float_info.epsilon)
"""The least variance, and the least square of a probability of being the best: no belief is a
point, and no provider is forgotten for good."""

DEVIATION = 0.5
"""Of a share, and of the logarithm of a time, before it is measured: the most that a share can vary
by is where each answer is right or wrong."""

OWN = 0.2
"""Standard deviation of what is a provider's own in a category, before the log says anything,"""

BOUND = 100.0
"""and how many pairs of provider and category that is worth; so many observations at most are those
of other categories worth, together, and those of an offline evaluation, which has no users and
ages."""

LEAD = 0.3
"""Standard deviation of a provider's lead over the others."""


class Pooled(NamedTuple):
    """What to expect in each category of each provider without its own answers there."""

    mean: Array
    variance: Array
    own: float
    """Variance of what is a provider's own in a category."""


def pool(weight: Array, mean: Array, declared: Array, noise: float, own: float) -> Pooled:
    """From the weight and mean reward of each category's (row) providers (column).

    `declared` is the lead that the declared order claims, `noise` the variance of one reward,
    `own` the last estimate of that variance. A provider's own answers in a category count for what
    is expected elsewhere, not there.
    """
    seen = weight > 0.0
    error = np.divide(noise, weight, out=np.zeros(weight.shape), where=seen)
    trust = np.where(seen, 1.0 / (own + error), 0.0)
    lead = declared.mean(0)
    for _ in range(2):  # the second one hardly moves it
        rest = mean - lead
        whole = (trust * rest).sum() / (float(trust.sum()) or 1.0)
        base = ((trust * rest).sum(1) + whole / LEAD**2) / (trust.sum(1) + 1.0 / LEAD**2)
        gain = trust * (mean - base[:, None])
        lead = (gain.sum(0) + declared.mean(0) / LEAD**2) / (trust.sum(0) + 1.0 / LEAD**2)
    others = trust.sum(0) - trust + 1.0 / LEAD**2
    elsewhere = (gain.sum(0) - gain + declared / LEAD**2) / others
    expected = base[:, None] + elsewhere
    return Pooled(expected, own + 1.0 / others, _own(seen, mean - base[:, None] - lead, error, own))


def _own(seen: Array, rest: Array, error: Array, own: float) -> float:
    """The variance of what is own, by the method of moments, with the guess."""
    pairs, fitted = int(seen.sum()), sum(seen.shape)
    if seen.shape[0] < 2 or pairs <= fitted:
        return OWN**2
    trust = np.where(seen, 1.0 / (own + error) ** 2, 0.0)
    found = float((trust * (rest**2 - error)).sum() / trust.sum()) * pairs / (pairs - fitted + 1)
    return max(TINY, (pairs * found + BOUND * OWN**2) / (pairs + BOUND))


P95 = 0.95
"""The share that lies below a bound: of times below their p95, and of what a reward may be below
the upper end of its interval (as much lies above the lower end: 90% between them)."""

Z90 = NormalDist().inv_cdf(P95)
"""Standard errors from a mean to the ends of its interval."""


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed; None of nothing.

    `share` is in [0, 1].
    """
    if not values:
        return None
    rank = math.ceil(round(share * len(values), 9))  # 0.07 * 100 is a little more than 7
    return sorted(values)[max(rank - 1, 0)]


SHARE = 0.02
"""What the slow estimates take of a new value: that of the noise, and, at each observation that the
category makes elsewhere, that of whether trouble is over;
so much is the short mean of an amount worth less then, too. No rate is taken for nearer to 0 or 1,
and no state for more certain than all but half of it."""

SURE = 1.0 - SHARE / 2.0

SURPRISE = 3.0
"""No single value says more than this (in nats) for one state against the other."""

PURE = 6
"""A value counts for the long mean by the probability of the usual state to this power: what
came amid trouble must not wear down the memory of what is usual."""

SPREAD = 1.0 / DEVIATION**2
"""Values that the deviation before the first is worth: as many as add up to a square of 1."""

PATIENCE = 150.0
"""What lasts so many values is what is usual now."""

RETURN = 0.5
"""How likely trouble is over after a long silence, for one that was never in trouble before."""


class Estimate(NamedTuple):
    mean: float
    variance: float


class Trace:
    """One quantity in [0, 1].

    A rate (`Trace.rate`) is the mean of values that are 0 or 1, or a share of 1, and starts from
    a prior; a worse value never raises it. An amount (`Trace.amount`) varies by what is measured,
    at first by `deviation`, and is unknown until its first value.
    """

    __slots__ = (
        "fast",
        "fast_weight",
        "is_rate",
        "mean",
        "noise",
        "seen",
        "spread",
        "strange",
        "usual",
        "weight",
    )

    def __init__(self, mean: float, weight: float, deviation: float, is_rate: bool) -> None:
        self.is_rate = is_rate
        self.mean = self.fast = mean
        self.weight = self.fast_weight = weight
        self.strange = 0.0  # weight of the other state
        self.spread = deviation**2  # variance of a value about the long mean
        self.noise = deviation**2  # variance of a value about the short mean before it
        self.usual = SURE  # probability of the usual state, when last heard of
        self.seen = 0  # the category's count at that moment; 0: never

    @classmethod
    def rate(cls, prior: float, strength: float, fast: float) -> Trace:
        """Its prior is worth so many values, and so many of the short mean's."""
        trace = cls(prior, strength, 0.0, True)
        trace.fast_weight = fast
        return trace

    @classmethod
    def amount(cls, deviation: float) -> Trace:
        return cls(0.0, 0.0, deviation, False)

    def copy(self) -> Trace:
        other = Trace.__new__(Trace)
        other.is_rate = self.is_rate
        other.mean = self.mean
        other.fast = self.fast
        other.weight = self.weight
        other.fast_weight = self.fast_weight
        other.strange = self.strange
        other.spread = self.spread
        other.noise = self.noise
        other.usual = self.usual
        other.seen = self.seen
        return other

    def add(self, value: float, keep: float, keep_fast: float, count: int) -> None:
        """Take in a value; `keep` and `keep_fast` are what the two memories keep of the past.

        `count` is the category's, this value included.
        """
        off, off_fast = value - self.mean, value - self.fast
        usual = self.usual
        if usual < RETURN:
            usual = self.chance(count - 1)
        elif self.seen and not self.is_rate:  # long ago says little of now
            self.fast_weight *= (1.0 - SHARE) ** (count - 1 - self.seen)
        if self.fast_weight > 0.0:
            if off != off_fast:
                odds = exp(self._says(value, off, off_fast)) * usual / (1.0 - usual)
                usual = odds / (1.0 + odds)
                if usual > SURE:
                    usual = SURE
                elif usual < 1.0 - SURE:
                    usual = 1.0 - SURE
            if not self.is_rate:
                self.noise += SHARE * (off_fast * off_fast - self.noise)
        self.usual = usual
        self.seen = count
        self.strange = self.strange * keep + 1.0 - usual
        pure = usual**PURE
        weight = self.weight = self.weight * keep + pure
        self.mean += off * pure / weight
        if not self.is_rate:
            self.spread += pure * (off * off - self.spread) / (weight + SPREAD)
        if usual < RETURN:  # a value that may well be as usual says little of the trouble
            other = 1.0 - usual
            weight = self.fast_weight = self.fast_weight * (1.0 - other * (1.0 - keep_fast)) + other
            self.fast += off_fast * other / weight
        else:
            weight = self.fast_weight = self.fast_weight * keep_fast + 1.0
            self.fast += off_fast / weight
        if usual < 0.5 and self.strange > PATIENCE:
            self._settle_down()

    def _says(self, value: float, off: float, off_fast: float) -> float:
        """The logarithm of how much likelier the value is as usual than otherwise."""
        if self.is_rate:
            usual, other = self.mean, self.fast
            low, high = SHARE, 1.0 - SHARE
            usual = low if usual < low else high if usual > high else usual
            other = low if other < low else high if other > high else other
            if usual == other:
                return 0.0
            says = value * log(usual / other)
            if value < 1.0:
                says += (1.0 - value) * log((1.0 - usual) / (1.0 - other))
        else:
            says = (off_fast * off_fast - off * off) / (2.0 * self.noise)
        if says > SURPRISE:
            return SURPRISE
        return says if says > -SURPRISE else -SURPRISE

    def chance(self, count: int) -> float:
        """The probability that it is in its usual state at this count of the category."""
        usual = self.usual
        if usual >= RETURN:
            return usual
        back = RETURN * self.weight / (self.weight + self.strange)
        if usual >= back:
            return usual
        return back + (usual - back) * (1.0 - SHARE) ** (count - self.seen)

    def level(self, count: int) -> float:
        """The expected value."""
        usual = self.usual if self.usual >= RETURN else self.chance(count)
        return self.fast + usual * (self.mean - self.fast)

    def estimate(self, count: int) -> Estimate:
        """The expected value, and the variance of that expectation."""
        usual, mean, fast = self.usual, self.mean, self.fast
        if usual < RETURN:
            usual = self.chance(count)
        if self.is_rate:
            spread = mean * (1.0 - mean) if mean < 1.0 else 0.0
            noise = fast * (1.0 - fast) if fast < 1.0 else 0.0
        else:
            spread, noise = self.spread, self.noise
        other, gap = 1.0 - usual, mean - fast
        variance = (
            usual * other * gap * gap
            + usual * spread / (self.weight + 1.0)
            + other * noise / (self.fast_weight + 1.0)
        )
        return Estimate(fast + usual * gap, variance)

    def recover(self, weight: float, mean: float) -> None:
        """Trouble is known to be over: what it was before holds, less one value of zero."""
        if weight > 0.0:
            self.mean, self.weight = mean, weight
        self.mean *= self.weight / (self.weight + 1.0)
        self.weight += 1.0
        self.usual = SURE
        self.fast, self.fast_weight = self.mean, 1.0

    def _settle_down(self) -> None:
        """The other state has lasted longer than the usual one: it is what is usual now."""
        self.mean, self.weight, self.strange = self.fast, self.fast_weight, 0.0
        self.usual = SURE


PRIOR_STEP = 0.02
"""What the second place in the declared order takes off the prior, and each further doubling."""


def claim(place: int) -> float:
    """What a place in the declared order, 0 the first, takes off the prior."""
    return PRIOR_STEP * log2(1 + place)


class Prior(NamedTuple):
    """What to expect of the reward before it is observed, worth `weight` observations."""

    mean: float
    variance: float
    weight: float
    elsewhere: float = 0.0
    """Answers that it gave in other categories, with forgetting."""

    @classmethod
    def declared(cls, place: int, weights: Ranking) -> Prior:
        """By its place in the declared order, 0 the first."""
        mean = reward.neutral(weights) - claim(place)
        return cls(mean, OWN**2, weights.prior_strength)

    def moved(self, old: Prior, weights: Ranking) -> bool:
        """Whether it is notably another one than before."""
        return (
            abs(self.mean - old.mean) > weights.noted
            or abs(self.weight - old.weight) > 1.0
            or (self.elsewhere < weights.tried) is not (old.elsewhere < weights.tried)
        )
