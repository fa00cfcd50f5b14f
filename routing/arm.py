"""One provider in one category: its traces, and the reward that they add up to."""

from __future__ import annotations

from config.models import Ranking
from routing import reward
from routing.evidence import Estimate, Trace
from routing.observation import Observation

PRIOR_REWARD = 0.8
PRIOR_STEP = 0.02
"""What a place further down in the declared order takes off the prior."""
PRIOR_DEVIATION = 0.15
RATE = 0.3
"""Standard deviation of a success, a quality or a liking, as the short memory assumes it."""
SHARE = 0.2
"""The same for a latency or a cost share, as a part of its weight."""

OUTAGE_CHARGE = 2.0
"""Failures that an outage leaves behind: one is forgiven, a habit is not."""


class Arm:
    """What was observed of a provider in a category, and what to expect of it."""

    __slots__ = (
        "at",
        "cost",
        "disliked",
        "expected",
        "generation",
        "half",
        "healthy",
        "latency",
        "liked",
        "liking",
        "n",
        "prior",
        "quality",
        "reranked",
        "settled",
        "success",
        "usd",
    )

    def __init__(self, place: int) -> None:
        self.generation = 0
        self.prior = PRIOR_REWARD - PRIOR_STEP * place
        self.at = 0.0
        self.n = 0
        self.liked = 0
        self.disliked = 0
        self.healthy = (0.0, 0.0)  # weight and mean of success after the last one
        self.expected = self.prior  # its mean at the last rerank, and
        self.half = 0.0  # half the width of the interval that it had then
        self.reranked = -1  # the category's rerank that they belong to
        self.settled: float | None = None
        self.usd = 0.0  # mean cost, weighted like its share
        self.success = Trace()
        self.quality = Trace()
        self.liking = Trace()
        self.latency = Trace()
        self.cost = Trace()

    def copy(self, generation: int) -> Arm:
        other = Arm.__new__(Arm)
        other.generation = generation
        other.prior = self.prior
        other.at = self.at
        other.n = self.n
        other.liked = self.liked
        other.disliked = self.disliked
        other.healthy = self.healthy
        other.expected = self.expected
        other.half = self.half
        other.reranked = self.reranked
        other.settled = self.settled
        other.usd = self.usd
        other.success = self.success.copy()
        other.quality = self.quality.copy()
        other.liking = self.liking.copy()
        other.latency = self.latency.copy()
        other.cost = self.cost.copy()
        return other

    def add(self, seen: Observation, success: float, weights: Ranking, count: int) -> None:
        """Take in an attempt that succeeded so far; `count` is the category's."""
        keep, fast = weights.forgetting, weights.recent
        hours = (seen.at - self.at) / 3_600 if self.n else 0.0
        if hours > 0.0:
            aged = 2.0 ** (-hours / weights.half_life_h)
            keep, fast = min(keep, aged), min(fast, aged)
        self.settled = None
        self.at = max(self.at, seen.at)
        self.n += 1
        self.success.add(success, keep, fast, count)
        if success == 1.0:
            self.healthy = (self.success.weight, self.success.mean)
        if success > 0.0:
            if seen.quality is not None:
                self.quality.add(seen.quality, keep, fast, count)
            if seen.ttft_ms is not None:
                share = reward.latency_share(seen.ttft_ms, weights)
                self.latency.add(share, keep, fast, count)
        if seen.cost_usd is not None:
            self.cost.add(reward.cost_share(seen.cost_usd, weights), keep, fast, count)
            self.usd += (seen.cost_usd - self.usd) / self.cost.weight
        if seen.liked is not None:
            self.liking.add(1.0 if seen.liked else 0.0, keep, fast, count)
            self.liked += seen.liked
            self.disliked += not seen.liked

    def recover(self) -> None:
        """The provider is back from an outage."""
        self.settled = None
        self.success.recover(*self.healthy, OUTAGE_CHARGE)

    def parts(self, weights: Ranking, count: int) -> tuple[Estimate, ...]:
        """Estimates of success, quality, share liked, latency share and cost share."""
        strength = weights.prior_strength
        slow, dear = weights.latency_weight, weights.cost_weight
        neutral = reward.NEUTRAL_SHARE
        return (
            self.success.estimate(reward.NEUTRAL_SUCCESS, RATE, count, strength),
            self.quality.estimate(reward.NEUTRAL_QUALITY, RATE, count, strength),
            self.liking.estimate(reward.NEUTRAL_LIKING, RATE, count, strength),
            self.latency.estimate(neutral * slow, SHARE * slow, count, strength),
            self.cost.estimate(neutral * dear, SHARE * dear, count, strength),
        )

    def mean(self, weights: Ranking, count: int) -> float:
        """Posterior mean of the reward."""
        if self.settled is not None:
            return self.settled
        slow, dear = weights.latency_weight, weights.cost_weight
        liked = self.liking.level(reward.NEUTRAL_LIKING, RATE, count)
        own = reward.reward(
            self.success.level(reward.NEUTRAL_SUCCESS, RATE, count),
            self.quality.level(reward.NEUTRAL_QUALITY, RATE, count),
            1.0 - weights.feedback_weight * (1.0 - liked),
            self.latency.level(reward.NEUTRAL_SHARE * slow, SHARE * slow, count),
            self.cost.level(reward.NEUTRAL_SHARE * dear, SHARE * dear, count),
        )
        n = self.success.weight
        mean = self.prior + (own - self.prior) * n / (n + weights.prior_strength)
        if not any(trace.held for trace in self._traces()):
            self.settled = mean  # silence will not change it
        return mean

    def _traces(self) -> tuple[Trace, ...]:
        return self.success, self.quality, self.liking, self.latency, self.cost

    def value(self, weights: Ranking, count: int) -> Estimate:
        """Posterior mean and variance of the reward, by the delta method on its parts."""
        success, quality, liked, latency, cost = self.parts(weights, count)
        liking = reward.liking(liked.mean, weights)
        worth = max(0.0, quality.mean * liking - latency.mean - cost.mean)
        variance = worth**2 * success.variance + success.mean**2 * (
            liking**2 * quality.variance
            + (quality.mean * weights.feedback_weight) ** 2 * liked.variance
            + latency.variance
            + cost.variance
        )
        n = self.success.weight
        own = n / (n + weights.prior_strength)
        return Estimate(
            self.mean(weights, count), own**2 * variance + ((1.0 - own) * PRIOR_DEVIATION) ** 2
        )
