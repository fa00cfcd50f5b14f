"""Daily limits."""

import pytest

from config.models import Budget
from race.budget import Allowance, HedgeBudget


def test_without_a_limit_nothing_leans_and_nobody_is_barred():
    allowance = Allowance(Budget(), {"dear": 1000.0})
    assert (allowance.lean, allowance.barred("dear", free=False)) == (0.0, None)


@pytest.mark.parametrize(("spent", "lean"), [(0.0, 0.0), (0.8, 0.0), (0.9, 0.5), (1.0, 1.0)])
def test_near_the_limit_the_order_leans_to_cheap_models(spent, lean):
    assert Allowance(Budget(daily_usd=1.0), {"a": spent}).lean == pytest.approx(lean)


def test_at_the_limit_paid_models_are_barred_and_free_ones_are_not():
    allowance = Allowance(Budget(daily_usd=1.0), {"a": 0.6, "b": 0.5})
    assert "today's budget of $1 is spent" in str(allowance.barred("a", free=False))
    assert allowance.barred("local", free=True) is None


def test_a_providers_own_limit_bars_it_alone():
    allowance = Allowance(Budget(providers={"a": 0.5}), {"a": 0.5, "b": 9.0})
    assert "for a is spent" in str(allowance.barred("a", free=False))
    assert allowance.barred("b", free=False) is None


def test_a_limit_of_zero_bars_every_paid_model():
    allowance = Allowance(Budget(daily_usd=0.0), {})
    assert allowance.lean == 1.0
    assert allowance.barred("a", free=False)


def test_at_most_a_tenth_of_many_requests_is_hedged() -> None:
    budget, hedged = HedgeBudget(), 0
    for _ in range(1000):
        budget.earn()
        hedged += budget.spend()
    assert 95 <= hedged <= 105


def test_quiet_times_save_up_only_so_much() -> None:
    budget = HedgeBudget()
    for _ in range(1000):
        budget.earn()
    assert sum(budget.spend() for _ in range(1000)) == 10
