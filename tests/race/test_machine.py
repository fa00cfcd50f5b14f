"""The rules of the race, each instant on a scripted clock."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.models import Limits
from race.actions import Continue, Decide, Say, Side, StartFallback, Switch
from race.machine import Race

LIMITS = Limits(ttft_s=0.5, stall_s=10.0, deadline_s=60.0)
THINK_S = {"long": 2.0}
"""What an "alive" step's text stands for."""


@dataclass
class Told:
    """What a caller of the race saw, with the instants in milliseconds."""

    decided_ms: float | None = None
    winner: str | None = None
    reason: str = ""
    text: str = ""
    switches: list[tuple[str, str, int]] = field(default_factory=list)
    fallback_started_ms: float | None = None
    continued_from: list[str] = field(default_factory=list)
    first_ms: float | None = None


Step = tuple[float, Side, str, str]  # ms, side, what, text or reason


def play(race: Race, script: list[Step], *, until_ms: float = 200_000) -> Told:
    """Feed a script to the race, tick it exactly when it asks to be, and note what it says."""
    told = Told()
    queue: list[tuple[float, int, Side, str, str]] = []
    for n, (at, side, what, text) in enumerate(script):
        heapq.heappush(queue, (at / 1000, n, side, what, text))
    now = 0.0
    _carry_out(told, race.begin(0.0), 0.0)
    while told.winner is None and told.decided_ms is None:
        tick = race.next_at(now)
        event = queue[0][0] if queue else None
        instants = [t for t in (tick, event) if t is not None]
        if not instants or min(instants) > until_ms / 1000:
            break
        now = min(instants)
        if event is not None and event <= now:
            _, _, side, what, text = heapq.heappop(queue)
            _carry_out(told, _feed(race, side, what, text, now), now)
        else:
            _carry_out(told, race.tick(now), now)
    return told


def _feed(race: Race, side: Side, what: str, text: str, now: float) -> list:
    match what:
        case "token":
            return race.token(side, text, now)
        case "alive":
            return race.alive(side, now, think_s=THINK_S.get(text))
        case "done":
            return race.done(side, now)
        case "failed":
            return race.failed(side, now)
        case "retry":
            return race.failed(side, now, retrying=True)
        case "refused":
            return race.refused(now)
    raise AssertionError(what)


def _carry_out(told: Told, actions: list, now: float) -> None:
    for action in actions:
        match action:
            case Say(_, text):
                told.first_ms = now * 1000 if told.first_ms is None else told.first_ms
                told.text += text
            case Switch(to, reason, discard):
                assert discard <= len(told.text)
                told.text = told.text[: len(told.text) - discard]
                told.switches.append((to, reason, discard))
            case StartFallback():
                told.fallback_started_ms = now * 1000
            case Continue(text):
                told.continued_from.append(text)
            case Decide(winner, reason):
                told.decided_ms, told.winner, told.reason = now * 1000, winner, reason


def whole(side: Side, at_ms: float, text: str | None = None) -> list[Step]:
    """A side whose whole answer is there at one instant."""
    return [(at_ms, side, "token", text or side), (at_ms, side, "done", "")]


def race(**limits: float) -> Race:
    return Race(LIMITS.model_copy(update=limits), admitted_at=0.0)


CASES = [
    # name, limits, script, decided at ms, winner, text
    ("primary first", {}, whole("primary", 200) + whole("fallback", 3000), 200, "primary"),
    ("primary too late", {}, whole("primary", 3000) + whole("fallback", 100), 500, "fallback"),
    (
        "fallback needs longer than the limit",
        {"ttft_s": 0.3},
        whole("primary", 3000) + whole("fallback", 600),
        600,
        "fallback",
    ),
    (
        "primary fails at once",
        {},
        [(0, "primary", "failed", ""), *whole("fallback", 150)],
        150,
        "fallback",
    ),
    (
        "late primary after a served fallback",
        {"ttft_s": 0.2},
        whole("fallback", 250) + whole("primary", 500),
        250,
        "fallback",
    ),
    (
        "overtime goes to whoever shows first",
        {"ttft_s": 0.2},
        whole("primary", 300) + whole("fallback", 800),
        300,
        "primary",
    ),
    (
        "both fail",
        {},
        [(200, "primary", "failed", ""), (200, "fallback", "failed", "")],
        200,
        None,
    ),
    ("both hang", {"deadline_s": 0.4}, [], 400, None),
]


@pytest.mark.parametrize(("name", "limits", "script", "at_ms", "winner"), CASES)
def test_race_is_decided_at_the_ideal_instant(name, limits, script, at_ms, winner):
    told = play(race(**limits), script)
    assert told.winner == winner, name
    assert told.decided_ms == pytest.approx(at_ms), name
    assert told.text == (winner or ""), name


def test_primary_that_stalls_after_two_tokens_gives_the_floor_to_a_ready_fallback():
    told = play(
        race(stall_s=0.1),
        [
            (50, "primary", "token", "one "),
            (100, "primary", "token", "two "),
            *whole("fallback", 20, "whole answer"),
        ],
    )
    assert (told.winner, told.decided_ms) == ("fallback", pytest.approx(200))
    assert told.switches == [("fallback", "stalled", len("one two "))]
    assert told.text == "whole answer"


