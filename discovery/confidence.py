"""Is the candidate better than the incumbent? A confidence sequence, valid at any stopping time.

The difference of two paired scores lies in [-1, 1]. Its mean is bounded by the hedged-capital
confidence sequence of Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting" (JRSS B, 2024; arXiv:2010.09686, Theorem 3): each possible mean is bet against, and is
excluded once the wealth of that bet reaches 1/alpha. With probability 1 - alpha the true mean is
never excluded, whenever one stops, so the trial may stop as soon as zero is excluded; a
fixed-sample interval read after every probe would err far more often than its level says.

The probes count as drawn from the category's prompts; each is asked once, in random order.
"""

from __future__ import annotations

import math

TRUNCATION = 0.75
"""The paper's c: the largest share of its wealth that a bet may lose."""
GRID = 200


class PairedDifference:
    """Bounds on the mean difference (candidate minus incumbent), tightened by each pair."""

    def __init__(self, alpha: float = 0.05) -> None:
        self.alpha = alpha
        self.count = 0
        self._sum = 0.0
        self._squares = 0.0
        self._variance = 0.25
        self._means = [i / GRID for i in range(GRID + 1)]
        self._up = [0.0] * (GRID + 1)  # log wealth of the bet that the mean is higher
        self._down = [0.0] * (GRID + 1)
        self._alive = [True] * (GRID + 1)

    def add(self, difference: float) -> None:
        """Add one pair's difference, in [-1, 1].

        Raises ValueError for any other number.
        """
        if not -1.0 <= difference <= 1.0:
            raise ValueError(f"{difference} is not a difference of two scores in [0, 1]")
        x = (difference + 1) / 2
        bet = self._bet(self.count + 1)
        threshold = math.log(2 / self.alpha)  # each side starts with half of the wealth
        for i, mean in enumerate(self._means):
            up = min(bet, TRUNCATION / mean) if mean > 0 else bet
            down = min(bet, TRUNCATION / (1 - mean)) if mean < 1 else bet
            self._up[i] += math.log1p(up * (x - mean))
            self._down[i] += math.log1p(-down * (x - mean))
            if max(self._up[i], self._down[i]) >= threshold:
                self._alive[i] = False
        self.count += 1
        self._sum += x
        centre = (0.5 + self._sum) / (self.count + 1)
        self._squares += (x - centre) ** 2
        self._variance = (0.25 + self._squares) / (self.count + 1)

    def _bet(self, t: int) -> float:
        """The next bet, fixed before the pair is seen, as the theorem requires, from the variance
        so far."""
        return math.sqrt(2 * math.log(2 / self.alpha) / (self._variance * t * math.log(t + 1)))

    @property
    def mean(self) -> float:
        """The observed mean difference; 0 before the first pair."""
        return 2 * self._sum / self.count - 1 if self.count else 0.0

    @property
    def lower(self) -> float:
        return self._bounds()[0]

    @property
    def upper(self) -> float:
        return self._bounds()[1]

    def _bounds(self) -> tuple[float, float]:
        """Widened to the next excluded points of the grid, since the truth may lie between
        points."""
        alive = [i for i, kept in enumerate(self._alive) if kept]
        if not alive:  # the sequence has excluded everything: an event of probability alpha
            return self.mean, self.mean
        low, high = max(0, alive[0] - 1), min(GRID, alive[-1] + 1)
        return 2 * self._means[low] - 1, 2 * self._means[high] - 1
