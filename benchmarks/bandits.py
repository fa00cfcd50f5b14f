"""The policies that the ranking is compared with, on the same draws.

Each learns one number an answer, in [0, 1], and knows nothing of models but their names. What they
forget by and explore by is what their papers recommend for some thousand requests; nothing is
fitted to the worlds here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf, log, sqrt

import numpy as np


class Bandit:
    """One category's arms, by number; subclasses say whom to ask."""

    def __init__(self, arms: int, seed: int) -> None:
        self.arms = arms
        self.rng = np.random.default_rng(seed)
        self.weight = [0.0] * arms
        self.total = [0.0] * arms

    def choose(self, allowed: Sequence[int]) -> int:
        raise NotImplementedError

    def learn(self, arm: int, reward: float) -> None:
        self.weight[arm] += 1.0
        self.total[arm] += reward

    def mean(self, arm: int) -> float:
        return self.total[arm] / self.weight[arm] if self.weight[arm] else inf

    def best(self, allowed: Sequence[int]) -> int:
        return max(allowed, key=self.mean)


class EpsilonGreedy(Bandit):
    """The best mean of all that was seen; one request in ten at random (Sutton and Barto,
    Reinforcement Learning, 2nd edition, section 2.2)."""

    share = 0.1

    def choose(self, allowed: Sequence[int]) -> int:
        if self.rng.random() < self.share:
            return allowed[int(self.rng.integers(len(allowed)))]
        return self.best(allowed)


class DiscountedMean(EpsilonGreedy):
    """The same over a discounted mean: 0.95 an answer of that arm, one in twenty at random."""

    share = 0.05
    keep = 0.95

    def learn(self, arm: int, reward: float) -> None:
        self.weight[arm] = self.weight[arm] * self.keep + 1.0
        self.total[arm] = self.total[arm] * self.keep + reward


class DiscountedThompson(Bandit):
    """Beta posteriors whose counts fade by 0.99 a request of anybody (Raj and Kalyani, Taming
    Non-stationary Bandits: A Bayesian Approach, 2017)."""

    keep = 0.99

    def choose(self, allowed: Sequence[int]) -> int:
        draws = {
            arm: self.rng.beta(1.0 + self.total[arm], 1.0 + self.weight[arm] - self.total[arm])
            for arm in allowed
        }
        return max(draws, key=draws.__getitem__)

    def learn(self, arm: int, reward: float) -> None:
        self.weight = [self.keep * w for w in self.weight]
        self.total = [self.keep * t for t in self.total]
        super().learn(arm, reward)


class SlidingWindowUCB(Bandit):
    """The last 200 answers, with an upper bound (Garivier and Moulines, On Upper-Confidence Bound
    Policies for Switching Bandit Problems, 2011)."""

    window = 200
    width = 0.6

    def __init__(self, arms: int, seed: int) -> None:
        super().__init__(arms, seed)
        self.seen: deque[tuple[int, float]] = deque()

    def choose(self, allowed: Sequence[int]) -> int:
        known = log(max(2, min(len(self.seen), self.window)))

        def bound(arm: int) -> float:
            n = self.weight[arm]
            return self.mean(arm) + sqrt(self.width * known / n) if n else inf

        return max(allowed, key=bound)

    def learn(self, arm: int, reward: float) -> None:
        super().learn(arm, reward)
        self.seen.append((arm, reward))
        if len(self.seen) > self.window:
            old, lost = self.seen.popleft()
            self.weight[old] -= 1.0
            self.total[old] -= lost


OPPONENTS: dict[str, type[Bandit]] = {
    "discounted mean": DiscountedMean,
    "discounted Thompson": DiscountedThompson,
    "sliding-window UCB": SlidingWindowUCB,
    "epsilon-greedy": EpsilonGreedy,
}