def test_primary_that_resumes_before_the_fallback_is_ready_keeps_the_floor():
    told = play(
        race(stall_s=0.1),
        [
            (100, "primary", "token", "a"),
            (390, "primary", "token", "b"),
            (400, "primary", "done", ""),
            *whole("fallback", 800),
        ],
    )
    assert (told.winner, told.decided_ms) == ("primary", pytest.approx(400))
    assert (told.text, told.switches) == ("ab", [])


def test_floor_goes_back_when_the_fallback_dies_after_the_switch():
    told = play(
        race(ttft_s=0.2),
        [
            (100, "fallback", "token", "weak "),
            (300, "primary", "token", "strong "),
            (400, "fallback", "failed", ""),
            (600, "primary", "token", "answer"),
            (600, "primary", "done", ""),
        ],
    )
    assert (told.winner, told.decided_ms) == ("primary", pytest.approx(600))
    assert told.switches == [("fallback", "timeout", 0), ("primary", "failed", 5)]
    assert told.text == "strong answer"


def test_fallback_that_stalls_on_the_floor_gives_it_back_to_a_living_primary():
    told = play(
        race(ttft_s=0.1, stall_s=0.2),
        [(50, "fallback", "token", "x"), *whole("primary", 150, "good")],
    )
    assert (told.winner, told.text) == ("primary", "good")
    assert told.decided_ms == pytest.approx(250)


def test_late_primary_does_not_take_the_floor_from_a_flowing_fallback():
    told = play(
        race(ttft_s=0.1),
        [
            (50, "fallback", "token", "f1 "),
            *whole("primary", 200),
            (300, "fallback", "token", "f2"),
            (310, "fallback", "done", ""),
        ],
    )
    assert (told.winner, told.text) == ("fallback", "f1 f2")


def test_fallback_tokens_are_held_back_while_the_primary_may_still_speak():
    told = play(race(), [(10, "fallback", "token", "early"), *whole("primary", 400, "mine")])
    assert (told.text, told.first_ms, told.switches) == ("mine", pytest.approx(400), [])


def test_reasoning_keeps_a_silent_holder_alive_but_is_no_first_token():
    stalled = [(100, "primary", "token", "a"), *whole("fallback", 50, "f")]
    alive = [(ms, "primary", "alive", "") for ms in range(150, 900, 50)]
    told = play(race(stall_s=0.1), [*stalled, *alive, (920, "primary", "done", "")])
    assert (told.winner, told.text) == ("primary", "a")
    thinking = [(ms, "primary", "alive", "") for ms in range(50, 2000, 50)]
    told = play(race(), [*thinking, *whole("fallback", 100)])
    assert (told.winner, told.decided_ms) == ("fallback", pytest.approx(550))


def thinks(from_ms: int) -> list[Step]:
    return [(ms, "primary", "alive", "long") for ms in range(from_ms, 5000, 100)]


def test_a_sign_of_life_in_time_gives_the_primary_its_time_to_think():
    told = play(race(), [*thinks(400), *whole("fallback", 100), *whole("primary", 2399)])
    assert (told.winner, told.text, told.switches) == ("primary", "primary", [])


def test_a_primary_that_thinks_for_too_long_is_out():
    told = play(race(), [*thinks(400), *whole("fallback", 100), *whole("primary", 2401)])
    assert (told.winner, told.decided_ms) == ("fallback", pytest.approx(2400))
    assert told.switches == [("fallback", "timeout", 0)]


def test_a_sign_of_life_that_comes_too_late_gives_no_time_to_think():
    told = play(race(), [*thinks(501), *whole("fallback", 1000), *whole("primary", 1100)])
    assert (told.winner, told.decided_ms) == ("fallback", pytest.approx(1000))


def test_a_retried_primary_replaces_what_its_first_call_had_shown():
    told = play(
        race(),
        [
            (100, "primary", "token", "half an ans"),
            (150, "primary", "retry", ""),
            *whole("primary", 300, "a whole answer"),
        ],
    )
    assert told.text == "a whole answer"
    assert told.switches == [("primary", "retried", len("half an ans"))]


def test_fallback_takes_over_at_once_while_the_primary_retries():
    told = play(
        race(), [(100, "primary", "retry", ""), *whole("fallback", 130), *whole("primary", 200)]
    )
    assert (told.winner, told.decided_ms) == ("fallback", pytest.approx(130))


def test_content_filter_is_the_providers_word_unless_the_fallback_speaks():
    told = play(race(), [(100, "primary", "refused", ""), *whole("fallback", 50)])
    assert (told.winner, told.reason) == (None, "content_filter")
    speaks = [(50, "fallback", "token", "f"), (600, "primary", "refused", "")]
    told = play(race(), [*speaks, (700, "fallback", "done", "")])
    assert (told.winner, told.text) == ("fallback", "f")


