"""What if, from the log's rows: on a world where the answer is known."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.errors import UsageError
from config.models import Ranking as Weights
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation
from runtime.whatif import Scored, changed, last_days, outcome, scored, what_if
from telemetry.log import InteractionLog
from tests.conftest import SettingsFor
from tests.telemetry.rows import attempt, request
from ui.boards.whatif import SLIDERS, answer, days_of, sliders

COST = {"first": 0.002, "second": 0.0004}
SUCCESS = {"first": 0.98, "second": 0.90}
C = "general"


def logged(count: int, start: float = 1e9) -> list[Any]:
    """Requests of which 70% were drawn to the dear one."""
    rng, rows = random.Random(7), []
    for n in range(count):
        name, chance = ("first", 0.7) if rng.random() < 0.7 else ("second", 0.3)
        made = attempt(
            provider=name, cost_usd=COST[name], propensity=chance, at=start + n, category=C,
            outcome="ok" if rng.random() < SUCCESS[name] else "failed", ttft_ms=400.0,
        )  # fmt: skip
        rows.append({**request(f"r{n:05d}", at=start + n, category=C), "attempts": [made]})
    return rows


def test_a_heavier_price_would_have_turned_the_order_and_the_bill(
    settings_for: SettingsFor,
) -> None:
    """Under it the cheap one is asked all but always: $0.4 for 1,000, and a little less success."""
    settings = settings_for(ranking={"explore_min": 0.02, "explore_max": 0.02, "margin": 0.001})
    found = what_if(settings, changed(settings.ranking, "cost_weight=0.6"), logged(1_200))
    was, would = found.orders[C]
    assert (was[0], would[0]) == ("first", "second")
    assert found.drawn == found.requests == 1_200
    figures = {one.label: one for one in found.figures()}
    bill = figures["USD for 1,000"]
    assert float(bill.was) == pytest.approx(0.7 * 2 + 0.3 * 0.4, abs=0.15)
    assert float(bill.would) == pytest.approx(0.98 * 0.4 + 0.02 * 2, abs=0.04)  # once it knows
    assert float(bill.high) < float(bill.was)
    success = figures["succeeded"]
    assert float(success.low) <= 0.90 + 0.02 * 0.08 <= float(success.high)


def test_the_weights_in_force_change_nothing(settings_for: SettingsFor) -> None:
    settings = settings_for()
    found = what_if(settings, settings.ranking, logged(300))
    assert all(was == would for was, would in found.orders.values())


async def test_the_last_days_of_a_short_log_are_not_enough(
    settings_for: SettingsFor, tmp_path: Path
) -> None:
    settings, log = settings_for(), InteractionLog.open(None, tmp_path / "log")
    now = log.now()
    for row in [*logged(20, now - 3_600), *logged(3, now - 9 * 86_400)]:
        row["request_id"] += f"-{row['at']}"
        attempts = [{**a, "request_id": row["request_id"]} for a in row.pop("attempts")]
        await log.write(row, attempts)
    services: Any = SimpleNamespace(settings=settings, log=log)
    found = await last_days(services, settings.ranking, 7.0)
    await log.close()
    assert found.requests == 20
    shown = answer(found)
    assert shown["figures"] == []
    assert str(shown["missing"]).startswith("Not enough data")


def test_every_slider_is_a_weight_and_stands_where_it_is_in_force() -> None:
    weights = Weights(cost_weight=0.4)
    at = {str(one["name"]): one["value"] for one in sliders(weights)}
    assert at["cost_weight"] == 0.4
    said = ",".join(f"{name}={value}" for name, value in at.items())
    assert changed(weights, said) == weights
    assert at.keys() == SLIDERS.keys()


@pytest.mark.parametrize("sent", [None, "0", "1000", ["7"]])
def test_other_days_than_those_offered_are_refused(sent: object) -> None:
    with pytest.raises(UsageError, match="choose 1, 7, 30 days"):
        days_of(sent)


PRICES = {"dear": 0.004, "cheap": 0.0004}
SUCCEEDS = {"dear": 0.98, "cheap": 0.90}


def conversations(requests: int, turns: int = 1) -> list[tuple[str, list[Observation]]]:
    """Requests of which 70% were drawn to the dear provider."""
    rng = random.Random(7)
    rows = []
    for n in range(requests):
        name, chance = ("dear", 0.7) if rng.random() < 0.7 else ("cheap", 0.3)
        seen = Observation(
            float(n), f"r{n:06d}", 0, "general", name,
            outcome="ok" if rng.random() < SUCCEEDS[name] else "failed",
            ttft_ms=400.0, cost_usd=PRICES[name], propensity=chance,
        )  # fmt: skip
        rows.append((f"c{n // turns}", [seen]))
    return rows


def under(rows: list[tuple[str, list[Observation]]], **weights: float) -> list[Scored]:
    settings = Weights(explore_min=0.02, explore_max=0.02, **weights)  # type: ignore[arg-type]
    return scored(Ranking(settings, {"general": ["dear", "cheap"]}), rows)


def test_a_heavier_price_is_estimated_to_cost_what_it_would_have() -> None:
    """By the heavy price the cheap one is asked 98 times in 100."""
    found = outcome(under(conversations(1_500), cost_weight=0.6)[300:])
    assert found.cost_usd is not None
    assert found.success is not None
    expected = 0.98 * PRICES["cheap"] + 0.02 * PRICES["dear"]
    assert found.cost_usd.low <= expected <= found.cost_usd.high
    assert found.success.low <= 0.98 * 0.90 + 0.02 * 0.98 <= found.success.high
    assert found.success.high - found.success.low < 0.1


def test_few_conversations_are_not_enough_however_many_their_turns() -> None:
    found = outcome(under(conversations(600, turns=20), cost_weight=0.6))
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
    rows = [(name, [seen._replace(propensity=None)]) for name, [seen] in conversations(20)]
    assert under(rows) == []
