"""The reducer, without a browser."""

import json

from tests.ui.stories import (
    TERMS,
    asked,
    begun,
    ended,
    first,
    fold,
    new_view,
    node,
    over,
    row_of,
    switched,
    token,
)
from ui.picture import picture


def states(view):
    return {name: one.state for name, one in view.nodes.items()}


def won():
    rows = [
        row_of(0, "star", "primary", "ok", latency_ms=300, served=True),
        row_of(1, "cheap", "fallback", "cancelled", latency_ms=299),
    ]
    return [
        *begun(),
        first(114, 0, "star", "primary"),
        token(114, "Because ", "star"),
        token(200, "packets.", "star"),
        ended(314, 0, "star", "primary", "ok"),
        ended(314, 1, "cheap", "fallback", "cancelled"),
        node(315, "primary", "ended", {"text": "Because packets.", "outcome": "ok"}),
        node(315, "fallback", "ended", {"text": "", "outcome": "cancelled", "provider": "cheap"}),
        *over(316, "star", "primary", "Because packets.", rows),
    ]


def timed_out():
    rows = [
        row_of(0, "star", "primary", "timed_out", latency_ms=1200),
        row_of(1, "cheap", "fallback", "ok", latency_ms=900, served=True),
    ]
    return [
        *begun(),
        first(800, 1, "cheap", "fallback"),
        switched(1012, "fallback", "cheap", "timeout"),
        token(1012, "From passages.", "cheap", "fallback"),
        ended(1100, 1, "cheap", "fallback", "ok"),
        ended(1101, 0, "star", "primary", "timed_out"),
        node(1101, "primary", "ended", {"text": "", "outcome": "timed_out", "provider": "star"}),
        node(1101, "fallback", "ended", {"text": "From passages.", "outcome": "ok"}),
        *over(1102, "cheap", "fallback", "From passages.", rows),
    ]


def test_nodes_wait_before_anything_happened():
    assert set(states(new_view()).values()) == {"waiting"}


def test_both_branches_run_at_once():
    view = fold(*begun())
    assert states(view) == {
        "classify": "done",
        "primary": "running",
        "fallback": "running",
        "join": "waiting",
        "log": "waiting",
        "rerank": "waiting",
    }
    assert [a["outcome"] for a in view.attempts.values()] == ["running", "running"]


def test_tokens_become_the_text():
    view = fold(*begun(), token(114, "Because ", "star"), token(120, "packets", "star"))
    assert view.text == "Because packets"
    assert view.speaker == "star"


def test_a_primary_that_completes_wins_and_the_fallback_is_cancelled():
    view = fold(*won())
    view.end()
    assert view.phase == "done"
    assert states(view)["primary"] == "done"
    assert states(view)["fallback"] == "cancelled"
    assert states(view)["rerank"] == "skipped"
    assert view.attempts[0]["served"]


def test_the_limit_counts_from_the_classification():
    view = fold(*begun())
    assert view.limits == {"ttft_ms": 1012.0, "ttft_s": 1.0, "deadline_ms": 60_000.0}


def test_a_switch_takes_back_what_was_shown_and_says_why():
    view = fold(
        *begun(),
        token(114, "Because packets", "star"),
        switched(900, "fallback", "cheap", "stalled", len("Because packets")),
        token(900, "Passages say", "cheap", "fallback"),
    )
    assert view.text == "Passages say"
    note = view.notes[0]
    assert note["dropped"] == "Because packets"
    assert note["text"] == "cheap answers now: the answer stopped in the middle."
    assert states(view)["primary"] == "late"


def test_the_reason_is_the_one_that_the_race_decided():
    view = fold(*timed_out()[:-1])
    assert view.notes[0]["text"] == "cheap answers now: no first word came in time."
    answered = timed_out()[-1]
    answered["answer"]["why"] = "star failed twice (server error); steady was being asked"
    fold(answered, view=view)
    assert [n["text"] for n in view.notes] == [
        "star failed twice (server error); steady was being asked."
    ]


def test_a_provider_that_was_skipped_is_said_though_nobody_took_over():
    events = won()
    events[-1]["answer"]["why"] = "quick was skipped (its key is missing), so star answered"
    view = fold(*events)
    assert [(n["to"], n["text"][:17]) for n in view.notes] == [("star", "Quick was skipped")]


def test_a_switch_may_take_back_only_the_end():
    view = fold(
        token(1, "one two", "star"), switched(2, "fallback", "cheap", "server", len(" two"))
    )
    assert view.text == "one"


def test_a_floor_that_goes_back_makes_the_primary_run_again():
    view = fold(
        *begun(),
        switched(1012, "fallback", "cheap", "timeout"),
        token(1012, "Pass", "cheap", "fallback"),
        switched(1500, "primary", "star", "failed", 4),
    )
    assert states(view)["primary"] == "running"
    assert view.notes[-1]["text"] == "star answers now: the model asked before it failed."


def test_a_primary_that_is_too_late_is_late_and_amends_the_answer_when_it_comes():
    view = fold(*timed_out())
    assert states(view)["primary"] == "late"
    assert picture(view)["nodes"][1]["word"] == "Too late"
    fold(
        {
            "type": "late",
            "provider": "star",
            "text": "It is so.",
            "latency_ms": 2500,
            "cost_usd": 0,
        },
        view=view,
    )
    assert view.text == "From passages."
    assert view.late["text"] == "It is so."
    assert view.attempts[0]["outcome"] == "late"
    assert view.attempts[0]["ended_ms"] == 14 + 2500
    assert picture(view)["nodes"][1]["word"] == "Came late"


