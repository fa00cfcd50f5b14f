"""Races whose two answers are compared, on virtual time: behind the caller, blind, and bounded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from config.models import Judge
from providers.base import CallOptions, Delta, Message, ProviderError, Usage
from tests.graph.virtual import (
    SURE,
    Call,
    Played,
    Scripted,
    Stage,
    fails,
    on_virtual_time,
    whole,
)

Answers = tuple[str, str]


@dataclass
class ScriptedJudge(Scripted):
    """Reads the two answers that it is shown, and says what `prefers` says of them."""

    prefers: Callable[[str, str], str] = lambda first, second: "tie"
    takes_ms: float = 500
    asked: list[Answers] = field(default_factory=list)

    async def stream(
        self, messages: Sequence[Message], options: CallOptions | None = None
    ) -> AsyncIterator[Delta]:
        shown = str(messages[-1]["content"])
        first, second = (
            re.findall(rf"<answer-{letter}-\w+>\n(.*?)\n</answer", shown, re.DOTALL)[0]
            for letter in "AB"
        )
        self.asked.append((first, second))
        self.script = [
            Call(
                [
                    (self.takes_ms, f'{{"better": "{self.prefers(first, second)}"}}'),
                    (self.takes_ms, Delta(finish_reason="stop", usage=Usage(400, 8))),
                ]
            )
        ]
        async for delta in super().stream(messages, options):
            yield delta


def likes(good: str) -> Callable[[str, str], str]:
    """Knows the better answer wherever it stands."""
    return lambda first, second: "A" if good in first else "B" if good in second else "tie"


SLOW = Call([(100, "fall"), (900, "back"), (900, "end")])
"""A fallback that has begun when the primary is done."""


@dataclass
class Seen:
    """A race that was played, and what is in the log once nothing of it is under way."""

    played: Played
    row: dict[str, Any]
    rows: dict[int, dict[str, Any]]
    ended_ms: float

    def of(self, role: str) -> list[dict[str, Any]]:
        return [row for row in self.rows.values() if row["role"] == role]


def play(
    judge: Scripted,
    primary: Call | None = None,
    fallback: Call = SLOW,
    close: float | None = None,
    spent: float = 0.0,
    asked: dict[str, Any] | None = None,
    how: dict[str, Any] | None = None,
    start: str = "immediate",
    **stage: Any,
) -> Seen:
    async def run() -> Seen:
        wanted = Judge(**({"provider": judge.name, "share": 1.0} | (how or {})))
        scene = Stage(
            Scripted("primary", [primary or whole(300, "primary answer")]),
            Scripted("fallback", [fallback]),
            judge,
            retrieval=SURE,
            judge=wanted,
            fallback={"start": start},
            **({"order": ["primary"], "ttft_s": 2.0} | stage),
        )
        scene.log.spent_as = {"judge": {"judge": spent}}
        played = await scene.play(**(asked or {}))
        if close is not None:
            await asyncio.sleep(close)
            await scene.services.judging.close()
            await scene.services.late.close(0)
        while len(scene.services.late) or len(scene.services.judging):
            await scene.services.judging.settled()
            await asyncio.sleep(0.01)
        row = scene.log.rows[-1]
        rows = {a["seq"]: a for a in row["attempts"]} | {r["seq"]: r for r in scene.log.revisions}
        return Seen(played, row, rows, asyncio.get_running_loop().time() * 1000)

    return on_virtual_time(run())


def test_the_loser_of_a_drawn_race_finishes_and_both_are_compared_in_both_orders() -> None:
    judge = ScriptedJudge("judge", [], prefers=likes("primary"))
    seen = play(judge)
    assert judge.asked == [("primary answer", "fallback"), ("fallback", "primary answer")]
    [verdict] = seen.of("compare")
    said = {k: verdict[k] for k in ("provider", "against", "against_role", "verdict", "source")}
    assert said == {
        "provider": "primary", "against": "fallback", "against_role": "fallback",
        "verdict": 1.0, "source": "judge",
    }  # fmt: skip


def test_the_caller_waits_for_none_of_it_and_is_shown_none_of_it() -> None:
    judge = ScriptedJudge("judge", [], prefers=likes("primary"), takes_ms=30_000)
    seen = play(judge)
    assert seen.played.at_ms == pytest.approx(300, abs=20)
    assert seen.ended_ms > 60_000
    assert seen.played.text == "primary answer"
    assert {e["role"] for e in seen.played.of("attempt_started")} == {"primary", "fallback"}


def test_what_it_cost_is_the_judges_and_not_the_requests() -> None:
    seen = play(ScriptedJudge("judge", [], prefers=likes("primary")))
    loser, *calls = seen.of("judge")
    assert (loser["provider"], loser["outcome"], loser["revision"]) == ("fallback", "ok", 1)
    assert loser["cost_usd"] > 0
    assert [(c["provider"], c["outcome"], c["cost_usd"]) for c in calls] == [
        ("judge", "ok", pytest.approx(408e-6))
    ] * 2
    primary = next(a for a in seen.row["attempts"] if a["role"] == "primary")
    assert seen.row["cost_usd"] == seen.played.answer["cost_usd"] == primary["cost_usd"]


def test_of_the_answers_and_replies_nothing_but_the_verdict_is_stored() -> None:
    seen = play(ScriptedJudge("judge", [], prefers=likes("primary")))
    assert all(row["text"] is None for row in seen.of("judge"))
    assert "primary answer" not in str(seen.of("compare"))


@pytest.mark.parametrize(
    ("prefers", "verdict"),
    [
        (likes("fallback"), 0.0),
        (lambda a, b: "tie", 0.5),
        (lambda a, b: "A", 0.5),  # whatever it is shown first
        (lambda a, b: "A" if "primary" in a else "tie", 0.5),  # not of the same mind twice
    ],
)
def test_an_answer_is_the_better_one_only_if_it_is_in_both_orders(
    prefers: Callable[[str, str], str], verdict: float
) -> None:
    [row] = play(ScriptedJudge("judge", [], prefers=prefers)).of("compare")
    assert row["verdict"] == verdict


def test_a_late_answer_is_compared_with_the_one_that_was_served() -> None:
    judge = ScriptedJudge("judge", [], prefers=likes("late"))
    seen = play(judge, whole(5_000, "late answer"), whole(100, "helper"), ttft_s=1.0)
    assert seen.played.text == "helper"
    [verdict] = seen.of("compare")
    assert (verdict["provider"], verdict["verdict"], verdict["source"]) == ("primary", 1.0, "late")
    assert [row["outcome"] for row in seen.of("primary")] == ["late"]


def test_a_fallback_that_was_ready_first_is_compared_too() -> None:
    judge = ScriptedJudge("judge", [], prefers=likes("fallback"))
    seen = play(judge, fallback=whole(50, "fallback"))
    assert [row["verdict"] for row in seen.of("compare")] == [0.0]
    assert {row["provider"] for row in seen.of("judge")} == {"judge"}, "it was paid anyway"


def test_answers_that_are_the_same_are_a_tie_without_asking() -> None:
    judge = ScriptedJudge("judge", [])
    seen = play(judge, fallback=whole(50, "primary answer"))
    assert [row["verdict"] for row in seen.of("compare")] == [0.5]
    assert judge.asked == []


def test_a_hedged_fallback_starts_at_once_in_a_drawn_race_alone() -> None:
    begun = {}
    for share in (0.0, 1.0):
        judge = ScriptedJudge("judge", [], prefers=likes("primary"))
        seen = play(judge, how={"share": share}, start="hedged", primary=whole(900, "primary"))
        begun[share] = [e["role"] for e in seen.played.of("attempt_started")]
        assert len(seen.of("compare")) == share
    assert begun[1.0] == ["primary", "fallback"]


UNDRAWN: dict[str, dict[str, Any]] = {
    "no share": {"how": {"share": 0.0}},
    "nobody is named": {"how": {"provider": None}},
    "the judge is the primary": {"how": {"provider": "primary"}},
    "the judge is the fallback": {"how": {"provider": "fallback"}},
    "its budget is nothing": {"how": {"daily_usd": 0.0}},
    "the caller lets it not be asked": {"asked": {"wishes": {"ignore": ["judge"]}}},
    "the caller wants a format": {
        "primary": whole(300, "{}"),
        "asked": {"options": {"extra": {"response_format": {"type": "json_object"}}}},
    },
}


@pytest.mark.parametrize("why", UNDRAWN)
def test_the_loser_is_cancelled_within_milliseconds_in_every_other_race(why: str) -> None:
    judge = ScriptedJudge("judge", [], prefers=likes("primary"))
    seen = play(judge, **UNDRAWN[why])
    assert judge.asked == []
    assert not seen.of("compare")
    fates = [(a["provider"], a["outcome"]) for a in seen.row["attempts"] if a["role"] != "primary"]
    assert fates == [("fallback", "cancelled")]
    assert seen.ended_ms == pytest.approx(300, abs=30)


def test_a_budget_that_other_replicas_have_spent_ends_it_before_the_judge_is_asked() -> None:
    judge = ScriptedJudge("judge", [], prefers=likes("primary"))
    seen = play(judge, spent=1.0)
    assert judge.asked == []
    assert not seen.of("compare")


def test_the_losers_that_finish_count_for_its_budget() -> None:
    judge = ScriptedJudge("judge", [], prefers=likes("primary"))
    assert play(judge, how={"daily_usd": 1e-6}).of("compare") == []
    assert judge.asked == []


@pytest.mark.parametrize(
    "script", [fails(50), fails(50, "auth"), whole(50, "I like both of them."), Call([(0, None)])]
)
def test_a_judge_that_gives_no_word_costs_its_verdict_alone(script: Call) -> None:
    seen = play(Scripted("judge", [script]))
    assert not seen.of("compare")
    assert seen.played.text == "primary answer"
    assert [r["outcome"] for r in seen.of("judge") if r["provider"] == "judge"] in (
        ["failed"], ["timed_out"],
    )  # fmt: skip


def test_a_judge_with_an_open_breaker_is_not_asked() -> None:
    async def run() -> None:
        judge = ScriptedJudge("judge", [], prefers=likes("primary"))
        scene = Stage(
            Scripted("primary", [whole(300, "primary answer")]),
            Scripted("fallback", [SLOW]),
            judge,
            retrieval=SURE,
            order=["primary"],
            judge=Judge(provider="judge", share=1.0),
        )
        granted = scene.services.routing.grant("judge", "general")
        granted.failed(ProviderError("auth", "refused"))  # type: ignore[union-attr]
        await scene.play()
        assert len(scene.services.judging) == 0
        assert judge.asked == []

    on_virtual_time(run())


def test_a_loser_that_fails_leaves_nothing_to_compare() -> None:
    judge = ScriptedJudge("judge", [], prefers=likes("primary"))
    seen = play(judge, fallback=Call([(100, "fall"), (600, ProviderError("server", "broke"))]))
    assert not seen.of("compare")
    assert [(r["provider"], r["outcome"]) for r in seen.of("judge")] == [("fallback", "failed")]


@pytest.mark.parametrize("after_s", [0.0, 0.9])
def test_closing_ends_it_upstream_too_and_logs_what_was_paid(after_s: float) -> None:
    """While the loser finishes, and while the judge thinks."""
    judge = ScriptedJudge("judge", [], prefers=likes("primary"))
    seen = play(judge, close=after_s)
    assert not seen.of("compare")
    assert [row["outcome"] for row in seen.of("judge")][-1] == "cancelled"
    assert all(row["cost_usd"] is not None for row in seen.of("judge"))
    assert seen.ended_ms < 1_400


def test_a_caller_who_leaves_ends_both_calls() -> None:
    async def run() -> None:
        judge = ScriptedJudge("judge", [], prefers=likes("primary"))
        fallback = Scripted("fallback", [SLOW])
        scene = Stage(
            Scripted("primary", [whole(3_000, "primary answer")]), fallback, judge,
            retrieval=SURE, order=["primary"], judge=Judge(provider="judge", share=1.0), ttft_s=9.0,
        )  # fmt: skip
        events = scene.router.stream("Why?")
        async for event in events:
            if event["type"] == "first_token":
                break
        await events.aclose()
        assert len(fallback.cancelled) == 1
        assert len(scene.services.judging) == 0

    on_virtual_time(run())
