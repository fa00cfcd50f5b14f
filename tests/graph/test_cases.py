"""The whole graph on virtual time: who answers, when, and what is left behind."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from config.errors import NoAnswerError, OverloadedError
from config.models import Admission, Budget
from providers.base import Delta, ProviderError
from telemetry.metrics import Metrics
from tests.graph.virtual import HANGS, SURE, Call, Scripted, Stage, fails, on_virtual_time, whole


def primary(*script: Call) -> Scripted:
    return Scripted("primary", list(script))


def fallback(*script: Call) -> Scripted:
    return Scripted("fallback", list(script))


def outcomes(row: dict, role: str) -> list[str]:
    return [attempt["outcome"] for attempt in row["attempts"] if attempt["role"] == role]


STALLS = Call([(50, "one "), (100, "two "), (10_000, "late end"), (10_000, "end")])
RESUMES = Call([(100, "one "), (400, "two"), (400, "end")])
DIES = Call([(250, "weak "), (400, ProviderError("connection", "cut"))])

CASES = [
    ("primary wins", whole(200, "P"), whole(3000, "F"), {"ttft_s": 3}, 200, "P"),
    ("primary too late", whole(3000, "P"), whole(100, "F"), {"ttft_s": 0.5}, 500, "F"),
    (
        "fallback slower than the limit",
        whole(3000, "P"),
        whole(600, "F"),
        {"ttft_s": 0.3},
        610,  # its retrieval takes 10 ms
        "F",
    ),
    ("primary fails at once", fails(0, "auth"), whole(150, "F"), {}, 160, "F"),
    ("late primary", whole(500, "P"), whole(250, "F"), {"ttft_s": 0.2}, 260, "F"),
    ("overtime", whole(300, "P"), whole(800, "F"), {"ttft_s": 0.2}, 300, "P"),
    ("stall with a ready fallback", STALLS, whole(20, "F"), {"stall_s": 0.1}, 200, "F"),
    ("stall and resume", RESUMES, whole(900, "F"), {"stall_s": 0.1}, 400, "one two"),
    ("fallback dies after the switch", whole(600, "P"), DIES, {"ttft_s": 0.2}, 600, "P"),
]


@pytest.mark.parametrize(("name", "p", "f", "limits", "at_ms", "text"), CASES)
def test_answer_comes_at_the_ideal_instant(name, p, f, limits, at_ms, text):
    async def play():
        stage = Stage(primary(p), fallback(f), **limits)
        played = await stage.play()
        assert (played.text, played.answer["text"]) == (text, text)
        assert played.at_ms == pytest.approx(at_ms, abs=1)
        assert played.events[-1]["type"] == "answered"
        await stage.router.aclose(0)
        assert stage.services.races == {}
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_virtual_time(play())


@pytest.mark.parametrize("scripts", [(fails(200, "auth"), fails(200)), (HANGS, HANGS)])
def test_when_nobody_answers_the_error_says_what_each_provider_said(scripts):
    async def play():
        stage = Stage(primary(scripts[0]), fallback(scripts[1]), deadline_s=0.4)
        with pytest.raises(NoAnswerError, match=r"primary: .*; fallback: "):
            await stage.router.answer("Why?")
        assert [a["served"] for a in stage.log.rows[0]["attempts"]] == [False, False]
        assert stage.log.rows[0]["success"] is False

    on_virtual_time(play())


def test_the_passages_answer_when_both_models_fail_and_retrieval_is_sure():
    async def play():
        stage = Stage(primary(fails(10, "auth")), fallback(fails(20)), retrieval=SURE)
        played = await stage.play()
        assert played.answer["provider"] == "passages"
        assert "The sky is blue." in played.text == played.answer["text"]
        assert played.answer["sources"][0]["source"] == "sky.md"
        assert stage.log.rows[0]["winner"] == "passages"

    on_virtual_time(play())


def test_the_losing_fallback_is_cancelled_the_moment_the_primary_completes():
    async def play():
        loser = fallback(Call([(100, "early"), (9000, "end")]))
        stage = Stage(primary(Call([(50, "a"), (300, "b"), (300, "end")])), loser)
        await stage.play()
        assert loser.cancelled == [pytest.approx(300, abs=1)]
        assert outcomes(stage.log.rows[0], "fallback") == ["cancelled"]

    on_virtual_time(play())


def test_a_late_primary_is_first_timed_out_then_late_and_reaches_whoever_listens():
    async def play():
        stage = Stage(primary(whole(500, "better")), fallback(whole(100, "F")), ttft_s=0.2)
        late = asyncio.create_task(anext(stage.router.late()))
        played = await stage.play()
        assert played.text == "F"
        first = next(a for a in stage.log.rows[0]["attempts"] if a["role"] == "primary")
        assert (first["outcome"], first["error"], first["revision"]) == ("timed_out", "timeout", 0)
        amendment = await late
        assert (amendment["text"], amendment["request_id"]) == (
            "better",
            played.answer["request_id"],
        )
        assert [(r["outcome"], r["revision"]) for r in stage.log.revisions] == [("late", 1)]

    on_virtual_time(play())


def test_a_primary_that_never_comes_is_let_go_after_late_s():
    async def play():
        hanging = primary(HANGS)
        stage = Stage(hanging, fallback(whole(50, "F")), ttft_s=0.1, late_s=2.0)
        await stage.play()
        await stage.router.aclose(late_grace_s=60)
        assert hanging.cancelled == [pytest.approx(2100, abs=1)]
        assert stage.log.revisions[-1]["outcome"] == "timed_out"

    on_virtual_time(play())


def test_a_failure_that_may_pass_is_tried_once_more_while_waiting_is_free():
    async def play():
        flaky = primary(fails(10), whole(50, "second try"))
        stage = Stage(flaky, fallback(whole(3000, "F")))
        played = await stage.play()
        assert (played.text, len(flaky.calls)) == ("second try", 2)
        assert outcomes(played.answer, "primary") == ["failed", "ok"]

    on_virtual_time(play())


def test_no_call_is_repeated_once_the_fallback_has_something_to_show():
    async def play():
        failing = primary(fails(100))
        stage = Stage(failing, fallback(whole(20, "F")))
        played = await stage.play()
        assert (played.text, len(failing.calls)) == ("F", 1)

    on_virtual_time(play())


def test_the_next_provider_of_the_order_is_asked_where_the_first_cannot_recover():
    async def play():
        first, second = primary(fails(10, "auth")), Scripted("second", [whole(50, "S")])
        stage = Stage(first, second, fallback(whole(3000, "F")))
        played = await stage.play()
        assert (played.text, len(first.calls), len(second.calls)) == ("S", 1, 1)

    on_virtual_time(play())


def test_at_most_three_primary_calls_are_made():
    async def play():
        first, second = primary(fails(1)), Scripted("second", [fails(1)])
        stage = Stage(first, second, fallback(whole(3000, "F")))
        played = await stage.play()
        assert (played.text, len(first.calls) + len(second.calls)) == ("F", 3)

    on_virtual_time(play())


def test_a_content_filters_word_is_passed_on_not_laundered():
    async def play():
        stage = Stage(primary(fails(100, "content_filter")), fallback(whole(20, "F")))
        with pytest.raises(NoAnswerError, match="content_filter") as caught:
            await stage.router.answer("Why?")
        assert caught.value.answer.error_kind == "content_filter"

    on_virtual_time(play())


def test_an_answer_cut_by_a_length_that_nobody_asked_for_is_marked():
    async def play():
        stage = Stage(primary(Call([(10, "half"), (20, "length")])), fallback(whole(500, "F")))
        assert "length limit" in (await stage.play()).answer["note"]
        asked = await stage.play(options={"max_tokens": 1})
        assert asked.answer["note"] is None

    on_virtual_time(play())


def test_hedging_holds_the_fallback_back_and_spends_its_budget():
    async def play():
        cheap = fallback(whole(10, "F"))
        stage = Stage(primary(whole(300, "P")), cheap, fallback={"start": "hedged"}, ttft_s=1)
        for _ in range(20):
            assert (await stage.play()).text == "P"
        assert 2 <= len(cheap.calls) <= 3  # one saved, and a tenth of twenty

    on_virtual_time(play())


def test_a_caller_who_cannot_take_back_text_gets_a_continuation():
    async def play():
        cut = primary(Call([(10, "The sky "), (20, ProviderError("connection", "cut"))]))
        helper = fallback(whole(5, "ignored"), whole(100, "is blue."))
        stage = Stage(cut, helper)
        played = await stage.play(rewindable=False)
        assert (played.text, played.answer["text"]) == ("The sky is blue.", "The sky is blue.")
        assert all(event["discard"] == 0 for event in played.of("switched"))
        assert "The sky " in helper.calls[1][-1]["content"]

    on_virtual_time(play())


def test_a_cut_answer_that_nobody_can_continue_is_an_error_never_an_answer():
    async def play():
        cut = primary(Call([(10, "The sky "), (20, ProviderError("connection", "cut"))]))
        stage = Stage(cut, fallback(fails(5), fails(5)), retrieval=SURE)
        played = await stage.play(rewindable=False)
        assert (played.answer["success"], played.answer["error_kind"]) == (False, "cut")

    on_virtual_time(play())


def test_two_calls_to_one_embedded_llama_never_overlap():
    async def play():
        second = fallback(whole(10, "F"))
        stage = Stage(primary(whole(300, "P")), second, shared=True)
        assert (await stage.play()).text == "P"
        assert second.calls == []

    on_virtual_time(play())


def test_a_caller_that_leaves_ends_both_calls_and_is_logged():
    async def play():
        p, f = primary(HANGS), fallback(HANGS)
        stage = Stage(p, f)
        events = stage.router.stream("Why?")
        async for event in events:
            if event["type"] == "attempt_started" and event["role"] == "fallback":
                break
        await events.aclose()
        assert len(p.cancelled) == len(f.cancelled) == 1
        await stage.router.aclose(0)
        assert {a["outcome"] for a in stage.log.rows[0]["attempts"]} == {"cancelled"}
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_virtual_time(play())


def test_a_caller_that_stops_at_the_answer_does_not_stop_the_learning():
    async def play():
        stage = Stage(primary(whole(20, "P")), fallback(whole(30, "F")), every=1)
        learned = 0
        for _ in range(12):
            events = stage.router.stream("Why?")
            async for event in events:
                if event["type"] == "answered":
                    break
            await events.aclose()
            await asyncio.sleep(1)
            learned += stage.services.routing.ranking.due("general") is None
        assert learned == 12
        assert stage.services.races == {}

    on_virtual_time(play())


def test_the_bare_graph_answers_a_prompt_and_forgets_it():
    async def play():
        stage = Stage(primary(whole(20, "P")), fallback(whole(30, "F")))
        state = await stage.router.graph.ainvoke({"prompt": "Why?"})
        assert state["answer"]["text"] == "P"
        assert state["messages"][-1].response_metadata["category"] == "general"
        assert stage.services.races == {}

    on_virtual_time(play())


def test_events_come_in_order_and_the_commit_precedes_the_answer():
    async def play():
        stage = Stage(primary(whole(20, "P")), fallback(whole(30, "F")))
        played = await stage.play()
        kinds = [event["type"] for event in played.events if event["type"] != "node"]
        assert kinds[0] == "classified"
        assert kinds.index("logged") < kinds.index("answered") == len(kinds) - 1
        started = [e["name"] for e in played.of("node") if e["phase"] == "started"]
        assert started[0] == "classify"
        assert set(started[1:3]) == {"primary", "fallback"}
        assert started[3:] == ["join", "log"]

    on_virtual_time(play())


def test_a_provider_whose_breaker_is_open_is_skipped_and_the_next_is_asked():
    async def play():
        bad, good = primary(fails(1, "auth")), Scripted("second", [whole(10, "S")])
        stage = Stage(bad, good, fallback(whole(3000, "F")))
        await stage.play()
        played = await stage.play()
        assert (played.text, len(bad.calls)) == ("S", 1)
        assert outcomes(played.answer, "primary") == ["skipped", "ok"]

    on_virtual_time(play())


def test_paid_models_are_skipped_once_the_days_budget_is_spent():
    async def play():
        dear = primary(whole(10, "P"))
        stage = Stage(dear, fallback(whole(20, "F")), retrieval=SURE, budget=Budget(daily_usd=1))
        stage.log.spent = {"primary": 1.5}
        played = await stage.play()
        assert (played.answer["provider"], dear.calls) == ("passages", [])
        (skipped,) = [a for a in played.answer["attempts"] if a["role"] == "primary"]
        assert "budget of $1 is spent" in skipped["detail"]
        assert "budget" in str(stage.router.health()["problems"])

    on_virtual_time(play())


def test_a_place_is_free_again_with_the_answer():
    async def play():
        stage = Stage(primary(whole(10, "P")), fallback(HANGS))
        stage.router._gate.limits = Admission(races=1, queue=0)
        events = stage.router.stream("first")
        async for event in events:
            if event["type"] == "answered":
                break
        assert (await stage.router.answer("second")).text == "P"
        await events.aclose()

    on_virtual_time(play())


def test_at_most_so_many_race_and_the_queue_is_bounded():
    async def play():
        stage = Stage(primary(whole(100, "P")), fallback(HANGS))
        stage.router._gate.limits = Admission(races=1, queue=1)
        one, two = asyncio.create_task(stage.play()), asyncio.create_task(stage.play())
        await asyncio.sleep(0.01)
        with pytest.raises(OverloadedError):
            await stage.play()
        await one
        waited = await two
        assert waited.text == "P"
        assert waited.at_ms == pytest.approx(200, abs=1)

    on_virtual_time(play())


THOUGHTS = [(ms, Delta(reasoning="hm ")) for ms in range(500, 8000, 500)]
SLOW_THINKER = Call([*THOUGHTS, (8000, "P"), (8000, "end")])


@pytest.mark.parametrize(
    ("capabilities", "limits", "text"),
    [
        (("reasoning",), {}, "P"),  # 30 s for it
        (("reasoning",), {"think_s": 5.0}, "F"),
        (None, {"think_s": 10.0}, "P"),
        (None, {}, "F"),  # as long as ttft_s, from its first thought
    ],
)
def test_a_model_that_thinks_is_alive_for_as_long_as_it_may(capabilities, limits, text):
    async def play():
        stage = Stage(
            primary(SLOW_THINKER), fallback(whole(100, "F")), capabilities=capabilities, **limits
        )
        played = await stage.play()
        assert played.text == text
        await stage.router.aclose(0)

    on_virtual_time(play())


def test_time_spent_thinking_is_not_slow_for_the_breaker():
    async def play():
        stage = Stage(primary(SLOW_THINKER), fallback(whole(100, "F")), capabilities=("reasoning",))
        for _ in range(6):
            assert (await stage.play()).text == "P"
        assert stage.services.routing.states()["primary"] == "closed"
        await stage.router.aclose(0)

    on_virtual_time(play())


class BrokenMetrics(Metrics):
    def observe(self, interaction, attempts):
        raise ValueError("Counters can only be incremented by non-negative amounts.")


@pytest.mark.parametrize("what", ["metrics", "log"])
def test_neither_metrics_nor_the_log_can_cost_an_answer(what):
    async def play():
        stage = Stage(primary(whole(10, "P")), fallback(HANGS))
        broken = BrokenMetrics() if what == "metrics" else stage.services.metrics
        if what == "log":
            stage.log.fails_with = OverflowError(
                "Python int too large to convert to SQLite INTEGER"
            )
        stage.services = replace(stage.services, metrics=broken)
        stage.router._life.adopt(stage.services)
        played = await stage.play()
        assert (played.text, played.answer["success"]) == ("P", True)
        counter = {"metrics": "router_metrics_failures", "log": "router_log_failures"}[what]
        assert broken.registry.get_sample_value(f"{counter}_total") == 1
        await stage.router.aclose(0)

    on_virtual_time(play())
