"""One provider in one category: its traces, and the reward that they add up to.

A verdict on two answers says which one is better, or that neither is. It is read on the scale of
the share liked. Where answers are right or wrong, one is better if it alone is right, so

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
from routing.ranking import reward
from routing.ranking.evidence import BOUND, DEVIATION, OWN, RETURN, Estimate, Prior, Trace
from routing.ranking.reward import Observation

PRIOR = (2.0 * DEVIATION / OWN) ** 2
"""Verdicts that "no lead" is worth: the variance of a verdict, in [-1, 1], over that of leads."""


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


BESIDE = Lead(prior=1.0)


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


SHARE_DEVIATION = 0.1
"""Of a cost share, as a part of its weight, before it is measured."""

SUCCESS = Estimate(reward.NEUTRAL_SUCCESS, 0.0)
QUALITY = Estimate(reward.NEUTRAL_QUALITY, 0.0)
LIKING = Estimate(reward.NEUTRAL_LIKING, 0.0)


class Arm:
    """What was observed of a provider in a category, and what to expect of it."""

    __slots__ = (
        "alone",
        "at",
        "cost",
        "disliked",
        "expected",
        "floor",
        "generation",
        "half",
        "healthy",
        "known",
        "lead",
        "liked",
        "liking",
        "n",
        "pace",
        "paid",
        "prior",
        "quality",
        "reranked",
        "settled",
        "success",
        "usd",
        "usual",
        "wait",
        "weight",
    )

    def __init__(self, place: int, weights: Ranking) -> None:
        prior = weights.prior_strength
        self.generation = 0
        self.prior = Prior.declared(place, weights)
        self.floor = 0.0  # what its place in the declared order claims (see `credit`)
        self.at = 0.0
        self.n = 0
        self.weight = 0.0  # of the n observations, with forgetting
        self.liked = 0
        self.disliked = 0
        self.expected = self.prior.mean  # its mean at the last rerank, and
        self.half = 0.0  # half the width of the interval that it had then
        self.reranked = -1  # the category's rerank that they belong to
        self.settled: float | None = None  # its mean and its
        self.known: Estimate | None = None  # value, once asked for, while silence changes neither
        self.alone: float | None = None  # its reward without what is expected, likewise
        self.usd = 0.0  # mean cost
        self.paid = 0.0  # and its weight
        self.healthy = (0.0, 0.0)  # weight and mean of success when it last succeeded
        self.success = Trace.rate(reward.NEUTRAL_SUCCESS, weights.tried, prior)
        self.liking = Trace.rate(reward.NEUTRAL_LIKING, prior, prior)
        self.lead = Lead()  # of its share liked, by verdicts on pairs of answers
        self.quality = Trace.amount(DEVIATION)
        self.usual = reward.Usual()  # for the category, as of its last rerank
        self.wait = Trace.amount(DEVIATION)  # for the first token, and
        self.pace = Trace.amount(DEVIATION)  # of each further one, as logarithms of seconds
        self.cost = Trace.amount(SHARE_DEVIATION * weights.cost_weight)

    def copy(self, generation: int) -> Arm:
        other = Arm.__new__(Arm)
        for name in Arm.__slots__:
            value = getattr(self, name)
            setattr(other, name, value.copy() if isinstance(value, Trace) else value)
        other.generation = generation
        return other

    def add(
        self,
        seen: Observation,
        success: float,
        took: reward.Usual | None,
        weights: Ranking,
        count: int,
    ) -> float:
        """Take in an attempt that succeeded so far and took so long; `count` is the category's,
        this included.

        Returns the reward that it earned, unknown parts at their neutral value.
        """
        keep, fast = weights.forgetting, weights.recent
        if self.n and seen.at > self.at:
            aged = 2.0 ** ((self.at - seen.at) / 3_600 / weights.half_life_h)
            if aged < keep:
                keep, fast = aged, min(fast, aged)
        self.settled = self.known = self.alone = None
        self.at = max(self.at, seen.at)
        self.n += 1
        self.weight = self.weight * keep + 1.0
        self.success.add(success, keep, fast, count)
        liking, quality = reward.NEUTRAL_LIKING, reward.NEUTRAL_QUALITY
        latency = weights.latency_weight * reward.NEUTRAL_SHARE
        cost = weights.cost_weight * reward.NEUTRAL_SHARE
        if seen.liked is not None:
            liking = 1.0 if seen.liked else 0.0
            self.liking.add(liking, keep, fast, count)
            self.liked += seen.liked
            self.disliked += not seen.liked
        if success == 0.0:
            return 0.0
        if success == 1.0:
            self.healthy = (self.success.weight, self.success.mean)
        if seen.cost_usd is not None:
            cost = reward.cost_share(seen.cost_usd, weights)
            self.cost.add(cost, keep, fast, count)
            self.paid = self.paid * keep + 1.0
            self.usd += (seen.cost_usd - self.usd) / self.paid
        if seen.quality is not None:
            quality = seen.quality
            self.quality.add(quality, keep, fast, count)
        if took is not None and took.wait is not None:
            self.wait.add(took.wait, keep, fast, count)
            if took.pace is not None:
                self.pace.add(took.pace, keep, fast, count)
            latency = reward.latency_share(took.wait, took.pace, self.usual, weights)
        return reward.reward(success, quality, reward.liking(liking, weights), latency, cost)

    def compare(self, seen: Observation, weights: Ranking, count: int) -> None:
        """Take in an answer that was judged beside others: what it is worth and costs, not whether
        the provider is up or quick."""
        if seen.quality is None:
            return
        keep = min(weights.forgetting, 1.0 - 1.0 / BOUND)
        self.settled = self.known = self.alone = None
        self.at = max(self.at, seen.at)
        self.n += 1
        self.weight = self.weight * keep + 1.0
        self.quality.add(seen.quality, keep, weights.recent, count)
        if seen.cost_usd is not None:
            self.cost.add(reward.cost_share(seen.cost_usd, weights), keep, weights.recent, count)
            self.paid = self.paid * keep + 1.0
            self.usd += (seen.cost_usd - self.usd) / self.paid

    def leads(self, lead: Lead) -> None:
        """Its lead is another one after a verdict."""
        self.lead = lead
        self.settled = self.known = self.alone = None

    def liked_by(self, count: int) -> Estimate:
        """The share liked to expect, by thumbs and by verdicts."""
        liked = self.liking.estimate(count) if self.liking.seen else LIKING
        if not self.lead.n:
            return liked
        lead, unsure = self.lead.estimate
        return Estimate(min(max(liked.mean + lead, 0.0), 1.0), liked.variance + unsure)

    def slow(self, weights: Ranking, count: int) -> float:
        """The latency share to expect."""
        if not self.wait.seen:
            return reward.NEUTRAL_SHARE * weights.latency_weight
        pace = self.pace.level(count) if self.pace.seen else None
        return reward.latency_share(self.wait.level(count), pace, self.usual, weights)

    def slowness(self, weights: Ranking, count: int) -> Estimate:
        """The same with its variance, by the delta method: the slope of t / (t + usual) over the
        logarithm of t is s (1 - s)."""
        slow, variance = self.slow(weights, count), 0.0
        both = self.pace.seen and self.usual.pace is not None
        for trace, usual in ((self.wait, self.usual.wait), (self.pace, self.usual.pace)):
            if trace.seen and usual is not None:
                known = trace.estimate(count)
                share = reward.share(known.mean, usual)
                slope = weights.latency_weight * share * (1.0 - share) * (0.5 if both else 1.0)
                variance += slope * slope * known.variance
        return Estimate(slow, variance)

    def used_to(self, usual: reward.Usual) -> None:
        """What the category is used to is another time."""
        self.usual = usual
        self.settled = self.known = self.alone = None

    def expect(self, prior: Prior) -> None:
        self.prior = prior
        self.settled = self.known = None

    def credit(self, floor: float) -> None:
        """Of one that was hardly tried expect no less than of the best declared after it, worth
        half the prior: an order that somebody wrote is believed until it was tried."""
        self.floor = floor
        self.settled = self.known = None

    def recover(self) -> None:
        """The provider is back from an outage; one failure of it is remembered, a habit shows."""
        self.settled = self.known = self.alone = None
        self.success.recover(*self.healthy)

    def changed(self, weights: Ranking, count: int) -> float:
        """The probability that it is another one by now: each answer that others gave since its
        last attempt makes it less sure, by what an answer of its own would have forgotten."""
        return 1.0 - weights.forgetting ** (count - self.success.seen) if self.success.seen else 0.0

    def mean(self, weights: Ranking, count: int) -> float:
        """Posterior mean of the reward."""
        if self.settled is not None:
            return self.settled
        if not self.n:
            return max(self.prior.mean, self.floor)
        cost, dear, own = self.cost, weights.cost_weight, self.own(weights, count)
        prior = self.prior
        expected = prior.mean
        if cost.seen:  # one answer tells its price, though it hardly tells how good it is
            priced = self.paid / (self.paid + 1.0)
            expected += priced * (reward.NEUTRAL_SHARE * dear - cost.level(count))
        if self.only_failed:
            own = min(own, expected)
        mean = expected + (own - expected) * self.weight / (self.weight + prior.weight)
        if self.floor:
            claim = 0.5 * weights.prior_strength
            claimed = self.floor + (own - self.floor) * self.weight / (self.weight + claim)
            mean = max(mean, claimed)
        if self.as_usual:
            self.settled = mean
        return mean

    @property
    def answers(self) -> float:
        """How many it gave, in whichever category, with forgetting."""
        return self.weight + self.prior.elsewhere

    @property
    def only_failed(self) -> bool:
        """Whether it was tried and never answered in time."""
        return self.success.seen > 0 and not self.healthy[0]

    def own(self, weights: Ranking, count: int) -> float:
        """The reward by its own answers alone."""
        if self.alone is not None:
            return self.alone
        success, quality, liking = self.success, self.quality, self.liking
        cost, dear = self.cost, weights.cost_weight
        liked = liking.level(count) if liking.seen else reward.NEUTRAL_LIKING
        if self.lead.n:
            liked = min(max(liked + self.lead.level, 0.0), 1.0)
        own = reward.reward(
            success.level(count),
            quality.level(count) if quality.seen else reward.NEUTRAL_QUALITY,
            1.0 - weights.feedback_weight * (1.0 - liked),
            self.slow(weights, count),
            cost.level(count) if cost.seen else reward.NEUTRAL_SHARE * dear,
        )
        if self.as_usual:
            self.alone = own
        return own

    @property
    def as_usual(self) -> bool:
        """Whether all of its parts are as usual: then silence changes nothing."""
        return (
            self.success.usual >= RETURN
            and self.quality.usual >= RETURN
            and self.liking.usual >= RETURN
            and self.wait.usual >= RETURN
            and self.pace.usual >= RETURN
            and self.cost.usual >= RETURN
        )

    def parts(self, weights: Ranking, count: int) -> tuple[Estimate, ...]:
        """Estimates of success, quality, share liked, latency share and cost share.

        What was never observed is taken at its neutral value and without variance: asking more
        often would not make it known.
        """
        success, quality = self.success, self.quality
        cost, dear = self.cost, weights.cost_weight
        return (
            success.estimate(count) if success.seen else SUCCESS,
            quality.estimate(count) if quality.seen else QUALITY,
            self.liked_by(count),
            self.slowness(weights, count),
            cost.estimate(count) if cost.seen else Estimate(reward.NEUTRAL_SHARE * dear, 0.0),
        )

    def value(self, weights: Ranking, count: int) -> Estimate:
        """Posterior mean and variance of the reward, by the delta method on its parts."""
        if self.known is not None:
            return self.known
        parts = self.parts(weights, count)
        (success, unsure), (quality, coarse), (liked, mixed), (latency, slow), (cost, dear) = parts
        liking = reward.liking(liked, weights)
        worth = max(0.0, quality * liking - latency - cost)
        variance = worth * worth * unsure + success * success * (
            liking * liking * coarse
            + (quality * weights.feedback_weight) ** 2 * mixed
            + slow
            + dear
        )
        share = self.weight / (self.weight + self.prior.weight)
        value = Estimate(
            self.mean(weights, count),
            share**2 * variance + (1.0 - share) ** 2 * self.prior.variance,
        )
        if self.settled is not None:
            self.known = value
        return value