def test_a_complete_fallback_is_served_at_the_deadline_of_an_endless_primary():
    endless = [(ms, "primary", "token", ".") for ms in range(100, 2000, 50)]
    told = play(race(deadline_s=1.0), [*endless, *whole("fallback", 300, "short and whole")])
    assert (told.winner, told.text) == ("fallback", "short and whole")
    assert told.decided_ms == pytest.approx(1000)


def test_an_incomplete_answer_is_not_served_at_the_deadline():
    endless = [(ms, "primary", "token", ".") for ms in range(100, 2000, 50)]
    told = play(race(deadline_s=1.0), endless)
    assert (told.winner, told.reason) == (None, "deadline")


def test_when_out_the_fallback_generates_only_once_the_primary_is_out():
    held = Race(LIMITS, admitted_at=0.0, start="when_out")
    told = play(held, [(800, "fallback", "token", "f"), (900, "fallback", "done", "")])
    assert told.fallback_started_ms == pytest.approx(500)
    assert (told.winner, told.decided_ms) == ("fallback", pytest.approx(900))


def test_a_hedged_fallback_starts_after_its_delay_or_when_the_primary_is_out():
    hedged = Race(LIMITS, admitted_at=0.0, start="hedged", hedge_after_s=0.25)
    assert play(hedged, whole("primary", 400)).fallback_started_ms == pytest.approx(250)
    hedged = Race(LIMITS, admitted_at=0.0, start="hedged", hedge_after_s=0.25)
    told = play(hedged, [(100, "primary", "failed", ""), *whole("fallback", 200)])
    assert told.fallback_started_ms == pytest.approx(100)


def test_a_hedge_beyond_the_budget_waits_until_the_primary_is_out():
    held = Race(
        LIMITS, admitted_at=0.0, start="hedged", hedge_after_s=0.25, may_hedge=lambda: False
    )
    assert play(held, whole("primary", 2000)).fallback_started_ms == pytest.approx(500)


def test_text_that_cannot_be_taken_back_is_continued_never_replaced():
    live = Race(LIMITS.model_copy(update={"stall_s": 0.1}), admitted_at=0.0, rewindable=False)
    told = play(
        live,
        [
            (50, "primary", "token", "The sky "),
            *whole("fallback", 60, "Another beginning."),
            (300, "fallback", "token", "is blue."),
            (310, "fallback", "done", ""),
        ],
    )
    assert told.continued_from == ["The sky "]
    assert (told.text, told.winner) == ("The sky is blue.", "fallback")
    assert told.switches == [("fallback", "stalled", 0)]


def test_a_continuation_that_fails_ends_the_race_without_a_winner():
    live = Race(LIMITS, admitted_at=0.0, rewindable=False)
    told = play(
        live,
        [
            (50, "primary", "token", "The sky "),
            (80, "primary", "failed", ""),
            (200, "fallback", "failed", ""),
        ],
    )
    assert (told.winner, told.decided_ms) == (None, pytest.approx(200))


def test_a_primary_that_resumes_makes_the_continuation_void():
    live = Race(LIMITS.model_copy(update={"stall_s": 0.1}), admitted_at=0.0, rewindable=False)
    told = play(
        live,
        [
            (50, "primary", "token", "The sky "),
            (200, "primary", "token", "is "),
            (220, "fallback", "token", "(stale)"),
            (250, "primary", "token", "blue."),
            (260, "primary", "done", ""),
        ],
    )
    assert (told.winner, told.text, told.switches) == ("primary", "The sky is blue.", [])


steps = st.lists(
    st.tuples(
        st.integers(0, 1500),
        st.sampled_from(["primary", "fallback"]),
        st.sampled_from(["token", "alive", "done", "failed", "retry"]),
        st.sampled_from(["a", "bb", "ccc"]),
    ),
    max_size=25,
)


@given(steps, st.booleans(), st.sampled_from(["immediate", "hedged", "when_out"]))
def test_every_race_ends_by_its_deadline_and_never_takes_back_what_it_may_not(
    script, rewindable, start
):
    limits = Limits(ttft_s=0.2, stall_s=0.3, deadline_s=1.0)
    subject = Race(limits, admitted_at=0.0, start=start, hedge_after_s=0.1, rewindable=rewindable)
    told = play(subject, _plausible(script))
    assert told.decided_ms is not None
    assert told.decided_ms <= 1000.0001
    if not rewindable:
        assert all(discard == 0 for _, _, discard in told.switches)
    if told.winner:
        assert told.text


def _plausible(script: list[Step]) -> list[Step]:
    """What one provider could do: nothing follows its end, and it ends only with content."""
    seen: dict[str, str] = {}
    kept: list[Step] = []
    for step in sorted(script, key=lambda s: s[0]):
        _, side, what, _ = step
        state = seen.get(side, "new")
        if state == "over" or (what == "done" and state == "new"):
            continue
        seen[side] = {"token": "text", "done": "over", "failed": "over", "retry": "new"}.get(
            what, state
        )
        kept.append(step)
    return kept
