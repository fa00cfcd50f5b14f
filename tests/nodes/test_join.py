"""What an answer is called that nobody could bring to its end."""

from __future__ import annotations

from config.models import Limits
from nodes.join import pick
from race.request import Asked
from race.state import Branch, State
from tests.telemetry.rows import attempt


def test_a_call_that_broke_off_is_named_though_the_fallback_was_never_asked() -> None:
    """The request was decided before the fallback's turn came: that is no reason of its own."""
    broke = attempt(provider="first", outcome="failed", error="connection", ttft_ms=50.0)
    skipped = attempt(provider="cheap", role="fallback", outcome="skipped")
    skipped["detail"] = "the request is decided"
    state = State(
        primary=Branch(provider="first", out="failed", attempts=[broke]),
        fallback=Branch(attempts=[skipped]),
    )
    asked = Asked("Why?", rewindable=False)
    answer = pick(state, asked, Limits(), can_replace=False, holder="primary")
    assert answer["error_kind"] == "cut"
    assert answer["error"] == (
        "first was cut off in the middle of its answer, and no other model may continue tool"
        " calls, a format or log probabilities"
    )
