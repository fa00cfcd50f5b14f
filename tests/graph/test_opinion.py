"""A second opinion on the category, on virtual time: it decides if it comes in time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from config.models import Category, SecondOpinion, Settings
from race.opinion import category_in
from race.routing_state import RoutingState
from tests.graph.virtual import (
    SURE,
    Call,
    Played,
    Scripted,
    Stage,
    StubClassifier,
    fails,
    on_virtual_time,
    whole,
)

TECHNICAL = '{"category": "technical"}'


def stage_of(judge: Call, *, confidence: float = 0.5, **how: Any) -> tuple[Stage, Scripted]:
    """A router with two categories, each with its own primary, and a model that is asked."""
    asked = Scripted("judge", [judge])
    stage = Stage(
        Scripted("primary", [whole(200, "general answer")]),
        Scripted("coder", [whole(200, "technical answer")]),
        asked,
        Scripted("fallback", [whole(100, "F")]),
        retrieval=SURE,
    )
    settings: Settings = stage.services.settings.model_copy(
        update={
            "priorities": {"general": ("primary",), "technical": ("coder",)},
            "categories": {
                "general": Category(description="Facts.", examples=("Hello",)),
                "technical": Category(description="Code.", examples=("Sort a list",)),
            },
            "classifier": SecondOpinion(**{"ask": "judge", "within_s": 0.4, **how}),
        }
    )
    routing = RoutingState(settings, clock=stage.services.routing._clock, draw=lambda: 0.0)
    stage.services = replace(
        stage.services,
        settings=settings,
        routing=routing,
        classifier=StubClassifier(confidence),
    )
    stage.router._life.adopt(stage.services)
    return stage, asked


def play(judge: Call, times: int = 1, **how: Any) -> tuple[Played, dict[str, Any], Scripted]:
    async def run() -> tuple[Played, dict[str, Any], Scripted]:
        stage, asked = stage_of(judge, **how)
        for _ in range(times):
            played = await stage.play()
        return played, stage.log.rows[-1], asked

    return on_virtual_time(run())


def test_the_word_of_a_model_that_answers_in_time_decides() -> None:
    played, row, _ = play(whole(100, TECHNICAL))
    assert played.text == "technical answer"
    assert played.answer["category"] == row["category"] == "technical"
    assert row["evidence"]["second_opinion"] == {"asked": "judge", "said": "technical"}


def test_it_is_logged_as_an_attempt_with_its_cost_and_every_attempt_has_the_category() -> None:
    _, row, _ = play(whole(100, TECHNICAL))
    roles = {attempt["role"]: attempt for attempt in row["attempts"]}
    assert roles["classifier"]["outcome"] == "ok"
    assert roles["classifier"]["cost_usd"] > 0
    assert row["cost_usd"] >= roles["classifier"]["cost_usd"]
    assert {attempt["category"] for attempt in row["attempts"]} == {"technical"}
    assert roles["primary"]["propensity"] is not None


def test_a_word_that_comes_too_late_is_not_waited_for() -> None:
    played, row, asked = play(whole(5_000, TECHNICAL))
    assert played.text == "general answer"
    assert played.at_ms == pytest.approx(600, abs=20)
    assert len(asked.cancelled) == 1
    classifier = [a for a in row["attempts"] if a["role"] == "classifier"]
    assert [a["outcome"] for a in classifier] == ["timed_out"]


def test_the_fallback_starts_while_the_opinion_is_waited_for() -> None:
    played, _, _ = play(whole(300, TECHNICAL))
    begun = {e["role"]: e["at_ms"] for e in played.of("attempt_started")}
    assert begun["fallback"] < 50
    assert begun["primary"] == pytest.approx(300, abs=20)


@pytest.mark.parametrize("judge", [whole(50, "I would say: banana"), fails(50), fails(0, "auth")])
def test_an_opinion_that_cannot_be_used_leaves_the_classifiers_word(judge: Call) -> None:
    played, row, _ = play(judge)
    assert played.text == "general answer"
    assert [a["outcome"] for a in row["attempts"] if a["role"] == "classifier"] == ["failed"]


def test_what_was_said_is_remembered_and_not_asked_again() -> None:
    played, row, asked = play(whole(100, TECHNICAL), times=2)
    assert len(asked.calls) == 1
    assert played.text == "technical answer"
    assert row["evidence"]["second_opinion"] == {"said": "technical", "remembered": True}


@pytest.mark.parametrize("how", [{"confidence": 0.9}, {"ask": None}])
def test_nobody_is_asked_where_the_classifier_is_sure_or_nobody_is_named(how: Any) -> None:
    played, _, asked = play(whole(100, TECHNICAL), **how)
    assert not asked.calls
    assert played.text == "general answer"


def test_the_definitions_and_the_prompt_are_what_the_model_sees() -> None:
    _, _, asked = play(whole(100, TECHNICAL))
    rules, question = asked.calls[0]
    assert "- technical: Code." in rules["content"]
    assert "Why?" in question["content"]


NAMES = {name: Category(description="", examples=("x",)) for name in ("general", "technical")}


@pytest.mark.parametrize(
    ("text", "category"),
    [
        (TECHNICAL, "technical"),
        (f"```json\n{TECHNICAL}\n```", "technical"),
        ("technical", "technical"),
        ("It is a technical prompt.", "technical"),
        ("general or technical", None),
        ('{"category": "cooking"}', None),
        ('{"category": ["technical"]', "technical"),
        ("", None),
    ],
)
def test_a_reply_is_read_for_the_one_category_that_it_names(
    text: str, category: str | None
) -> None:
    assert category_in(text, NAMES) == category
