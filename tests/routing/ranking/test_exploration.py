"""How much is explored, and who."""

from __future__ import annotations

import pytest

from config.models import Ranking as Weights
from routing.ranking.exploration import Served, chances
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
