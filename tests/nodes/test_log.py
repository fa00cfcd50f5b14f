"""What the log keeps of the tools of a turn."""

from nodes.log import MOST_TOOL_CHARS, tool_steps
from providers.messages import Message, ToolCall


def call(ident: str, name: str, arguments: str = "{}") -> ToolCall:
    return {"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}}


def asked(text: str) -> Message:
    return {"role": "user", "content": text}


def calling(*calls: ToolCall) -> Message:
    return {"role": "assistant", "content": "", "tool_calls": list(calls)}


def returned(ident: str, text: str) -> Message:
    return {"role": "tool", "tool_call_id": ident, "content": text}


def test_calls_and_results_are_kept_in_order_since_the_users_last_words():
    said = [
        asked("Before?"),
        calling(call("a", "old")),
        returned("a", "old"),
        asked("And now?"),
        calling(call("b", "look", '{"at":1}')),
        returned("b", "blue"),
    ]
    steps = tool_steps(said, [call("c", "paint")])
    assert [(s["kind"], s["id"], s["name"], s["text"]) for s in steps] == [
        ("call", "b", "look", '{"at":1}'),
        ("result", "b", "look", "blue"),
        ("call", "c", "paint", "{}"),
    ]


def test_a_long_result_is_cut_and_a_turn_without_tools_has_none():
    said = [asked("Read it."), returned("b", "x" * 1_000_000)]
    assert len(tool_steps(said, [])[0]["text"]) < MOST_TOOL_CHARS + 20
    assert tool_steps([asked("Plain?")], []) == []
