from __future__ import annotations

from math import log

import pytest

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.reward import Observation, Usual

WEIGHTS = Ranking(latency_weight=0.2, cost_weight=0.1, cost_scale_usd=0.002)


USUAL = Usual(log(2.0), log(0.02))


def tried(**fields: object) -> Observation:
    return Observation(1.0, "r1", 0, "technical", "model-a", **fields)  # type: ignore[arg-type]


def test_a_quick_free_liked_answer_earns_everything() -> None:
    seen = tried(ttft_ms=0.0, cost_usd=0.0, quality=1.0, liked=True)
    assert reward.of(seen, WEIGHTS, USUAL) == pytest.approx(1.0, abs=1e-3)


def test_a_failure_earns_nothing() -> None:
    assert reward.of(tried(outcome="failed", error="server"), WEIGHTS, USUAL) == 0.0
    assert reward.of(tried(outcome="timed_out", error="timeout"), WEIGHTS, USUAL) == 0.0


def test_a_late_answer_earns_a_part() -> None:
    late = reward.of(tried(outcome="late", ttft_ms=4_000.0), WEIGHTS, USUAL)
    ok = reward.of(tried(outcome="ok", ttft_ms=4_000.0), WEIGHTS, USUAL)
    assert late is not None
    assert ok is not None
    assert late == pytest.approx(0.3 * ok)


@pytest.mark.parametrize(
    ("outcome", "error"),
    [("cancelled", None), ("skipped", None), ("failed", "content_filter")]
    + [("failed", kind) for kind in ("context_length", "bad_request", "capability")],
)
def test_what_is_not_the_providers_doing_is_no_evidence(outcome: str, error: str | None) -> None:
    assert reward.of(tried(outcome=outcome, error=error), WEIGHTS, USUAL) is None


def test_both_shares_are_half_their_weight_at_their_scale_and_never_exceed_it() -> None:
    assert reward.latency_share(log(2.0), None, USUAL, WEIGHTS) == pytest.approx(0.1)
    assert reward.cost_share(0.002, WEIGHTS) == pytest.approx(0.05)
    assert reward.latency_share(log(1e6), log(1e6), USUAL, WEIGHTS) < 0.2
    assert reward.cost_share(1e9, WEIGHTS) == 0.1


def test_an_unknown_cost_is_not_free() -> None:
    unknown = reward.of(tried(ttft_ms=100.0), WEIGHTS, USUAL)
    free = reward.of(tried(ttft_ms=100.0, cost_usd=0.0), WEIGHTS, USUAL)
    assert unknown is not None
    assert free is not None
    assert unknown < free


def test_a_thumb_down_takes_its_weight_off_the_quality() -> None:
    up = reward.of(tried(ttft_ms=0.0, cost_usd=0.0, quality=1.0, liked=True), WEIGHTS, USUAL)
    down = reward.of(tried(ttft_ms=0.0, cost_usd=0.0, quality=1.0, liked=False), WEIGHTS, USUAL)
    assert up == pytest.approx(1.0, abs=1e-3)
    assert down == pytest.approx(1.0 - WEIGHTS.feedback_weight, abs=1e-3)


def test_a_wait_is_weighed_by_what_the_category_is_used_to() -> None:
    """A tenth of a second against four tenths weighs as much as one second against four."""
    short, long = Usual(log(0.1)), Usual(log(1.0))
    quick = reward.latency_share(log(0.4), None, short, WEIGHTS)
    assert quick == pytest.approx(reward.latency_share(log(4.0), None, long, WEIGHTS))
    assert quick - reward.latency_share(log(0.1), None, short, WEIGHTS) > 0.05


def test_slow_tokens_cost_as_much_as_a_slow_first_one() -> None:
    usual = reward.of(tried(ttft_ms=2_000.0, latency_ms=4_000.0, tokens_out=101), WEIGHTS, USUAL)
    late = reward.of(tried(ttft_ms=8_000.0, latency_ms=10_000.0, tokens_out=101), WEIGHTS, USUAL)
    slow = reward.of(tried(ttft_ms=2_000.0, latency_ms=10_000.0, tokens_out=101), WEIGHTS, USUAL)
    assert usual is not None
    assert slow == pytest.approx(late)
    assert slow < usual


def test_a_whole_answer_is_judged_by_its_total_over_what_is_usual_for_its_length() -> None:
    """2 s to the first token and 0.02 s for each of 100 more are 4 s."""
    whole = reward.felt(tried(ttft_ms=8_000.0, latency_ms=8_000.0, tokens_out=101), USUAL)
    assert whole is not None
    assert whole.wait == pytest.approx(log(2.0 * 2.0))
    assert whole.pace == pytest.approx(log(0.02 * 2.0))
