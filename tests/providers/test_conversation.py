"""Messages as clients replay them: calls of tools and their results, old forms, odd contents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.errors import UsageError
from providers.conversation import conversation

ASK: dict[str, Any] = {"role": "user", "content": "Weather and time?"}


def call(name: str, called: str | None = "", arguments: Any = "{}") -> dict[str, Any]:
    made = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return made if called is None else {"id": called, **made}


def result(called: str | None, content: Any = "fine", **more: Any) -> dict[str, Any]:
    made = {"role": "tool", "content": content, **more}
    return made if called is None else {**made, "tool_call_id": called}


def assistant(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def paired(*messages: dict[str, Any]) -> list[str]:
    """Of each result in turn, the tool whose result it is by the ids."""
    found = conversation([ASK, *messages])
    tools = {c["id"]: c["function"]["name"] for m in found for c in m.get("tool_calls", [])}
    assert all(tools)
    assert conversation(found) == found, "read once more, nothing changes"
    return [tools[m["tool_call_id"]] for m in found if m["role"] == "tool"]


@pytest.mark.parametrize("missing", ["", None])
def test_calls_without_ids_and_their_results_find_each_other(missing: str | None) -> None:
    made = assistant(call("weather", missing), call("time", missing))
    assert paired(made, result(missing), result(missing)) == ["weather", "time"]


def test_a_result_goes_to_the_call_of_its_name() -> None:
    made = assistant(call("weather"), call("time"))
    assert paired(made, result("", name="time"), result("", name="weather")) == ["time", "weather"]


def test_a_callers_own_ids_for_calls_that_had_none_are_matched_by_order() -> None:
    made = assistant(call("weather"), call("time"))
    assert paired(made, result("own-1"), result("own-2")) == ["weather", "time"]


def test_ids_that_are_there_are_kept_in_any_order() -> None:
    made = assistant(call("weather", "a"), call("time", "b"))
    assert paired(made, result("b"), result("a")) == ["time", "weather"]


def test_each_step_of_a_loop_is_paired_for_itself() -> None:
    first, second = assistant(call("weather")), assistant(call("time"))
    assert paired(first, result(""), second, result("")) == ["weather", "time"]


def test_a_result_of_no_call_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no call before it is open") as caught:
        conversation([ASK, assistant(call("weather")), result(""), result("")])
    assert caught.value.param == "messages[3].tool_call_id"


def test_older_functions_are_calls_of_tools() -> None:
    older = {"role": "assistant", "content": None, "function_call": call("weather")["function"]}
    answer = {"role": "function", "name": "weather", "content": "fine"}
    assert paired(older, answer) == ["weather"]
    assert paired(older, answer, older, answer) == ["weather", "weather"]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    for arguments in ("", None, {}):
        found = conversation([ASK, assistant(call("time", "a", arguments)), result("a")])
        assert found[1]["tool_calls"][0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize("value", [{"temp": 21}, 21, 1.5, True, ["a", 1], [{"temp": 21}], []])
def test_a_result_may_be_any_json_value(value: Any) -> None:
    found = conversation([ASK, assistant(call("weather", "a")), result("a", value)])
    assert json.loads(str(found[2]["content"])) == value


def test_a_result_may_be_parts_or_nothing() -> None:
    text = {"type": "text", "text": "fine"}
    for content in ([text], text):
        found = conversation([ASK, assistant(call("weather", "a")), result("a", content)])
        assert found[2]["content"] == "fine"
    assert conversation([ASK, assistant(call("w", "a")), result("a", None)])[2]["content"] == ""


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_null_and_missing_contents_are_empty(role: str) -> None:
    for empty in ({"role": role, "content": None}, {"role": role}):
        assert conversation([empty, ASK])[0]["content"] == ""


@pytest.mark.parametrize("content", [5, True, {"type": "video"}, [{"type": "video"}], [7]])
def test_a_content_that_nobody_can_read_is_named(content: Any) -> None:
    with pytest.raises(UsageError, match=r"`messages\[0\]\.content"):
        conversation([{"role": "user", "content": content}])


def test_a_refusal_is_what_was_said() -> None:
    said = {"role": "assistant", "content": None, "refusal": "I will not."}
    assert conversation([ASK, said, ASK])[1]["content"] == "I will not."


@pytest.mark.parametrize("role", [None, [], {}, 7, "critic"])
def test_a_role_that_is_none_is_named(role: Any) -> None:
    with pytest.raises(UsageError, match=r"`messages\[0\]\.role`"):
        conversation([{"role": role, "content": "Hello"}])


ADDRESS = "data:image/png;base64,AA=="


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": ADDRESS},
        {"type": "image_url", "image_url": {"url": ADDRESS}},
        {"type": "input_image", "image_url": ADDRESS},
        {"type": "image", "url": ADDRESS},
        {"type": "image", "source": {"type": "url", "url": ADDRESS}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "image", "base64": "AA==", "mime_type": "image/png"},
    ],
)
def test_a_picture_may_be_written_in_several_ways(part: dict[str, Any]) -> None:
    said = conversation([{"role": "user", "content": [{"text": "Look."}, part]}])
    assert said[0]["content"] == [
        {"type": "text", "text": "Look."},
        {"type": "image_url", "image_url": {"url": ADDRESS}},
    ]


def test_calls_of_other_kinds_are_replayed_as_functions() -> None:
    custom = {"id": "a", "type": "custom", "custom": {"name": "shell", "input": "ls"}}
    parts = [{"type": "tool_use", "id": "b", "name": "weather", "input": {"city": "Oslo"}}]
    found = conversation([ASK, assistant(custom), result("a"), {**assistant(), "content": parts}])
    made = [c["function"] for m in found for c in m.get("tool_calls", [])]
    assert made == [
        {"name": "shell", "arguments": '{"input": "ls"}'},
        {"name": "weather", "arguments": '{"city": "Oslo"}'},
    ]


def test_a_name_holds_nothing_that_hosts_refuse() -> None:
    said = conversation([{**ASK, "name": "Alice <Smith>/2"}])
    assert said[0]["name"] == "Alice__Smith__2"
