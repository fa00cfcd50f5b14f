"""What is known of one provider in one category, with forgetting.

Each part of the reward has a trace: a long memory, whose mean is steady, and a short one, which
notices a change. The estimate is the long mean, held within the short one's interval: while a
provider is what it was, the long mean stands and is precise; after a change the short one drags
it along within a few observations. Both are weighted means whose weights do not depend on the
values, so that the estimate never rises by a worse observation.

A provider that is not asked for a while loses the weight of its short memory first. So one that
was good, then bad, and has not been seen since, may be good again and is worth another try,
while one that has been bad all along is not. (The idea of discounted Thompson sampling, Raj and
Kalyani 2017, arXiv:1707.09727, with two discounts.)
"""

from __future__ import annotations

from math import ceil, log, sqrt
from typing import NamedTuple

WIDTH = 1.5
"""Half width of the short memory's interval, in standard errors of its weight."""

STALE = 0.98
"""Weight that the short memory keeps at each observation that the category makes elsewhere."""

STALE_MIN = 0.25
"""The estimate never takes it for less: silence alone does not make a failing provider first."""

_LONG = ceil(log(STALE_MIN, STALE))
_STALENESS = tuple(STALE**gap for gap in range(_LONG))


class Estimate(NamedTuple):
    mean: float
    variance: float


class Trace:
    """The long and the short memory of one quantity in [0, 1]."""

    __slots__ = ("fast", "fast_weight", "held", "mean", "seen", "spread", "weight")

    def __init__(self) -> None:
        self.weight = 0.0
        self.mean = 0.0
        self.spread = 0.0  # variance about the long mean
        self.fast_weight = 0.0
        self.fast = 0.0
        self.held = False  # whether the short memory moved the last estimate
        self.seen = 0  # the category's count when it was last told something

    def copy(self) -> Trace:
        other = Trace.__new__(Trace)
        other.weight = self.weight
        other.mean = self.mean
        other.spread = self.spread
        other.fast_weight = self.fast_weight
        other.fast = self.fast
        other.held = self.held
        other.seen = self.seen
        return other

    def add(self, value: float, keep: float, keep_fast: float, count: int) -> None:
        """Take in a value; `keep` and `keep_fast` are what the memories keep of the past."""
        gap = count - self.seen - 1
        if gap > 0:
            keep_fast *= STALE**gap
        self.seen = count
        self.weight = weight = self.weight * keep + 1.0
        off = value - self.mean
        self.mean += off / weight
        self.spread += (off * (value - self.mean) - self.spread) / weight
        self.fast_weight = weight = self.fast_weight * keep_fast + 1.0
        self.fast += (value - self.fast) / weight

    def level(self, neutral: float, deviation: float, count: int) -> float:
        """The estimate of the mean; `neutral` while nothing is known.

        `deviation` is the standard deviation of one value that the short memory's interval
        assumes; `count` is the category's, and says how long nothing was heard.
        """
        if self.weight == 0.0:
            return neutral
        mean, weight = self.mean, self.fast_weight
        if weight > 0.0:
            gap = count - self.seen
            stale = _STALENESS[gap] if gap < _LONG else STALE_MIN
            half = WIDTH * deviation / sqrt(weight * stale)
            low, high = self.fast - half, self.fast + half
            self.held = not low <= mean <= high
            if self.held:
                return high if mean > high else low
        return mean

    def estimate(self, neutral: float, deviation: float, count: int, strength: float) -> Estimate:
        """`level` and the variance of it, by a prior of `strength` values."""
        if self.weight == 0.0:
            return Estimate(neutral, deviation**2 / strength)
        mean = self.level(neutral, deviation, count)
        # It may be on its way back to what it was: that doubt grows with the silence.
        stale = max(STALE_MIN, STALE ** (count - self.seen))
        back = (1.0 - stale) * (self.mean - mean) ** 2
        total = self.weight + strength
        spread = (self.weight * self.spread + strength * deviation**2) / total
        return Estimate(mean, spread / total + back)

    def recover(self, weight: float, mean: float, charge: float) -> None:
        """An outage is over: go back to what was known before it, less `charge` failures."""
        self.weight = weight + charge
        self.mean = weight * mean / self.weight
        self.fast_weight = 0.0
        self.held = False
