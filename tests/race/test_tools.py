"""The floor, taken by calls of tools."""

from __future__ import annotations

from config.models import Limits
from providers.base import ToolCallDelta
from race.actions import Call, Decide, Say, Switch
from race.machine import Race

LIMITS = Limits(ttft_s=1.0, stall_s=2.0, deadline_s=60.0)
FIRST = (ToolCallDelta(0, "c1", "f", '{"a"'),)
REST = (ToolCallDelta(0, arguments=": 1}"),)


def race(*, rewindable: bool = True) -> Race:
    made = Race(LIMITS, admitted_at=0.0, rewindable=rewindable, continuable=False)
    made.begin(0.0)
    return made


def test_the_first_piece_of_a_call_takes_the_floor() -> None:
    one = race()
    assert one.called("primary", FIRST, 0.5) == [Call("primary", FIRST)]
    assert one.called("primary", REST, 0.6) == [Call("primary", REST)]
    assert one.done("primary", 0.7) == [Decide("primary", "complete")]


def test_what_was_held_back_is_shown_in_its_order_and_never_mixed() -> None:
    one = race()
    one.token("fallback", "I ", 0.1)
    one.token("fallback", "look.", 0.1)
    one.called("fallback", FIRST, 0.2)
    one.called("fallback", REST, 0.3)
    actions = one.failed("primary", 0.4)
    assert actions == [
        Switch("fallback", "failed", 0),
        Say("fallback", "I look."),
        Call("fallback", FIRST),
        Call("fallback", REST),
    ]


def test_after_a_shown_call_nothing_is_rescued_live() -> None:
    one = race(rewindable=False)
    one.called("primary", FIRST, 0.5)
    one.token("fallback", "Text.", 0.6)
    assert one.failed("primary", 0.7) == [Decide(None, "cut")]


def test_a_call_that_falls_silent_live_ends_the_race_at_the_stall_limit() -> None:
    one = race(rewindable=False)
    one.called("primary", FIRST, 0.5)
    assert one.tick(2.4) == []
    assert one.tick(2.6) == [Decide(None, "cut")]


def test_a_text_that_was_cut_with_tools_present_is_never_gone_on_with() -> None:
    one = race(rewindable=False)
    one.token("primary", "I will", 0.5)
    assert one.failed("primary", 0.7) == [Decide(None, "cut")]


def test_where_text_can_be_taken_back_the_other_side_takes_over() -> None:
    one = race()
    one.token("primary", "I ", 0.4)
    one.called("primary", FIRST, 0.5)
    one.called("fallback", FIRST, 0.6)
    actions = one.failed("primary", 0.7)
    assert actions == [Switch("fallback", "failed", 2), Call("fallback", FIRST)]
