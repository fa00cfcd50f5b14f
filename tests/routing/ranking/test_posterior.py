from __future__ import annotations

import random
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.ranking.posterior import Belief, best_probabilities, moments

NORMAL = st.tuples(st.just(1.0), st.floats(0.0, 1.0), st.floats(1e-6, 0.05))


@given(st.lists(st.tuples(NORMAL), min_size=1, max_size=8))
def test_the_chances_to_be_best_add_up_to_one(beliefs: list[Belief]) -> None:
    chances = best_probabilities(beliefs)
    assert sum(chances) == pytest.approx(1.0)
    assert min(chances) >= 0.0


def test_one_that_is_either_very_good_or_very_bad_is_best_as_often_as_it_is_good() -> None:
    either: Belief = ((0.4, 0.9, 1e-4), (0.6, 0.3, 1e-4))
    sure: Belief = ((1.0, 0.7, 1e-4),)
    assert best_probabilities([either, sure])[0] == pytest.approx(0.4, abs=0.01)


def test_the_chances_are_those_of_drawing() -> None:
    beliefs: list[Belief] = [
        ((1.0, 0.70, 0.004),),
        ((0.7, 0.75, 0.002), (0.3, 0.4, 0.002)),
        ((1.0, 0.65, 0.01),),
    ]
    rng = random.Random(1)

    def drawn(belief: Belief) -> float:
        part = rng.choices(belief, [weight for weight, _, _ in belief])[0]
        return rng.gauss(part[1], part[2] ** 0.5)

    wins = [0, 0, 0]
    for _ in range(20_000):
        values = [drawn(belief) for belief in beliefs]
        wins[values.index(max(values))] += 1
    assert best_probabilities(beliefs) == pytest.approx([w / 20_000 for w in wins], abs=0.02)


def test_the_moments_are_those_of_drawing() -> None:
    belief: Belief = ((0.7, 0.5, 0.01), (0.3, 0.9, 0.002))
    rng = random.Random(1)
    parts = rng.choices(belief, [part[0] for part in belief], k=20_000)
    drawn = [rng.gauss(mean, variance**0.5) for _, mean, variance in parts]
    assert moments(belief) == pytest.approx((fmean(drawn), pvariance(drawn)), abs=0.005)
