"""The hedge budget."""

from race.hedge import HedgeBudget


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
