from __future__ import annotations

import pytest

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.reward import Observation

WEIGHTS = Ranking(latency_weight=0.2, latency_scale_s=2.0, cost_weight=0.1, cost_scale_usd=0.002)


def tried(**fields: object) -> Observation:
    return Observation(1.0, "r1", 0, "technical", "model-a", **fields)  # type: ignore[arg-type]


def test_a_quick_free_liked_answer_earns_everything() -> None:
    seen = tried(ttft_ms=0.0, cost_usd=0.0, quality=1.0, liked=True)
    assert reward.of(seen, WEIGHTS) == 1.0


def test_a_failure_earns_nothing() -> None:
    assert reward.of(tried(outcome="failed", error="server"), WEIGHTS) == 0.0
    assert reward.of(tried(outcome="timed_out", error="timeout"), WEIGHTS) == 0.0


def test_a_late_answer_earns_a_part() -> None:
    late = reward.of(tried(outcome="late", ttft_ms=4_000.0), WEIGHTS)
    ok = reward.of(tried(outcome="ok", ttft_ms=4_000.0), WEIGHTS)
    assert late is not None
    assert ok is not None
    assert late == pytest.approx(0.3 * ok)


@pytest.mark.parametrize(
    ("outcome", "error"),
    [("cancelled", None), ("skipped", None), ("failed", "content_filter")]
    + [("failed", kind) for kind in ("context_length", "bad_request", "capability")],
)
def test_what_is_not_the_providers_doing_is_no_evidence(outcome: str, error: str | None) -> None:
    assert reward.of(tried(outcome=outcome, error=error), WEIGHTS) is None


def test_both_shares_are_half_their_weight_at_their_scale_and_never_exceed_it() -> None:
    assert reward.latency_share(2_000, WEIGHTS) == pytest.approx(0.1)
    assert reward.cost_share(0.002, WEIGHTS) == pytest.approx(0.05)
    assert reward.latency_share(1e9, WEIGHTS) < 0.2
    assert reward.cost_share(1e9, WEIGHTS) == 0.1


def test_an_unknown_cost_is_not_free() -> None:
    unknown = reward.of(tried(ttft_ms=100.0), WEIGHTS)
    free = reward.of(tried(ttft_ms=100.0, cost_usd=0.0), WEIGHTS)
    assert unknown is not None
    assert free is not None
    assert unknown < free


def test_a_thumb_down_takes_its_weight_off_the_quality() -> None:
    up = reward.of(tried(ttft_ms=0.0, cost_usd=0.0, quality=1.0, liked=True), WEIGHTS)
    down = reward.of(tried(ttft_ms=0.0, cost_usd=0.0, quality=1.0, liked=False), WEIGHTS)
    assert up == 1.0
    assert down == pytest.approx(1.0 - WEIGHTS.feedback_weight)
