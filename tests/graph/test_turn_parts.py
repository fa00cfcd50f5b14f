"""What a run of the graph carries beside text: pictures, tools, their calls, usage."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    ToolMessage,
    convert_to_openai_messages,
)
from langgraph.checkpoint.memory import InMemorySaver

from graph.builder import build
from graph.router import Router
from providers.base import Delta, ToolCallDelta
from tests.conftest import SettingsFor
from tests.graph.virtual import Call, Scripted, Stage, on_virtual_time, whole
from tests.upstream import Behaviour, Upstream

THREAD: Any = {"configurable": {"thread_id": "1"}}
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}


SAID = b"""data: {"choices": [{"delta": {"content": "Sunny."}, "finish_reason": "stop"}],
 "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
 "prompt_tokens_details": {"cached_tokens": 5},
 "completion_tokens_details": {"reasoning_tokens": 3}}}

data: [DONE]

""".replace(b"\n ", b" ")
COUNTED = {
    "input_tokens": 11,
    "output_tokens": 7,
    "total_tokens": 18,
    "input_token_details": {"cache_read": 5},
    "output_token_details": {"reasoning": 3},
}


def test_a_tool_that_the_assistant_has_is_called_and_its_result_is_answered() -> None:
    async def play():
        calls = (ToolCallDelta(0, "c1", "look", "{}"),)
        p = Scripted(
            "primary",
            [
                Call([(10, Delta(tool_calls=calls)), (20, Delta(finish_reason="tool_calls"))]),
                whole(20, "Blue."),
            ],
        )
        graph = build(Stage(p, Scripted("fallback", [whole(90, "F")])).services)
        graph.checkpointer = InMemorySaver()
        context: Any = {"tools": [TOOL]}
        first = await graph.ainvoke({"prompt": "Which colour?"}, THREAD, context=context)
        [call] = first["messages"][-1].tool_calls
        assert (call["name"], call["id"]) == ("look", "c1")
        result = {"role": "tool", "tool_call_id": "c1", "content": "blue"}
        state = await graph.ainvoke({"messages": [result]}, THREAD, context=context)
        assert state["messages"][-1].content == "Blue."
        assert [m["role"] for m in p.calls[1]] == ["user", "assistant", "tool"]

    on_virtual_time(play())


async def test_a_picture_with_tools_reaches_the_provider_as_through_the_service(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    url = "data:image/png;base64,AAAA"
    picture = {"type": "image_url", "image_url": {"url": url}}
    asked = [{"type": "text", "text": "Look at this picture."}, picture]
    upstream.behave("first", Behaviour(capable=True))
    context: Any = {"tools": [TOOL], "category": "general"}
    async with Router(settings_for(upstream)) as router:
        await router.start()
        graph = build(router.services)
        graph.checkpointer = InMemorySaver()
        first = await graph.ainvoke({"messages": [HumanMessage(asked)]}, THREAD, context=context)
        [call] = first["messages"][-1].tool_calls
        result = ToolMessage("blue", tool_call_id=call["id"])
        state = await graph.ainvoke({"messages": [result]}, THREAD, context=context)
        await router.answer(
            messages=[{"role": "user", "content": asked}],
            category="general",
            options={"extra": {"tools": [TOOL]}},
        )
    turn, answered, served = (c.body for c in upstream.calls("first"))
    assert (turn["messages"], turn["tools"]) == (served["messages"], served["tools"])
    assert turn["messages"][0]["content"] == asked
    assert [m["role"] for m in answered["messages"]] == ["user", "assistant", "tool"]
    assert answered["messages"][0]["content"] == asked
    assert answered["messages"][2] == {
        "role": "tool",
        "tool_call_id": call["id"],
        "content": "blue",
    }
    assert (call["name"], state["messages"][-1].content) == ("look", "The tools say: blue")


PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
EARLIER = {
    "a picture": [HumanMessage([{"type": "text", "text": "What is this?"}, PICTURE])],
    "thoughts": [
        HumanMessage("Hi"),
        AIMessage([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "A boat."}]),
    ],
    "a tool": [
        HumanMessage("Hi"),
        AIMessage("", tool_calls=[{"id": "c1", "name": "look", "args": {}}]),
        ToolMessage("A boat.", tool_call_id="c1"),
    ],
}


@pytest.mark.parametrize("case", EARLIER)
@pytest.mark.parametrize("given", ["messages", "history"])
def test_a_prompt_follows_the_same_conversation_as_a_message(case: str, given: str) -> None:
    """Nothing of the turns before it is lost because the new one is given as `prompt`."""

    async def play():
        earlier = EARLIER[case]
        p = Scripted("primary", [whole(20, "Red."), whole(20, "Red.")])
        graph = Stage(p, Scripted("fallback", [whole(90, "F")])).router.graph
        await graph.ainvoke({"messages": [*earlier, HumanMessage("Its colour?")]})
        said = convert_to_openai_messages(earlier) if given == "history" else earlier
        state = await graph.ainvoke({given: said, "prompt": "Its colour?"})
        assert p.calls[1] == p.calls[0]
        assert state["messages"][-2].content == "Its colour?"

    on_virtual_time(play())


async def test_usage_names_what_was_cached_and_what_was_thought(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(raw=SAID))
    async with Router(settings_for(upstream)) as router:
        await router.start()
        state = await router.graph.ainvoke({"prompt": "Why?", "category": "general"})
    assert state["messages"][-1].usage_metadata == COUNTED
