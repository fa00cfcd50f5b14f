"""LangGraph's own server runs the graphs, asked by LangGraph's own client."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import psutil
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client
from langgraph_sdk.errors import ConflictError, NotFoundError

from strangers.langgraph_dev.conftest import ANSWER, Server
from tests.upstream import FAULTS, Behaviour

MIB = 2**20


async def test_schemas_are_read(server: Server) -> None:
    client = get_client(url=server.url)
    [assistant] = await client.assistants.search(graph_id="router")
    schemas = await client.assistants.get_schemas(assistant["assistant_id"])
    assert set(schemas["input_schema"]["properties"]) == {
        "messages",
        "prompt",
        "category",
        "provider",
    }
    assert set(schemas["output_schema"]["properties"]) == {"messages", "answer"}
    graph = await client.assistants.get_graph(assistant["assistant_id"])
    assert {"classify", "primary", "fallback", "join", "log", "rerank"} <= {
        node["id"] for node in graph["nodes"]
    }


async def test_a_run_answers_with_blocking_calls_detected(server: Server) -> None:
    client = get_client(url=server.url)
    state: Any = await client.runs.wait(None, "router", input={"prompt": "Why is the sky blue?"})
    assert state["answer"]["text"] == ANSWER, server.said()[-3000:]
    assert state["messages"][-1]["type"] == "ai"
    assert "BlockingError" not in server.said()


async def test_a_second_turn_in_a_thread_knows_the_first(server: Server) -> None:
    client = get_client(url=server.url)
    thread = (await client.threads.create())["thread_id"]
    for question in ("Why is the sky blue?", "And at night?"):
        given = {"messages": [{"role": "user", "content": question}]}
        state: Any = await client.runs.wait(thread, "router", input=given)
    assert [m["type"] for m in state["messages"]] == ["human", "ai", "human", "ai"]
    asked = server.upstream.calls("scripted")[-1].body["messages"]
    assert [m["content"] for m in asked] == [
        "Why is the sky blue?",
        ANSWER,
        "And at night?",
    ]


async def test_a_run_from_an_earlier_checkpoint_forks_the_conversation(server: Server) -> None:
    client = get_client(url=server.url)
    thread = (await client.threads.create())["thread_id"]
    for question in ("First?", "Second?"):
        await client.runs.wait(thread, "router", input={"prompt": question})
    history = await client.threads.get_history(thread, limit=50)
    first_end = next(s for s in history if not s["next"] and len(s["values"]["messages"]) == 2)
    checkpoint: Any = first_end["checkpoint"]
    state: Any = await client.runs.wait(
        thread, "router", input={"prompt": "Third?"}, checkpoint=checkpoint
    )
    humans = [m["content"] for m in state["messages"] if m["type"] == "human"]
    assert humans == ["First?", "Third?"]
    midway = next(s for s in history if set(s["next"]) == {"primary", "fallback"})
    again: Any = await client.runs.wait(
        thread, "router", input=None, checkpoint=midway["checkpoint"]
    )
    assert again["answer"]["success"]


async def test_tokens_stream_as_one_message_and_events_beside_them(server: Server) -> None:
    client = get_client(url=server.url)
    said: dict[str, str] = {}
    events: list[str] = []
    final: Any = None
    modes: Any = ["messages-tuple", "custom", "values"]
    async for part in client.runs.stream(
        None, "router", input={"prompt": "Why?"}, stream_mode=modes
    ):
        if part.event == "messages":
            message = part.data[0]
            if message["type"] == "AIMessageChunk":
                said[message["id"]] = said.get(message["id"], "") + message["content"]
        elif part.event == "custom":
            events.append(part.data["type"])
        elif part.event == "values":
            final = part.data
    last = final["messages"][-1]
    assert said == {last["id"]: last["content"]}
    assert {"classified", "token", "logged", "answered"} <= set(events)


async def test_another_graph_has_the_server_as_a_node(server: Server) -> None:
    host = StateGraph(MessagesState)
    host.add_node("answer", RemoteGraph("router", url=server.url))
    host.add_edge(START, "answer")
    host.add_edge("answer", END)
    chat = host.compile(checkpointer=InMemorySaver())
    thread: Any = {"configurable": {"thread_id": str(uuid.uuid4())}}
    for question in ("First?", "Second?"):
        state = await chat.ainvoke({"messages": [("user", question)]}, thread)
    assert [m.content for m in state["messages"]] == ["First?", ANSWER, "Second?", ANSWER]


async def test_events_name_the_speaker_as_one_chat_model(server: Server) -> None:
    client = get_client(url=server.url)
    said: list[str] = []
    async for part in client.runs.stream(
        None, "router", input={"prompt": "Why?"}, stream_mode="events"
    ):
        if part.event == "events" and part.data["event"] == "on_chat_model_stream":
            said.append(part.data["data"]["chunk"]["content"])
    assert "".join(said) == ANSWER


async def test_other_programs_call_it_as_a_tool_by_mcp(server: Server) -> None:
    params = {"name": "router", "arguments": {"prompt": "Why?"}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    accepts = {"accept": "application/json, text/event-stream"}
    async with httpx.AsyncClient(timeout=30) as client:
        reply = await client.post(f"{server.url}/mcp", json=call, headers=accepts)
    assert ANSWER in reply.text, reply.text


WRONG = {
    "nothing": ({}, "messages"),
    "an empty prompt": ({"prompt": ""}, "prompt"),
    "a list for a prompt": ({"prompt": ["a"]}, "`prompt`"),
    "an unknown provider": ({"prompt": "a", "provider": "nope"}, "'nope'"),
    "an unknown category": ({"prompt": "a", "category": "nope"}, "'nope'"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_wrong_input_is_one_clear_error(server: Server, case: str) -> None:
    given, named = WRONG[case]
    client = get_client(url=server.url)
    ended: Any = await client.runs.wait(None, "router", input=given, raise_error=False)
    assert named in ended["__error__"]["message"], ended


ENDS = {
    "enqueue": ["Slow?", "Quick?"],
    "interrupt": ["Slow?", "Quick?"],
    "rollback": ["Quick?"],
}
"""The questions in the thread after the second of two runs at once, by its strategy."""


@pytest.mark.parametrize("strategy", ENDS)
async def test_two_runs_at_once_in_a_thread_end_as_the_server_ends_them(
    server: Server, strategy: Any
) -> None:
    client = get_client(url=server.url)
    thread = (await client.threads.create())["thread_id"]
    aborted, release = server.upstream.aborted, asyncio.Event()
    slow = Behaviour(text="Slow.", gates={-1: release})
    server.upstream.behave("scripted", slow, Behaviour(text=ANSWER))
    server.upstream.behave("cheap", Behaviour(hang="before_headers"))
    calls = len(server.upstream.calls("scripted"))
    first = (await client.runs.create(thread, "router", input={"prompt": "Slow?"}))["run_id"]
    while len(server.upstream.calls("scripted")) == calls:  # noqa: ASYNC110 - of another thread
        await asyncio.sleep(0.02)
    given = {"prompt": "Quick?"}
    with pytest.raises(ConflictError):
        await client.runs.create(thread, "router", input=given, multitask_strategy="reject")
    second = await client.runs.create(thread, "router", input=given, multitask_strategy=strategy)
    if strategy == "enqueue":
        server.upstream.loop.call_soon_threadsafe(release.set)
    state: Any = await client.runs.join(thread, second["run_id"])
    server.upstream.behave("cheap", Behaviour(text="The fallback answers."))
    said = [m["content"] for m in state["messages"]]
    answers = ["Slow.", ANSWER] if strategy == "enqueue" else [ANSWER]
    assert [text for text in said if text in ENDS[strategy]] == ENDS[strategy]
    assert [text for text in said if text not in ENDS[strategy]] == answers
    if strategy == "rollback":
        with pytest.raises(NotFoundError):
            await client.runs.get(thread, first)
    else:
        ended = {"enqueue": "success", "interrupt": "interrupted"}[strategy]
        assert (await client.runs.get(thread, first))["status"] == ended
    if strategy != "enqueue":
        assert server.upstream.aborted > aborted, "the call of the run that ended was ended"


async def test_the_knowledge_base_is_there(server: Server) -> None:
    client = get_client(url=server.url)
    await client.runs.wait(None, "router", input={"prompt": "Are you there?"})
    while "ingested" not in server.said():  # noqa: ASYNC110 - the server is another process
        await asyncio.sleep(0.1)
    server.upstream.behave("scripted", FAULTS["500"])
    given = {"prompt": "What does this router do when a provider is slow?"}
    state: Any = await client.runs.wait(None, "router", input=given)
    server.upstream.behave("scripted", Behaviour(text=ANSWER))
    assert state["answer"]["role"] == "fallback"
    assert state["answer"]["sources"], "passages of the shipped documents"


async def test_a_hundred_runs_leave_nothing_open(server: Server) -> None:
    client = get_client(url=server.url)

    async def runs(count: int) -> None:
        given = {"prompt": "Why is the sky blue?"}
        for _ in range(count // 5):
            await asyncio.gather(*(client.runs.wait(None, "router", input=given) for _ in range(5)))

    await runs(10)
    before = _held(server.process)
    await runs(100)
    after = _held(server.process)
    grown = {name: after[name] - before[name] for name in before}
    print(f"after 100 runs: {grown}")
    assert grown["files"] <= 3, grown
    assert grown["threads"] <= 2, grown
    assert grown["bytes"] <= 10 * MIB, grown


def _held(process: psutil.Process) -> dict[str, int]:
    family = [process, *process.children(recursive=True)]
    return {
        "files": sum(p.num_fds() for p in family),
        "threads": sum(p.num_threads() for p in family),
        "bytes": sum(p.memory_info().rss for p in family),
    }
