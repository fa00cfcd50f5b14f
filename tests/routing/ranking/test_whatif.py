"""What if: on a world where the answer is known."""

from __future__ import annotations

import random

import pytest

from config.models import Ranking as Weights
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation
from routing.ranking.whatif import Scored, outcome, scored

COST = {"dear": 0.004, "cheap": 0.0004}
SUCCESS = {"dear": 0.98, "cheap": 0.90}


def logged(requests: int, turns: int = 1) -> list[tuple[str, list[Observation]]]:
    """Requests of which 70% were drawn to the dear provider."""
    rng = random.Random(7)
    rows = []
    for n in range(requests):
        name, chance = ("dear", 0.7) if rng.random() < 0.7 else ("cheap", 0.3)
        seen = Observation(
            float(n), f"r{n:06d}", 0, "general", name,
            outcome="ok" if rng.random() < SUCCESS[name] else "failed",
            ttft_ms=400.0, cost_usd=COST[name], propensity=chance,
        )  # fmt: skip
        rows.append((f"c{n // turns}", [seen]))
    return rows


def under(rows: list[tuple[str, list[Observation]]], **weights: float) -> list[Scored]:
    settings = Weights(explore_min=0.02, explore_max=0.02, **weights)  # type: ignore[arg-type]
    return scored(Ranking(settings, {"general": ["dear", "cheap"]}), rows)


def test_a_heavier_price_is_estimated_to_cost_what_it_would_have() -> None:
    """By the heavy price the cheap one is asked 98 times in 100."""
    found = outcome(under(logged(1_500), cost_weight=0.6)[300:])
    assert found.cost_usd is not None
    assert found.success is not None
    assert found.cost_usd.low <= 0.98 * COST["cheap"] + 0.02 * COST["dear"] <= found.cost_usd.high
    assert found.success.low <= 0.98 * 0.90 + 0.02 * 0.98 <= found.success.high
    assert found.success.high - found.success.low < 0.1


def test_few_conversations_are_not_enough_however_many_their_turns() -> None:
    found = outcome(under(logged(600, turns=20), cost_weight=0.6))
    assert found.success is None
    assert found.effective < 50


def test_turns_of_one_conversation_do_not_narrow_the_interval() -> None:
    alone = [Scored(f"c{n}", 1.0, float(n % 2), 0.001, 0.4) for n in range(200)]
    alike = [Scored(f"c{n % 200}", 1.0, float(n % 2), 0.001, 0.4) for n in range(2_000)]
    one, many = outcome(alone).success, outcome(alike).success
    assert one is not None
    assert many is not None
    assert many.high - many.low == pytest.approx(one.high - one.low)


def test_a_request_that_was_not_drawn_is_left_out() -> None:
    rows = [(name, [seen._replace(propensity=None)]) for name, [seen] in logged(20)]
    assert under(rows) == []
