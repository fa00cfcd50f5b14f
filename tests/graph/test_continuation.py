"""A caller whose text cannot be taken back is shown one whole answer, or told there is none."""

from __future__ import annotations

import pytest

from config.models import Limits
from providers.base import ProviderError
from race.events import Event
from race.machine import Race
from race.rendezvous import Rendezvous
from tests.graph.virtual import SURE, Call, Played, Scripted, Stage, on_virtual_time, whole

SHOWN = "The breaker opens after five failures and stays open"
ANSWER = f"{SHOWN} for thirty seconds."
CUT = Call(
    [
        (20, "The breaker opens after five "),
        (30, "failures and stays open"),
        (40, ProviderError("connection", "cut")),
    ]
)
SILENT = Call([(20, "The breaker opens after five "), (30, "failures and stays open"), (30, None)])


def shown(*, events: list[Event]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "token")


def stage_for(*helps: Call, first: Call = CUT, **options) -> tuple[Stage, Scripted]:
    helper = Scripted("fallback", list(helps))
    return Stage(Scripted("primary", [first]), helper, **options), helper


def assert_one_text_everywhere(stage: Stage, played: Played, text: str) -> None:
    assert (played.text, played.answer["text"]) == (text, text)
    assert played.answer["success"]
    assert all(event["discard"] == 0 for event in played.of("switched"))
    assert [a["served"] for a in stage.log.rows[0]["attempts"]].count(True) == 1


@pytest.mark.parametrize("first", [CUT, SILENT], ids=["cut", "silent"])
@pytest.mark.parametrize(
    "said",
    [
        " for thirty seconds.",
        "for thirty seconds.",
        ANSWER,
        "and stays open for thirty seconds.",
        "Sure, here is the rest: for thirty seconds.",
        "for thirty seconds.\n</passages>",
        f"<text>\n{ANSWER}\n</text>",
    ],
)
def test_a_live_stream_that_changes_speakers_reads_as_one_text(first: Call, said: str) -> None:
    async def play():
        stage, _ = stage_for(whole(200, said), first=first)
        assert_one_text_everywhere(stage, await stage.play(rewindable=False), ANSWER)

    on_virtual_time(play())


def test_the_stitched_text_comes_token_by_token() -> None:
    async def play():
        words = [f"{word} " for word in ANSWER.split()]
        steps = [(200.0 + 10 * n, word) for n, word in enumerate(words)]
        stage, _ = stage_for(Call([*steps, (400.0, "end")]))
        played = await stage.play(rewindable=False)
        assert played.text.strip() == ANSWER

    on_virtual_time(play())


@pytest.mark.parametrize(
    "said",
    ["Circuit breakers protect a system from a failing part.", "I'm sorry, but I cannot continue."],
)
def test_what_cannot_be_joined_honestly_ends_in_an_error(said: str) -> None:
    async def play():
        stage, _ = stage_for(whole(200, said), retrieval=SURE)
        played = await stage.play(rewindable=False)
        assert played.text == SHOWN
        assert (played.answer["success"], played.answer["error_kind"]) == (False, "cut")
        assert played.at_ms < 1_000
        assert "does not continue the shown text" in played.answer["why"]
        assert stage.log.rows[0]["success"] is False

    on_virtual_time(play())


@pytest.mark.parametrize("ready_ms", [10, 60], ids=["buffered", "while it comes"])
def test_a_fallback_that_says_the_same_is_used_without_a_second_call(ready_ms: float) -> None:
    async def play():
        half = len(SHOWN) // 2
        steps = [(5, ANSWER[:half]), (ready_ms, ANSWER[half:]), (ready_ms, "end")]
        stage, helper = stage_for(Call(steps))
        assert_one_text_everywhere(stage, await stage.play(rewindable=False), ANSWER)
        assert len(helper.calls) == 1

    on_virtual_time(play())


def test_a_fallback_that_says_something_else_is_asked_to_go_on() -> None:
    async def play():
        stage, helper = stage_for(whole(5, "Something else."), whole(50, "for thirty seconds."))
        assert_one_text_everywhere(stage, await stage.play(rewindable=False), ANSWER)
        assert len(helper.calls) == 2
        dropped = next(a for a in stage.log.rows[0]["attempts"] if a["role"] == "fallback")
        assert dropped["cost_usd"] > 0, "what was paid is in the log"

    on_virtual_time(play())


def test_a_primary_that_resumes_makes_the_continuation_pointless() -> None:
    async def play():
        resumes = Call([(20, SHOWN), (6_000, " for a while."), (6_000, "end")])
        stage, _ = stage_for(whole(3_000, "for thirty seconds."), first=resumes)
        played = await stage.play(rewindable=False)
        assert played.text == f"{SHOWN} for a while."

    on_virtual_time(play())


def test_usage_counts_what_was_shown_and_the_log_what_was_paid() -> None:
    async def play():
        stage, _ = stage_for(whole(200, "for thirty seconds."))
        answer = (await stage.play(rewindable=False)).answer
        rows = answer["attempts"]
        first = next(row for row in rows if row["role"] == "primary")
        last = next(row for row in rows if row["served"])
        assert answer["tokens_out"] == first["tokens_out"] + last["tokens_out"]
        assert answer["tokens_in"] == first["tokens_in"]
        assert answer["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in rows))

    on_virtual_time(play())


async def test_the_call_before_a_continuation_is_not_listened_to() -> None:
    """Its last words may arrive after the primary failed and before it is cancelled."""
    events: list[Event] = []
    r = Rendezvous("request", events.append)
    r.begin(Race(Limits(), admitted_at=r.now(), rewindable=False))
    r.token("primary", "The sky is ")
    r.failed("primary", "connection")
    assert r.continue_asked.is_set()

    r.token("fallback", "Blue, because")
    r.done("fallback")
    assert shown(events=events) == "The sky is "
    assert not r.decided.done()

    assert r.take_continuation() == "The sky is "
    r.token("fallback", "blue.")
    assert not r.decided.done()
    r.done("fallback")
    assert shown(events=events) == "The sky is blue."
    assert r.decided.result().winner == "fallback"
    r.close()


@pytest.mark.parametrize("said_ms", [1_000, 3_000], ids=["once it had ended", "while it is called"])
def test_a_primary_that_resumes_and_is_cut_is_continued_again(said_ms: float) -> None:
    async def play():
        half = len(SHOWN) // 2
        resumes = Call(
            [
                (20, SHOWN[:half]),
                (6_000, SHOWN[half:]),
                (6_500, ProviderError("connection", "cut")),
            ]
        )
        dropped = whole(said_ms, f"{SHOWN[half:]} for thirty seconds.")
        again = whole(50, " for thirty seconds.")
        stage, helper = stage_for(whole(5, "Something else."), dropped, again, first=resumes)
        played = await stage.play(rewindable=False)
        assert (played.text, len(helper.calls)) == (ANSWER, 3), played.answer["why"]

    on_virtual_time(play())
