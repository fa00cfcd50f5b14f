from __future__ import annotations

import pytest

from config.hosts import Cost
from providers.base import Usage, cost_usd, estimate_tokens


def test_a_call_costs_its_tokens_by_the_million() -> None:
    cost = Cost(input=0.59, output=0.79)
    assert cost_usd(cost, Usage(1_000_000, 2_000_000)) == pytest.approx(0.59 + 2 * 0.79)
    assert cost_usd(cost, Usage(0, 0)) == 0


def test_unknown_prices_are_not_free() -> None:
    assert cost_usd(None, Usage(10, 10)) is None


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("Hello", 1),
        ("What is the capital of Australia?", 9),
        ("1234567", 3),
        ("東京", 2),
        ("a == b", 3),
    ],
)
def test_tokens_are_estimated_by_words_digits_and_signs(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
