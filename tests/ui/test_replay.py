"""A request from the log gives the picture that it gave live."""

from tests.ui.stories import ROUTE, TERMS, row_of
from ui.replay import NOT_KEPT, asked, cost_of, events
from ui.view import View


def logged(**changes):
    evidence = {**ROUTE["evidence"], "probabilities": ROUTE["probabilities"]}
    return {
        "request_id": "abc",
        "at": 1_700_000_000.0,
        "category": "technical",
        "confidence": 0.9,
        "evidence": evidence,
        "preferred": "star",
        "winner": "star",
        "role": "primary",
        "success": True,
        "latency_ms": 316.0,
        "ttft_ms": 114.0,
        "cost_usd": 0.002,
        "attempts": [
            row_of(0, "star", "primary", "ok", latency_ms=300, served=True),
            row_of(1, "cheap", "fallback", "cancelled", latency_ms=299),
        ],
        **changes,
    }


def replayed(row):
    view = View(asked(row), TERMS)
    for event in events(row):
        view.apply(event)
    view.end()
    return view


def test_the_nodes_end_as_they_did():
    view = replayed(logged())
    assert {n: node.state for n, node in view.nodes.items()} == {
        "classify": "done",
        "primary": "done",
        "fallback": "cancelled",
        "join": "done",
        "log": "done",
        "rerank": "skipped",
    }
    assert view.route["probabilities"] == ROUTE["probabilities"]


def test_events_come_in_the_order_of_their_instants():
    instants = [event["at_ms"] for event in events(logged())]
    assert instants == sorted(instants)


def test_a_late_primary_reaches_beyond_the_answer():
    rows = [
        row_of(0, "star", "primary", "late", latency_ms=2500),
        row_of(1, "cheap", "fallback", "ok", latency_ms=1000, served=True),
    ]
    view = replayed(logged(winner="cheap", role="fallback", latency_ms=1100.0, attempts=rows))
    assert view.nodes["primary"].state == "late"
    assert view.attempts[0]["ended_ms"] == 2514
    assert view.notes[0]["to"] == "cheap"


def test_without_stored_texts_the_picture_says_so():
    assert asked(logged())["prompt"] == NOT_KEPT
    assert asked(logged(prompt="Why TCP?"))["prompt"] == "Why TCP?"


def test_a_request_that_nobody_answered_has_failed():
    row = logged(success=False, winner=None, role=None, error="no provider answered", attempts=[])
    view = replayed(row)
    assert view.phase == "failed"
    assert view.error == "no provider answered"


def test_what_a_late_call_cost_is_read_from_its_own_row():
    rows = [
        row_of(0, "star", "primary", "late", latency_ms=2500),
        row_of(1, "cheap", "fallback", "ok", latency_ms=1000, served=True),
    ]
    assert cost_of(logged(cost_usd=None, attempts=rows)) == 0.002
    rows[0]["cost_usd"] = None
    assert cost_of(logged(cost_usd=None, attempts=rows)) is None


def test_the_log_gives_the_reason_that_its_row_keeps():
    rows = [
        row_of(0, "star", "primary", "failed", latency_ms=50),
        row_of(1, "star", "primary", "failed", latency_ms=50),
        row_of(2, "steady", "primary", "late", latency_ms=2500),
        row_of(3, "cheap", "fallback", "ok", latency_ms=1000, served=True),
    ]
    why = "star failed twice (server error); steady was being asked when cheap was ready"
    row = logged(winner="cheap", role="fallback", latency_ms=1100.0, attempts=rows, reason=why)
    assert [note["text"] for note in replayed(row).notes] == [f"{why}."]


def test_a_request_that_was_stopped_has_not_failed():
    row = logged(success=False, stopped=True, winner=None, role=None, attempts=[])
    assert replayed(row).phase == "stopped"
