from __future__ import annotations

import pytest

from telemetry.summary import figures
from tests.telemetry.rows import attempt, request


def test_each_provider_of_each_category_has_its_figures() -> None:
    rows = [
        request("r1", attempts=[attempt(ttft_ms=100.0), attempt(1, provider="model-b")]),
        request("r2", attempts=[attempt(ttft_ms=300.0, outcome="failed", cost_usd=None)]),
        request("r3", category="creative", attempts=[attempt()]),
    ]
    found = {(f.category, f.provider): f for f in figures(rows)}
    assert list(found) == [
        ("creative", "model-a"),
        ("technical", "model-a"),
        ("technical", "model-b"),
    ]
    entry = found["technical", "model-a"]
    assert (entry.n, entry.success, entry.ttft_p50_ms) == (2, 0.5, 100.0)
    assert (entry.cost_usd, entry.cost_unknown) == (pytest.approx(0.0004), 1)


def test_a_cancelled_call_costs_but_is_no_failure() -> None:
    row = request("r1", attempts=[attempt(), attempt(1, outcome="cancelled", cost_usd=0.1)])
    (entry,) = figures([row])
    assert (entry.n, entry.success) == (1, 1.0)
    assert entry.cost_usd == pytest.approx(0.1004)


def test_a_skipped_provider_was_not_asked() -> None:
    assert figures([request("r1", attempts=[attempt(outcome="skipped")])]) == []


def test_an_unknown_cost_is_not_zero() -> None:
    (entry,) = figures([request("r1", attempts=[attempt(cost_usd=None)])])
    assert entry.cost_usd is None
