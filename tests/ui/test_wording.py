"""Figures and sentences."""

import re

import pytest

from ui import theme, wording


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (None, "–"),
        (0, "0 ms"),
        (85.4, "85 ms"),
        (999.7, "1.00 s"),
        (1240, "1.24 s"),
        (12_340, "12.3 s"),
        (125_000, "2 min 5 s"),
    ],
)
def test_durations_read_as_people_say_them(ms, said):
    assert wording.seconds(ms) == said


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (None, "price unknown"),
        (0, "free"),
        (0.0000001, "under $0.000001"),
        (0.000024, "$0.000024"),
        (0.0021, "$0.0021"),
        (0.05, "$0.0500"),
        (12.3, "$12.30"),
    ],
)
def test_an_unknown_price_is_not_free(cost, said):
    assert wording.usd(cost) == said


@pytest.mark.parametrize("outcome", ["ok", "failed", "timed_out", "late", "cancelled", "skipped"])
def test_every_outcome_has_a_sentence_of_its_own(outcome):
    row = {"outcome": outcome, "ttft_ms": 100, "latency_ms": 200, "error": "server"}
    others = {wording.how_ended({**row, "outcome": o}) for o in ("running", "")}
    assert wording.how_ended(row) not in others


@pytest.mark.parametrize("reason", ["timeout", "stalled", "no_provider", "server", "retried", ""])
def test_whoever_takes_over_blames_nobody_before_the_reason_is_known(reason):
    assert wording.took_over("cheap", reason).startswith("cheap answers now: ")


def test_what_a_late_call_cost_is_not_known_yet():
    assert wording.price({"outcome": "timed_out", "cost_usd": None}) == "not known yet"
    assert wording.price({"outcome": "skipped", "cost_usd": 0.0}) == ""
    assert wording.price({"outcome": "failed", "cost_usd": None}) == "price unknown"
    assert wording.price({"outcome": "ok", "cost_usd": 0.5}) == "$0.5000"


def test_white_words_can_be_read_on_every_button():
    """Also while the pointer is over it, which no browser's check sees."""
    fills = re.findall(r"--rt-button(?:-hover)?: #(\w{6});", theme.css())
    assert len(fills) == 4
    assert [fill for fill in fills if 1.05 / (luminance(fill) + 0.05) < 4.5] == []


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
