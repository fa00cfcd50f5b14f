"""Where two good parts of the race meet: breaker and retry, decision and log, run and run."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from langgraph.checkpoint.memory import InMemorySaver

from config.errors import NoAnswerError
from graph.builder import build
from providers.base import ProviderError
from tests.graph.virtual import (
    HANGS,
    SURE,
    Call,
    Played,
    Scripted,
    Stage,
    fails,
    on_virtual_time,
    whole,
)
from vectorstore.passages import Retrieval


def primary(*script: Call) -> Scripted:
    return Scripted("primary", list(script))


def second(*script: Call) -> Scripted:
    return Scripted("second", list(script))


def fallback(*script: Call) -> Scripted:
    return Scripted("fallback", list(script))


def record_failures(stage: Stage, provider: str, n: int) -> None:
    breaker = stage.services.routing.breakers[provider]
    for _ in range(n):
        breaker.record(False, asyncio.get_running_loop().time())


def outcomes(rows: list[dict], provider: str) -> list[str]:
    return [row["outcome"] for row in rows if row["provider"] == provider]


# -- a permit for every call ------------------------------------------------------------------


def test_a_half_open_breaker_gets_one_call_from_a_request() -> None:
    async def play():
        p = primary(fails(50, "server"))
        stage = Stage(p, fallback(whole(300, "F")), ttft_s=5)
        record_failures(stage, "primary", 5)
        await asyncio.sleep(stage.services.settings.breaker.open_s + 1)
        played = await stage.play()
        assert (played.text, len(p.calls)) == ("F", 1)
        assert stage.services.routing.snapshot("primary")["openings"] == 2

    on_virtual_time(play())


def test_a_breaker_that_this_request_opened_is_not_called_again_by_it() -> None:
    async def play():
        p = primary(fails(50, "server"))
        stage = Stage(p, fallback(whole(300, "F")), ttft_s=5)
        record_failures(stage, "primary", 4)
        await stage.play()
        assert len(p.calls) == 1
        assert stage.services.routing.snapshot("primary")["openings"] == 1

    on_virtual_time(play())


def test_a_repeat_that_its_breaker_refuses_becomes_the_next_provider() -> None:
    async def play():
        p, q = primary(fails(50, "server")), second(whole(50, "Q"))
        stage = Stage(p, q, fallback(whole(900, "F")), ttft_s=5)
        record_failures(stage, "primary", 4)
        played = await stage.play()
        assert (played.text, len(p.calls), len(q.calls)) == ("Q", 1, 1)
        assert played.answer["why"] == "primary failed (server error), so second answered"

    on_virtual_time(play())


@pytest.mark.parametrize("kind", ["auth", "server"])
def test_one_probe_passes_a_half_open_breaker_whatever_the_concurrency(kind: str) -> None:
    async def play():
        p = primary(fails(2000, kind))
        stage = Stage(p, fallback(whole(300, "F")))
        record_failures(stage, "primary", 5)
        await asyncio.sleep(stage.services.settings.breaker.open_s + 1)
        many = await asyncio.gather(*(stage.play() for _ in range(20)))
        assert {one.text for one in many} == {"F"}
        assert len(p.calls) == 1

    on_virtual_time(play())


def test_a_call_from_before_the_opening_neither_closes_nor_frees_the_probe() -> None:
    async def play():
        slow = primary(whole(40_000, "old"), fails(20_000, "server"))
        stage = Stage(slow, fallback(whole(300, "F")), ttft_s=0.5, late_s=100)
        await stage.play()
        record_failures(stage, "primary", 5)
        await asyncio.sleep(stage.services.settings.breaker.open_s + 1)
        probing = asyncio.create_task(stage.play())
        await asyncio.sleep(15)  # the old call has come to its end meanwhile
        assert not stage.services.routing.allows("primary")
        await probing

    on_virtual_time(play())


@pytest.mark.parametrize("kind", ["rate_limited", "server", "auth"])
def test_the_fallbacks_provider_is_called_once_though_it_is_next_in_the_order(kind: str) -> None:
    async def play():
        p, f = primary(fails(50, kind)), fallback(whole(500, "F"))
        stage = Stage(p, f, order=("primary", "fallback"))
        played = await stage.play()
        assert (played.text, len(f.calls)) == ("F", 1)

    on_virtual_time(play())


def test_the_fallbacks_provider_is_called_once_though_the_first_is_skipped() -> None:
    async def play():
        p, f = primary(whole(50, "P")), fallback(whole(500, "F"))
        stage = Stage(p, f, order=("primary", "fallback"))
        record_failures(stage, "primary", 5)
        played = await stage.play()
        assert (played.text, len(p.calls), len(f.calls)) == ("F", 0, 1)

    on_virtual_time(play())


def test_a_hedged_fallback_that_is_next_in_the_order_starts_when_the_first_is_out() -> None:
    async def play():
        p, f = primary(fails(50, "auth")), fallback(whole(500, "F"))
        stage = Stage(p, f, order=("primary", "fallback"), fallback={"start": "hedged"})
        played = await stage.play()
        assert (played.text, len(f.calls), played.answer["role"]) == ("F", 1, "fallback")

    on_virtual_time(play())


@pytest.mark.parametrize("kind", ["bad_request", "context_length", "content_filter", "capability"])
def test_what_is_the_callers_own_fault_counts_for_nobody(kind: str) -> None:
    async def play():
        p = primary(*[fails(50, kind)] * 8, whole(50, "P"))
        stage = Stage(p, fallback(whole(300, "F")), every=1)
        for _ in range(8):
            await stage.play(options={"stop": ["END"]})
        assert stage.services.routing.states()["primary"] == "closed"
        entries = stage.services.routing.ranking.standings("general").entries
        assert [e.success for e in entries if e.provider == "primary"] == [None]
        assert (await stage.play()).text == "P"

    on_virtual_time(play())


def test_a_schema_that_nobody_can_keep_takes_no_provider_from_other_callers() -> None:
    async def play():
        p = primary(*[fails(50, "schema")] * 8, whole(50, "P"))
        stage = Stage(p, fallback(whole(300, "F")), every=1)
        for _ in range(8):
            await stage.play()
        assert stage.services.routing.states()["primary"] == "closed"

    on_virtual_time(play())


# -- the life of an attempt -------------------------------------------------------------------


def test_no_call_begins_after_the_decision_and_every_call_has_its_row() -> None:
    async def play():
        p = primary(fails(100, "rate_limited", retry_after_s=0.8), whole(500, "LATE"))
        stage = Stage(p, fallback(whole(300, "F")), ttft_s=3, late_s=30)
        await stage.play()
        await asyncio.sleep(60)
        (row,) = stage.log.rows
        assert len(p.calls) == 1
        assert outcomes(row["attempts"], "primary") == ["failed"]
        assert row["attempts"][0]["error"] == "rate_limited"
        assert stage.log.revisions == []

    on_virtual_time(play())


@pytest.mark.parametrize("then", ["answers", "fails", "hangs"])
def test_a_late_call_is_first_timed_out_then_what_it_came_to(then: str) -> None:
    async def play():
        script = {
            "answers": whole(2000, "late"),
            "fails": fails(2000, "server"),
            "hangs": HANGS,
        }[then]
        stage = Stage(primary(script), fallback(whole(300, "F")), ttft_s=0.5, late_s=5)
        await stage.play()
        await asyncio.sleep(10)
        first = stage.log.rows[0]["attempts"][0]
        assert (first["outcome"], first["error"], first["revision"]) == ("timed_out", "timeout", 0)
        (revised,) = stage.log.revisions
        expected = {
            "answers": ("late", None),
            "fails": ("failed", "server"),
            "hangs": ("timed_out", "timeout"),
        }[then]
        assert (revised["outcome"], revised["error"]) == expected
        assert (revised["revision"], revised["seq"]) == (1, first["seq"])

    on_virtual_time(play())


def test_the_propensity_stands_on_the_first_call_that_was_made() -> None:
    async def play():
        stage = Stage(primary(whole(50, "P")), second(whole(50, "Q")), fallback(whole(90, "F")))
        record_failures(stage, "second", 5)
        await stage.play()
        (row,) = stage.log.rows
        found = {a["provider"]: (a["outcome"], a["propensity"]) for a in row["attempts"]}
        assert found["second"] == ("skipped", None)
        assert found["primary"][0] == "ok"
        assert found["primary"][1] is not None

    on_virtual_time(play())


SILENT = Call([(100, "one "), (100, None)])


@pytest.mark.parametrize("helper", [HANGS, SILENT], ids=["never begins", "falls silent"])
@pytest.mark.parametrize("first", [fails(0, "auth"), fails(700, "auth")])
def test_a_fallback_alone_is_bound_and_the_passages_answer_instead(first: Call, helper: Call):
    async def play():
        stage = Stage(primary(first), fallback(helper), retrieval=SURE)
        played = await stage.play()
        assert played.answer["provider"] == "passages"
        assert played.at_ms <= 700 + 5_000 + 500
        (row,) = outcomes(stage.log.rows[0]["attempts"], "fallback")
        assert row == "timed_out"

    on_virtual_time(play())


def test_a_slow_fallback_is_waited_for_where_nothing_else_could_answer() -> None:
    async def play():
        stage = Stage(primary(fails(0, "auth")), fallback(whole(9_000, "F")), ttft_s=3)
        assert (await stage.play()).text == "F"

    on_virtual_time(play())


def test_closing_cancels_what_runs_writes_its_rows_and_then_closes() -> None:
    async def play():
        p, f = primary(whole(20_000, "P")), fallback(whole(20_000, "F"))
        stage = Stage(p, f, ttft_s=30)
        asking = asyncio.create_task(stage.router.answer("Why?"))
        await asyncio.sleep(1)
        await stage.router.aclose(0.5)
        assert (len(p.cancelled), len(f.cancelled)) == (1, 1)
        (row,) = stage.log.rows
        assert row["error"] == "the router was closed before the answer was complete"
        assert stage.log.closed_after == len(stage.log.rows)
        with pytest.raises(NoAnswerError, match="closed"):
            await asking
        assert asyncio.all_tasks() == {asyncio.current_task()}

    on_virtual_time(play())


def test_a_bug_in_a_node_is_logged_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play():
        stage = Stage(primary(whole(10, "P")), fallback(whole(20, "F")))

        async def join(*_):
            raise ValueError("a bug")

        with monkeypatch.context() as patched:
            patched.setattr("graph.builder.join", join)
            stage.router._life.adopt(stage.services)
        with structlog.testing.capture_logs(), pytest.raises(ValueError, match="a bug"):
            await stage.play()
        await stage.router.aclose(0)
        (row,) = stage.log.rows
        assert row["error"] == "the router failed: ValueError: a bug"
        assert row["stopped"] is False

    on_virtual_time(play())


def test_a_caller_who_left_is_logged_as_one() -> None:
    async def play():
        stage = Stage(primary(HANGS), fallback(HANGS))
        events = stage.router.stream("Why?")
        async for event in events:
            if event["type"] == "attempt_started":
                break
        await events.aclose()
        await stage.router.aclose(0)
        (row,) = stage.log.rows
        assert (row["stopped"], row["reason"]) == (True, row["error"])
        assert "left" in row["error"]

    on_virtual_time(play())


# -- one run never depends on another ---------------------------------------------------------


def test_the_bare_graph_runs_twice_in_one_thread_and_again_from_a_checkpoint() -> None:
    async def play():
        p = primary(whole(20, "one"), whole(20, "two"), whole(20, "three"))
        stage = Stage(p, fallback(whole(90, "F")))
        graph = build(stage.services)
        graph.checkpointer = InMemorySaver()
        thread = {"configurable": {"thread_id": "1"}}
        first = await graph.ainvoke({"prompt": "Why?"}, thread)
        second = await graph.ainvoke({"prompt": "And then?"}, thread)
        assert [s["answer"]["text"] for s in (first, second)] == ["one", "two"]
        ids = [s["messages"][-1].response_metadata["request_id"] for s in (first, second)]
        assert ids[0] != ids[1]
        routed = [
            s async for s in graph.aget_state_history(thread) if s.next == ("primary", "fallback")
        ]
        again = await graph.ainvoke(None, routed[0].config)
        assert again["answer"]["text"] == "three"
        assert len({row["request_id"] for row in stage.log.rows}) == len(stage.log.rows) == 3
        assert stage.services.races == {}

    on_virtual_time(play())


def test_a_run_that_goes_on_after_the_race_answers_from_its_state() -> None:
    async def play():
        p = primary(whole(20, "P"))
        stage = Stage(p, fallback(whole(90, "F")))
        graph = build(stage.services)
        graph.checkpointer = InMemorySaver()
        thread = {"configurable": {"thread_id": "1"}}
        await graph.ainvoke({"prompt": "Why?"}, thread, interrupt_before=["join"])
        state = await graph.ainvoke(None, thread)
        assert state["answer"]["text"] == "P"
        assert len(p.calls) == 1
        await asyncio.sleep(1_000)
        await graph.ainvoke({"prompt": "Why?"}, {"configurable": {"thread_id": "2"}})
        assert stage.services.races == {}, "what was paused is forgotten"

    on_virtual_time(play())


def test_a_provider_that_was_only_being_asked_is_not_blamed() -> None:
    async def play():
        p, q = primary(fails(20, "server"), fails(20, "server")), second(HANGS)
        stage = Stage(p, q, fallback(whole(900, "F")), ttft_s=5)
        played = await stage.play()
        assert played.text == "F"
        assert played.answer["why"] == (
            "primary failed twice (server error); second was being asked when fallback was ready"
        )

    on_virtual_time(play())


def test_the_same_words_say_why_everywhere() -> None:
    async def play():
        stage = Stage(primary(fails(50, "auth")), fallback(whole(300, "F")))
        played: Played = await stage.play()
        assert played.answer["why"] == "primary failed (its key was refused), so fallback answered"
        assert stage.log.rows[0]["reason"] == played.answer["why"]
        slow = Stage(primary(HANGS), fallback(whole(300, "F")), ttft_s=0.5)
        assert (await slow.play()).answer["why"] == (
            "primary had not begun to answer after 0.5 s, so fallback answered"
        )
        none = Stage(primary(fails(50, "auth")), fallback(fails(50, "server")))
        assert (await none.play()).answer["why"] == none.log.rows[0]["reason"]
        well = Stage(primary(whole(50, "P")), fallback(whole(300, "F")))
        assert (await well.play()).answer["why"] is None

    on_virtual_time(play())


class Outage(Scripted):
    """Down until an instant, then healthy; notes when it was called."""

    def __init__(self, name: str, healthy_at: float) -> None:
        super().__init__(name, [whole(100, "P")])
        self.healthy_at = healthy_at
        self.called_at: list[float] = []

    async def stream(self, messages, options=None):
        now = asyncio.get_running_loop().time()
        self.called_at.append(now)
        if now < self.healthy_at:
            await asyncio.sleep(0.02)
            raise ProviderError("server", "down")
        async for delta in super().stream(messages, options):
            yield delta


@pytest.mark.parametrize(
    ("every_s", "down_s", "within_s", "most"),
    [(4.0, 60.0, 15.0, 8), (4.0, 30.0, 15.0, 8), (1 / 30, 10.0, 4.0, 8)],
)
def test_an_outage_costs_few_calls_and_its_end_is_soon_seen(every_s, down_s, within_s, most):
    async def play():
        down = Outage("primary", down_s)
        stage = Stage(down, Scripted("fallback", [whole(300, "F")]))
        served: list[tuple[float, str]] = []

        async def ask() -> None:
            at = asyncio.get_running_loop().time()
            served.append((at, (await stage.play()).text))

        asking = []
        while asyncio.get_running_loop().time() < down_s + within_s:
            asking.append(asyncio.create_task(ask()))
            await asyncio.sleep(every_s)
        await asyncio.gather(*asking)
        assert {text for at, text in served if at < down_s} == {"F"}
        assert "P" in {text for _, text in served}
        assert sum(at < down_s for at in down.called_at) <= most
        await stage.router.aclose(0)

    on_virtual_time(play())


@pytest.mark.parametrize(("named_s", "calls"), [(8.0, 2), (30.0, 1)])
def test_a_host_that_named_its_time_is_asked_before_it_only_if_that_is_near(named_s, calls):
    async def play():
        first = Scripted("primary", [fails(10, "rate_limited", retry_after_s=named_s)])
        helper = Scripted("fallback", [fails(10, "rate_limited", retry_after_s=40.0)])
        stage = Stage(first, helper)
        await asyncio.gather(stage.play(), return_exceptions=True)
        played = await stage.play()
        assert len(first.calls) == calls
        wait_s = played.answer["retry_after_s"]
        assert wait_s == pytest.approx(min(named_s, 40.0), abs=0.1)
        await stage.router.aclose(0)

    on_virtual_time(play())


def test_a_provider_that_fell_behind_in_an_outage_is_tried_again_after_it():
    async def play():
        down = Outage("primary", 60.0)
        stage = Stage(down, Scripted("second", [whole(100, "Q")]), Scripted("fallback", [HANGS]))
        texts: list[str] = []
        while asyncio.get_running_loop().time() < 75.0:
            asking = asyncio.create_task(stage.play())
            await asyncio.sleep(4.0)
            texts.append((await asking).text)
        assert set(texts[:15]) == {"Q"}
        assert "P" in texts[15:]
        assert sum(at < 60.0 for at in down.called_at) <= 8
        await stage.router.aclose(0)

    on_virtual_time(play())


def test_the_knowledge_base_answers_where_the_embedded_model_is_all_there_is() -> None:
    async def play():
        p, f = primary(whole(300, "Invented.")), fallback(whole(300, "The sky is blue."))
        played = await Stage(p, f, retrieval=SURE, shared=True).play()
        assert (played.text, len(p.calls), len(f.calls)) == ("The sky is blue.", 0, 1)
        assert [source["source"] for source in played.answer["sources"]] == ["sky.md"]
        assert played.answer["why"] == (
            "the knowledge base holds the answer, so fallback answered from it"
        )

    on_virtual_time(play())


def test_passages_that_no_model_put_into_words_are_shown_for_their_own_reason() -> None:
    async def play():
        p, f = primary(whole(300, "Invented.")), fallback(HANGS)
        played = await Stage(p, f, retrieval=SURE, shared=True, deadline_s=5).play()
        assert (played.answer["provider"], len(p.calls), len(f.calls)) == ("passages", 0, 1)
        assert played.answer["why"] == (
            "the knowledge base holds the answer, and fallback gave no answer in time,"
            " so its passages are shown"
        )

    on_virtual_time(play())


def test_the_knowledge_base_answers_though_its_search_is_slower_than_a_first_word() -> None:
    async def play():
        p, f = primary(whole(300, "Invented.")), fallback(whole(300, "The sky is blue."))
        stage = Stage(p, f, retrieval=SURE, shared=True, ttft_s=1)
        stage.services.knowledge.takes_s = 4
        played = await stage.play()
        assert (played.text, len(p.calls), len(f.calls)) == ("The sky is blue.", 0, 1)

    on_virtual_time(play())


@pytest.mark.parametrize(
    ("found", "how"), [(Retrieval(), {}), (SURE, {"provider": "primary"})], ids=["unsure", "named"]
)
def test_the_embedded_model_answers_plainly_else(found: Retrieval, how: dict[str, str]) -> None:
    async def play():
        p, f = primary(whole(300, "P")), fallback(whole(300, "F"))
        played = await Stage(p, f, retrieval=found, shared=True).play(**how)
        assert (played.text, len(f.calls)) == ("P", 0)

    on_virtual_time(play())
