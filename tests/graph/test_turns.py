"""The graph in a host that keeps the conversation: threads, streams, late answers, wrong input."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from config.errors import NoAnswerError, RouterError
from graph.builder import build
from graph.router import Router
from tests.conftest import SettingsFor
from tests.graph.virtual import HANGS, Call, Scripted, Stage, fails, on_virtual_time, whole
from tests.upstream import Behaviour, Upstream

THREAD: Any = {"configurable": {"thread_id": "1"}}


def primary(*script: Call) -> Scripted:
    return Scripted("primary", list(script))


def fallback(*script: Call) -> Scripted:
    return Scripted("fallback", list(script))


def in_a_thread(stage: Stage) -> Any:
    graph = build(stage.services)
    graph.checkpointer = InMemorySaver()
    return graph


def test_a_second_turn_knows_the_first() -> None:
    async def play():
        p = primary(whole(20, "one"), whole(20, "two"))
        graph = in_a_thread(Stage(p, fallback(whole(90, "F"))))
        await graph.ainvoke({"messages": [HumanMessage("Why?")]}, THREAD)
        state = await graph.ainvoke({"prompt": "And then?"}, THREAD)
        assert [m.content for m in state["messages"]] == ["Why?", "one", "And then?", "two"]
        assert [(m["role"], m["content"]) for m in p.calls[1]] == [
            ("user", "Why?"),
            ("assistant", "one"),
            ("user", "And then?"),
        ]

    on_virtual_time(play())


def test_what_one_turn_chose_is_not_remembered_by_the_next() -> None:
    async def play():
        p = primary(whole(20, "one"))
        graph = in_a_thread(Stage(p, fallback(whole(90, "F"))))
        first = await graph.ainvoke({"prompt": "Why?", "provider": "fallback"}, THREAD)
        assert first["answer"]["provider"] == "fallback"
        second = await graph.ainvoke({"messages": [{"role": "user", "content": "And?"}]}, THREAD)
        assert second["answer"]["provider"] == "primary"

    on_virtual_time(play())


def test_outputs_of_the_last_turn_are_gone_when_the_next_begins() -> None:
    async def play():
        graph = in_a_thread(Stage(primary(whole(20, "one")), fallback(whole(90, "F"))))
        await graph.ainvoke({"prompt": "Why?"}, THREAD)
        await graph.ainvoke({"prompt": "And?"}, THREAD, interrupt_after=["classify"])
        values = (await graph.aget_state(THREAD)).values
        assert [values[k] for k in ("answer", "primary", "fallback", "logged")] == [None] * 4

    on_virtual_time(play())


def test_an_answer_is_a_message_with_its_usage_and_where_it_came_from() -> None:
    async def play():
        stage = Stage(primary(whole(20, "one")), fallback(whole(90, "F")))
        state = await stage.router.graph.ainvoke({"messages": [("user", "Why?")]})
        message = state["messages"][-1]
        assert isinstance(message, AIMessage)
        assert message.usage_metadata["input_tokens"] == 10
        facts = message.response_metadata
        assert (facts["category"], facts["provider"], facts["role"]) == (
            "general",
            "primary",
            "primary",
        )
        assert facts["cost_usd"] > 0
        assert facts["request_id"] == stage.log.rows[0]["request_id"]
        assert set(state) == {"messages", "answer"}

    on_virtual_time(play())


async def spoken(graph: Any, given: Any) -> dict[str, list[Any]]:
    """The `messages` stream: by id, its parts in order."""
    said: dict[str, list[Any]] = {}
    async for part, _ in graph.astream(given, stream_mode="messages"):
        said.setdefault(part.id, []).append(part)
    return said


def test_streamed_tokens_make_the_final_message_under_its_own_id() -> None:
    async def play():
        call = Call([(10, "one "), (20, "two "), (30, "three"), (40, "end")])
        stage = Stage(primary(call), fallback(Call([(20, "never"), (90, "end")])))
        said = await spoken(stage.router.graph, {"prompt": "Why?"})
        [parts] = said.values()
        assert [p.content for p in parts] == ["one ", "two ", "three"]
        assert all(isinstance(p, AIMessageChunk) for p in parts)
        state = await stage.router.graph.ainvoke({"prompt": "Why?"})
        assert state["messages"][-1].content == "one two three"

    on_virtual_time(play())


def test_a_switch_begins_another_message() -> None:
    async def play():
        dies = Call([(10, "one "), *fails(20, "auth").steps])
        stage = Stage(primary(dies), fallback(Call([(50, "the "), (60, "other"), (70, "end")])))
        graph = in_a_thread(stage)
        said: dict[str, str] = {}
        async for part, about in graph.astream({"prompt": "Why?"}, THREAD, stream_mode="messages"):
            assert part.type == "AIMessageChunk"
            said[part.id] = said.get(part.id, "") + part.content
            assert about["langgraph_node"] in ("primary", "fallback")
        assert list(said.values()) == ["one ", "the other"]
        last = (await graph.aget_state(THREAD)).values["messages"][-1]
        assert (last.id, last.content) == (list(said)[1], "the other")

    on_virtual_time(play())


def test_events_of_a_chat_model_come_in_order_within_the_node_that_speaks() -> None:
    async def play():
        dies = Call([(10, "one "), *fails(20, "auth").steps])
        stage = Stage(primary(dies), fallback(Call([(50, "the "), (60, "other"), (70, "end")])))
        seen = [
            e async for e in stage.router.graph.astream_events({"prompt": "Why?"}, version="v2")
        ]
        about = [
            (e["event"].removeprefix("on_chat_model_"), e["metadata"]["langgraph_node"])
            for e in seen
            if e["event"].startswith("on_chat_model")
        ]
        assert about == [
            ("start", "primary"),
            ("stream", "primary"),
            ("start", "fallback"),
            ("stream", "fallback"),
            ("stream", "fallback"),
            ("end", "fallback"),
        ]
        said = [e["data"]["chunk"].content for e in seen if e["event"] == "on_chat_model_stream"]
        assert said == ["one ", "the ", "other"]
        ended = next(e for e in seen if e["event"] == "on_chat_model_end")
        assert ended["data"]["output"].content == "the other"

    on_virtual_time(play())


def test_events_come_in_custom_and_nodes_in_updates() -> None:
    async def play():
        stage = Stage(primary(whole(20, "P")), fallback(whole(90, "F")))
        modes = ["custom", "updates", "messages"]
        parts = [p async for p in stage.router.graph.astream({"prompt": "Why?"}, stream_mode=modes)]
        kinds = [part["type"] for mode, part in parts if mode == "custom"]
        assert kinds[:1] == ["node"]
        assert {"classified", "token", "logged", "answered"} <= set(kinds)
        nodes = [name for mode, part in parts if mode == "updates" for name in part]
        assert nodes[0] == "classify"
        assert "log" in nodes[-2:], "it may be followed by rerank"

    on_virtual_time(play())


def test_a_late_answer_is_folded_in_at_the_next_turn() -> None:
    async def play():
        p = primary(whole(2_000, "the better answer"), whole(20, "two"))
        graph = in_a_thread(Stage(p, fallback(whole(300, "F")), ttft_s=0.5))
        first = await graph.ainvoke({"prompt": "Why?"}, THREAD)
        assert first["messages"][-1].content == "F"
        await asyncio.sleep(5)
        said = [
            part.id
            async for part, _ in graph.astream({"prompt": "And?"}, THREAD, stream_mode="messages")
        ]
        messages = (await graph.aget_state(THREAD)).values["messages"]
        assert [m.type for m in messages] == ["human", "ai", "human", "ai"]
        assert messages[1].id == first["messages"][-1].id
        assert messages[1].content == "F\n\nprimary answered later:\n\nthe better answer"
        assert "the better answer" in p.calls[1][1]["content"]
        assert set(said) == {messages[-1].id}, "the amendment is no part of what is spoken now"
        again = await graph.ainvoke({"prompt": "So?"}, THREAD)
        assert again["messages"][1].content == messages[1].content, "once"

    on_virtual_time(play())


@pytest.mark.parametrize("text", [True, False], ids=["with log.text", "without"])
async def test_a_late_answer_of_another_process_is_read_back_from_the_log_where_that_has_it(
    settings_for: SettingsFor, upstream: Upstream, text: bool
) -> None:
    settings = settings_for(upstream, log={"text": text}, limits={"ttft_s": 0.1})
    gate = asyncio.Event()
    better = Behaviour(text="the better answer", gates={-1: gate})
    upstream.behave("first", better, Behaviour(text="two"))
    upstream.behave("cheap", Behaviour(text="F"))
    saver = InMemorySaver()

    async def turn(prompt: str) -> Any:
        async with Router(settings) as router:
            graph = build(router.services)
            graph.checkpointer = saver
            state = await graph.ainvoke({"prompt": prompt, "category": "general"}, THREAD)
            gate.set()  # closing waits for what comes late
        return state["messages"]

    assert (await turn("Why?"))[1].content == "F"
    amended = "F\n\nfirst answered later:\n\nthe better answer"
    assert (await turn("And?"))[1].content == (amended if text else "F")


def test_a_picture_stands_in_the_thread_once_and_in_no_other_value() -> None:
    async def play():
        picture = "data:image/png;base64,AAAA"
        parts = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": picture}},
        ]
        p = primary(whole(20, "one"), whole(20, "two"))
        graph = in_a_thread(Stage(p, fallback(whole(90, "F")), capabilities=("images",)))
        await graph.ainvoke({"messages": [{"role": "user", "content": parts}]}, THREAD)
        await graph.ainvoke({"prompt": "And?"}, THREAD)
        async for snapshot in graph.aget_state_history(THREAD):
            others = {k: v for k, v in snapshot.values.items() if k != "messages"}
            assert picture not in str(others)
            assert str(snapshot.values.get("messages", "")).count(picture) <= 1

    on_virtual_time(play())


def test_a_run_that_its_host_cancels_is_logged_as_left() -> None:
    async def play():
        stage = Stage(primary(HANGS), fallback(HANGS))
        run = asyncio.create_task(stage.router.graph.ainvoke({"prompt": "Why?"}))
        await asyncio.sleep(1)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        [row] = stage.log.rows
        assert (row["stopped"], row["success"]) == (True, False)
        assert {a["outcome"] for a in row["attempts"]} == {"cancelled"}
        assert {a["role"] for a in row["attempts"]} == {"primary", "fallback"}
        assert stage.services.races == {}

    on_virtual_time(play())


def test_a_run_that_is_cancelled_after_its_row_is_written_has_one_row() -> None:
    async def play():
        stage = Stage(primary(whole(20, "P")), fallback(HANGS))
        async for mode, part in stage.router.graph.astream(
            {"prompt": "Why?"}, stream_mode=["custom", "updates"]
        ):
            if mode == "custom" and part["type"] == "logged":
                break
        assert len(stage.log.rows) == 1

    on_virtual_time(play())


WRONG = {
    "nothing": ({}, "messages"),
    "no messages": ({"messages": []}, "messages"),
    "an answer last": ({"messages": [AIMessage("I said")]}, "user"),
    "an empty prompt": ({"prompt": ""}, "prompt"),
    "a list for a prompt": ({"prompt": ["a"]}, "`prompt`"),
    "words for a history": ({"prompt": "a", "history": "zzz"}, "`history`"),
    "an unknown provider": ({"prompt": "a", "provider": "nope"}, "'nope'"),
    "an unknown category": ({"prompt": "a", "category": "nope"}, "'nope'"),
    "a number for a category": ({"prompt": "a", "category": 3}, "3"),
    "a video": ({"messages": [HumanMessage([{"type": "video", "url": "x"}])]}, "`messages`.*video"),
    "a video before": (
        {"messages": [HumanMessage([{"type": "video", "url": "x"}])], "prompt": "a"},
        "`messages`.*video",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_sentence_that_names_it(case: str) -> None:
    async def play():
        given, named = WRONG[case]
        stage = Stage(primary(whole(20, "P")), fallback(whole(90, "F")))
        with pytest.raises(RouterError, match=named) as raised:
            await stage.router.graph.ainvoke(given)
        assert "\n" not in str(raised.value)
        assert stage.services.races == {}
        assert stage.log.rows == []

    on_virtual_time(play())


@pytest.mark.parametrize("how", ["interrupt_before", "interrupt_after"])
@pytest.mark.parametrize("node", ["classify", "primary", "fallback", "join", "log", "rerank"])
def test_a_run_that_its_host_stops_at_a_node_goes_on_to_the_same_end(node: str, how: str) -> None:
    async def play():
        stage = Stage(primary(whole(20, "one")), fallback(whole(90, "F")), every=1)
        graph = in_a_thread(stage)
        await graph.ainvoke({"prompt": "Why?"}, THREAD, **{how: [node]})
        if (await graph.aget_state(THREAD)).next:
            await graph.ainvoke(None, THREAD)
        values = (await graph.aget_state(THREAD)).values
        assert [m.content for m in values["messages"]] == ["Why?", "one"]

    on_virtual_time(play())


WRONG_CONTEXT = {
    "words for a number": {"max_tokens": "x"},
    "yes for a number": {"max_tokens": True},
    "nothing at all": {"max_tokens": 0},
    "too hot": {"temperature": 3},
    "words for tools": {"tools": "x"},
    "a number for a provider": {"provider": 5},
}


@pytest.mark.parametrize("case", WRONG_CONTEXT)
def test_wrong_context_is_one_sentence_that_names_it(case: str) -> None:
    async def play():
        given: Any = WRONG_CONTEXT[case]
        stage = Stage(primary(whole(20, "P")), fallback(whole(90, "F")))
        with pytest.raises(RouterError, match=next(iter(given))):
            await stage.router.graph.ainvoke({"prompt": "Why?"}, context=given)
        assert stage.services.races == {}

    on_virtual_time(play())


def test_where_nobody_answers_the_run_fails_with_what_each_said_and_is_logged() -> None:
    async def play():
        stage = Stage(primary(fails(10, "auth")), fallback(fails(10, "auth")))
        with pytest.raises(NoAnswerError, match="primary"):
            await stage.router.graph.ainvoke({"prompt": "Why?"})
        assert [row["success"] for row in stage.log.rows] == [False]
        assert stage.services.races == {}

    on_virtual_time(play())


def test_several_routers_in_one_graph_do_not_mistake_each_others_requests() -> None:
    async def play():
        stage = Stage(primary(whole(20, "P")), fallback(whole(90, "F")))
        outer = StateGraph(MessagesState)
        outer.add_node("left", stage.router.graph)
        outer.add_node("right", stage.router.graph)
        for node in ("left", "right"):
            outer.add_edge(START, node)
            outer.add_edge(node, END)
        state = await outer.compile().ainvoke({"messages": [HumanMessage("Why?")]})
        assert [m.content for m in state["messages"]] == ["Why?", "P", "P"]
        assert len({row["request_id"] for row in stage.log.rows}) == 2
        assert stage.services.races == {}

    on_virtual_time(play())


def test_a_form_shows_what_a_person_may_fill_and_nothing_else() -> None:
    async def play():
        graph = Stage(primary(HANGS), fallback(HANGS)).router.graph
        fields = graph.get_input_jsonschema()["properties"]
        assert set(fields) == {"messages", "prompt", "category", "provider"}
        assert set(graph.get_output_jsonschema()["properties"]) == {"messages", "answer"}
        assert set(graph.get_context_jsonschema()["properties"]) == {
            "category",
            "provider",
            "max_tokens",
            "temperature",
            "tools",
            "tool_choice",
            "response_format",
        }

    on_virtual_time(play())


def test_an_assistant_fixes_what_its_runs_leave_open() -> None:
    async def play():
        p = primary(whole(20, "P"))
        graph = Stage(p, fallback(whole(90, "F"))).router.graph
        state = await graph.ainvoke({"prompt": "Why?"}, context={"provider": "fallback"})
        assert state["answer"]["provider"] == "fallback"
        state = await graph.ainvoke(
            {"prompt": "Why?", "provider": "primary"}, context={"provider": "fallback"}
        )
        assert state["answer"]["provider"] == "primary"

    on_virtual_time(play())
