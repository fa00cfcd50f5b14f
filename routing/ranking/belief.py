"""What is believed of a provider's reward, as normal components.

Where a part of it may or may not have changed its state (see `routing.ranking.evidence`), one
normal would put most of its mass between the two, where the reward is for certain not.
"""

from __future__ import annotations

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.arm import Arm

Belief = tuple[tuple[float, float, float], ...]
"""Weight, mean and variance of each component; the weights add up to 1."""

LEAST_VARIANCE = 1e-8


def belief(arm: Arm, weights: Ranking, count: int) -> Belief:
    """Two components where one part's two states are further apart than all the rest is unsure."""
    whole = arm.value(weights, count)
    single = ((1.0, whole.mean, max(whole.variance, LEAST_VARIANCE)),)
    if not arm.n:
        return single
    usual, apart = _doubt(arm, weights, count)
    within = whole.variance - usual * (1.0 - usual) * apart**2
    if apart**2 <= max(within, LEAST_VARIANCE):
        return single
    within = max(within, LEAST_VARIANCE)
    return (
        (usual, whole.mean + (1.0 - usual) * apart, within),
        (1.0 - usual, whole.mean - usual * apart, within),
    )


def _doubt(arm: Arm, weights: Ranking, count: int) -> tuple[float, float]:
    """Of the part whose state is the least certain: its probability to be as usual, and by how
    much the reward is better then."""
    success, quality, liked, latency, cost = (part.mean for part in arm.parts(weights, count))
    liking = reward.liking(liked, weights)
    share = arm.weight / (arm.weight + arm.prior.weight)
    worth = max(0.0, quality * liking - latency - cost)
    found, widest = (1.0, 0.0), 0.0
    for trace, slope in (
        (arm.success, worth),
        (arm.quality, success * liking),
        (arm.liking, success * quality * weights.feedback_weight),
        (arm.latency, -success),
        (arm.cost, -success),
    ):
        if trace.seen:
            usual, apart = trace.chance(count), share * slope * (trace.mean - trace.fast)
            width = usual * (1.0 - usual) * apart**2
            if width > widest:
                found, widest = (usual, apart), width
    return found
