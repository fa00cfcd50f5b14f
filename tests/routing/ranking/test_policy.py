"""How beliefs become an order, and who is asked."""

from __future__ import annotations

import random
from statistics import NormalDist, fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Ranking as Weights
from routing.ranking.policy import (
    DIFFERENCE,
    Belief,
    Served,
    best_probabilities,
    chances,
    differs,
    moments,
)

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


WEIGHTS = Weights()


def served(**beliefs: tuple[float, float]) -> Served:
    """The state for a mean and a variance by name, in the given order, all at the same price."""
    parts: dict[str, Belief] = {
        name: ((1.0, mean, variance),) for name, (mean, variance) in beliefs.items()
    }
    return Served(
        order=tuple(parts),
        means={name: mean for name, (mean, _) in beliefs.items()},
        costs=dict.fromkeys(parts, 0.1),
        beliefs=parts,
        changed=dict.fromkeys(parts, 0.0),
        reranks=1,
        answers=1_000,
    )


def explored(state: Served) -> float:
    return 1.0 - chances(state, state.order, WEIGHTS)[state.order[0]]


def test_two_that_are_known_to_be_alike_are_not_worth_telling_apart() -> None:
    alike = served(first=(0.8, 1e-7), second=(0.8, 1e-7))
    assert explored(alike) < 0.04


def test_one_that_may_be_much_better_is_explored_the_most() -> None:
    assert explored(served(first=(0.7, 1e-4), unknown=(0.7, 0.04))) > 0.06


def test_what_is_known_to_be_worse_is_explored_the_least() -> None:
    sure = served(first=(0.8, 1e-4), second=(0.4, 1e-4))
    assert explored(sure) == pytest.approx(WEIGHTS.explore_min, abs=1e-3)


def test_what_is_explored_anyway_goes_to_the_one_that_was_not_heard_of_for_longest() -> None:
    state = served(first=(0.8, 1e-4), second=(0.7, 1e-4), worst=(0.3, 1e-4))
    state.changed.update(second=0.01, worst=0.2)
    found = chances(state, state.order, WEIGHTS)
    assert found["worst"] > 0.9 * WEIGHTS.explore_min
    assert explored(state) == pytest.approx(WEIGHTS.explore_min, abs=0.005)


def test_the_shares_are_those_of_the_providers_that_are_left() -> None:
    state = served(first=(0.9, 1e-4), second=(0.6, 1e-3), third=(0.6, 0.04))
    left = chances(state, ("second", "third"), WEIGHTS)
    assert sum(left.values()) == pytest.approx(1.0)
    assert left["third"] > WEIGHTS.explore_min


def test_the_declared_first_keeps_most_requests_while_the_others_seem_as_good() -> None:
    alike = served(first=(0.8, 5e-4), second=(0.8, 5e-4), third=(0.8, 5e-4))
    assert explored(alike) < 0.4


def test_one_that_seems_better_is_asked_before_the_order_turns() -> None:
    state = served(first=(0.6, 1e-3), second=(0.75, 1e-3), third=(0.6, 1e-3))
    assert chances(state, state.order, WEIGHTS)["second"] > 0.7


def test_the_more_models_there_are_the_less_likely_the_first_is_as_good_as_any() -> None:
    state = served(**{f"model-{n}": (0.7, 0.01) for n in range(9)})
    few = chances(state, state.order[:3], WEIGHTS)["model-0"]
    assert few > 2.0 * chances(state, state.order, WEIGHTS)["model-0"]


def test_alike_is_believed_by_the_bayes_factor_of_a_point() -> None:
    one, other = ((1.0, 0.75, 0.01),), ((1.0, 0.7, 0.01),)
    null = NormalDist(0.0, 0.02**0.5).pdf(0.05)
    wide = NormalDist(0.0, (0.02 + DIFFERENCE**2) ** 0.5).pdf(0.05)
    assert differs(one, other, 2) == pytest.approx(wide / (wide + null))
    assert differs(one, other, 5) == pytest.approx(wide / (wide + null / 4))
