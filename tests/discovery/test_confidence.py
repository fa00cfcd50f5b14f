"""The confidence sequence keeps its promise however often it is looked at, and decides in time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.confidence import PairedDifference


def decision(draws: list[float]) -> str:
    """What a trial that looks after every pair would conclude."""
    bounds = PairedDifference(alpha=0.05)
    for difference in draws:
        bounds.add(difference)
        if bounds.lower > 0:
            return "better"
        if bounds.upper < 0:
            return "worse"
    return "undecided"


def drawn(wins: float, losses: float, seed: int, count: int = 40) -> list[float]:
    draw = random.Random(seed)
    return [
        1.0 if (u := draw.random()) < wins else -1.0 if u > 1 - losses else 0.0
        for _ in range(count)
    ]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_equal_models_are_rarely_found_different(share: float) -> None:
    wrong = sum(decision(drawn(share, share, seed)) != "undecided" for seed in range(80))
    assert wrong / 80 <= 0.05


def test_a_clearly_better_model_is_recognised_before_the_probes_end() -> None:
    assert sum(decision(drawn(0.6, 0.0, seed)) == "better" for seed in range(30)) >= 29


def test_a_clearly_worse_model_is_recognised() -> None:
    assert sum(decision(drawn(0.0, 0.6, seed)) == "worse" for seed in range(30)) >= 29


def test_ties_alone_decide_nothing_and_narrow_the_interval() -> None:
    bounds = PairedDifference()
    widths = []
    for _ in range(40):
        bounds.add(0.0)
        widths.append(bounds.upper - bounds.lower)
    assert bounds.lower <= 0.0 <= bounds.upper
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=25))
def test_bounds_are_a_shrinking_interval_within_the_range(differences: list[float]) -> None:
    bounds, before = PairedDifference(), (-1.0, 1.0)
    for difference in differences:
        bounds.add(difference)
        assert -1.0 <= bounds.lower <= bounds.upper <= 1.0
        assert bounds.upper - bounds.lower <= before[1] - before[0] + 1e-9
        before = bounds.lower, bounds.upper


def test_a_difference_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="not a difference of two scores"):
        PairedDifference().add(1.5)