def test_the_loser_is_whoever_has_text_and_was_not_served():
    assert fold(*won()).loser() is None
    half = {"text": "Half an", "provider": "star", "outcome": "timed_out"}
    view = fold(*timed_out(), node(1101, "primary", "ended", half))
    assert view.loser() == {"provider": "star", "text": "Half an"}


def test_a_second_call_of_the_primary_is_a_row_of_its_own():
    view = fold(
        *begun(), ended(50, 0, "star", "primary", "failed"), asked(60, 2, "steady", "primary")
    )
    assert [a["outcome"] for a in view.attempts.values()] == ["failed", "running", "running"]
    assert view.nodes["primary"].sub == "steady"


def test_an_open_breaker_is_a_skipped_attempt_without_a_start():
    view = fold(*begun()[:5], ended(14, 0, "star", "primary", "skipped"))
    assert view.attempts[0]["outcome"] == "skipped"
    assert view.attempts[0]["kind"] == "simulated"


def test_nobody_answers():
    said = {"success": False, "error": "no provider answered (star: down)", "text": ""}
    answer = {**said, "attempts": [], "provider": None, "latency_ms": 5, "role": None}
    view = fold(
        *begun(),
        node(5, "join", "started"),
        node(5, "join", "ended", {**said, "provider": None}),
        {"type": "answered", "at_ms": 5, "answer": answer},
    )
    assert view.phase == "failed"
    assert view.error == "no provider answered (star: down)"
    assert states(view)["join"] == "failed"


def test_a_failed_commit_shows_on_the_log_node():
    view = fold(node(1, "log", "started"), node(2, "log", "ended", output=False))
    assert states(view)["log"] == "failed"


def test_a_node_that_crashed_has_failed():
    view = fold(
        node(1, "classify", "started"),
        {"type": "node", "at_ms": 2, "name": "classify", "phase": "failed", "error": "no"},
    )
    assert states(view)["classify"] == "failed"


def test_a_stopped_request_leaves_nothing_running():
    view = fold(*begun(), token(114, "Bec", "star"))
    view.end(stopped=True)
    assert view.phase == "stopped"
    assert view.text == "Bec"
    assert set(states(view).values()) == {"done", "cancelled", "skipped"}
    assert {a["outcome"] for a in view.attempts.values()} == {"cancelled"}


def test_an_error_of_the_call_itself_is_a_sentence():
    view = new_view()
    view.end(error="the prompt is empty; send some text")
    assert view.phase == "failed"
    assert view.say == "the prompt is empty; send some text"


def test_a_new_order_is_kept_with_its_reason():
    view = fold(
        *won(),
        node(317, "rerank", "started"),
        node(318, "rerank", "ended", {"why": "faster"}),
        {
            "type": "reranked",
            "at_ms": 318,
            "category": "technical",
            "before": ["star", "steady"],
            "after": ["steady", "star"],
            "why": "faster",
        },
    )
    assert states(view)["rerank"] == "done"
    assert view.reranked["after"] == ["steady", "star"]


def test_unknown_events_are_passed_over():
    assert fold({"type": "heartbeat", "at_ms": 70}).at_ms == 70


def test_the_picture_is_json_and_new_each_time():
    view = fold(*won())
    one, two = picture(view), picture(view)
    assert json.loads(json.dumps(one)) == two
    assert one["nodes"] is not two["nodes"]


def test_badges_name_the_category_the_winner_and_the_price():
    found = {b["name"]: b for b in picture(fold(*won()))["badges"]}
    assert found["category"]["value"] == "technical"
    assert found["category"]["note"] == "90 % sure"
    assert found["winner"]["value"] == "star"
    assert found["winner"]["note"] == "primary · simulation"
    assert found["called"]["value"] == "2"
    assert found["tokens"]["value"] == "60"
    assert found["cost"]["value"] == "$0.002"
    assert picture(fold(*won()))["id"] == "abc"


def test_the_embedded_llama_is_called_demo_quality():
    shown = picture(fold(*begun()))
    assert [a["mark"] for a in shown["attempts"]] == ["simulation", "demo quality"]


def test_kinds_come_from_the_configuration(settings_for):
    from ui.display import DisplayConfig

    settings = settings_for(hosts={"theatre": {"kind": "simulated"}})
    display = DisplayConfig.of(settings)
    assert display.kinds["first"] == "remote"
    assert display.limits_ms["technical"][0] == settings.limits.ttft_s * 1000
    assert TERMS.kind("star") == "simulated"


def test_what_was_answered_stays_so_though_its_end_was_cut_off():
    view = fold(*won())
    view.end(stopped=True)
    assert view.phase == "done"
    assert view.text == "Because packets."


def test_a_late_answer_makes_the_price_known():
    view = fold(*timed_out())
    view.answer["cost_usd"] = None
    assert view.price == "not known yet"
    late = {
        "type": "late",
        "provider": "star",
        "text": "So.",
        "latency_ms": 2500,
        "cost_usd": 0.002,
    }
    fold(late, view=view)
    assert view.price == "$0.003"


def test_a_branch_that_stands_by_shows_the_time_of_its_work():
    events = [*begun(), ended(500, 1, "cheap", "fallback", "ok")]
    running = {n["name"]: n for n in picture(fold(*events))["nodes"]}
    assert running["fallback"]["took"] is None
    events += [ended(1600, 0, "star", "primary", "ok"), node(1613, "primary", "ended")]
    events += [node(1613, "fallback", "ended")]
    done = {n["name"]: n["took"] for n in picture(fold(*events))["nodes"]}
    assert (done["primary"], done["fallback"]) == ("1.59 s", "487 ms")
