"""How much is explored, and who."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from config.models import Ranking as Weights
from routing.ranking.exploration import DIFFERENCE, Served, chances, differs
from routing.ranking.posterior import Belief

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
