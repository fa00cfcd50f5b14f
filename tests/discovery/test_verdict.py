"""What becomes of a provider on trial, from its standing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from discovery.trial import ENOUGH, LONG, verdict
from routing.ranking.standings import Standing

INCUMBENT = Standing(
    provider="old",
    position=0,
    declared_position=0,
    mean=0.70,
    low=0.66,
    high=0.74,
    p_best=0.9,
    n=400,
    success=0.98,
    quality=None,
    ttft_p50_ms=300,
    ttft_p95_ms=800,
    cost_usd=0.001,
    liked=0,
    disliked=0,
)
TRIAL = replace(INCUMBENT, provider="new", position=2, trial=0.05, n=60)


def trial(mean: float, half: float, n: int) -> Standing:
    return replace(TRIAL, mean=mean, low=mean - half, high=mean + half, n=n)


@pytest.mark.parametrize(
    ("standing", "action", "why"),
    [
        (trial(0.20, 0.10, ENOUGH - 1), "keep", "too early"),
        (trial(0.50, 0.05, ENOUGH), "roll back", "certainly worse"),
        (trial(0.80, 0.05, ENOUGH), "promote", "as good or better"),
        (trial(0.69, 0.005, 90), "promote", "as good or better"),
        (trial(0.66, 0.05, 90), "keep", "not certain yet"),
        (trial(0.66, 0.05, LONG), "roll back", "no better after a long trial"),
        (trial(0.69, 0.05, LONG), "promote", "no worse after a long trial"),
    ],
)
def test_a_trial_is_judged_by_its_bounds(standing: Standing, action: str, why: str) -> None:
    decision = verdict(standing, [INCUMBENT, standing])
    assert decision.action == action
    assert why in decision.reason
    assert "old 0.700" in decision.reason


def test_a_breaker_that_opens_ends_a_trial_at_once() -> None:
    decision = verdict(trial(0.9, 0.3, 2), [INCUMBENT], breaker_opened=True)
    assert decision.action == "roll back"
    assert "breaker of new opened" in decision.reason


def test_other_trials_are_no_yardstick() -> None:
    other = replace(INCUMBENT, provider="also-new", trial=0.02)
    assert verdict(trial(0.1, 0.01, 90), [other, TRIAL]).action == "keep"
