"""The shipped order agrees with public evidence, also with evidence that it did not use."""

from __future__ import annotations

import pytest

from benchmarks.search_order import Bench
from config.evidence import load_evidence


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("category", ["technical", "creative", "general"])
def test_the_order_meets_its_targets(bench: Bench, category: str) -> None:
    bench.missed.clear()
    bench.category(category)
    assert bench.missed == []


def test_a_model_without_a_figure_or_a_host_leads_nowhere(bench: Bench) -> None:
    for category in bench.settings.priorities:
        for leader in bench.order(category, load_evidence("config")).candidates[:5]:
            assert leader.served
            assert leader.quality is not None
            assert leader.quality.measured
