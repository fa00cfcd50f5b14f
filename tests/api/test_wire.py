"""What a request may hold."""

from __future__ import annotations

from typing import Any

import pytest

from api.errors import RefusedError
from api.wire import parse

HELLO = [{"role": "user", "content": "Hello"}]


def refused(**body: Any) -> tuple[str, str | None, str | None]:
    """Why `parse` refuses the body: message, parameter, code."""
    with pytest.raises(RefusedError) as caught:
        parse({"messages": HELLO, **body})
    assert caught.value.problem.status == 400
    problem = caught.value.problem
    return problem.message, problem.param, problem.code


def test_the_last_message_is_the_prompt_and_the_others_are_the_history() -> None:
    asked = parse(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello!"},
                {"role": "user", "content": "Why is the sky blue?"},
            ]
        }
    )
    assert asked.prompt == "Why is the sky blue?"
    assert [m["role"] for m in asked.history] == ["system", "user", "assistant"]


def test_text_parts_are_joined_by_line_breaks() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert parse({"messages": [{"role": "user", "content": parts}]}).prompt == "one\ntwo"


def test_a_developer_message_is_a_system_message() -> None:
    asked = parse({"messages": [{"role": "developer", "content": "Be brief."}, *HELLO]})
    assert asked.history == [{"role": "system", "content": "Be brief."}]


def test_parameters_are_passed_on_under_their_names() -> None:
    asked = parse(
        {
            "messages": HELLO,
            "max_tokens": 7,
            "temperature": 0,
            "top_p": 0.5,
            "stop": "END",
            "seed": 3,
            "presence_penalty": 1,
            "frequency_penalty": -1.5,
        }
    )
    assert asked.options == {
        "max_tokens": 7,
        "temperature": 0,
        "top_p": 0.5,
        "stop": ["END"],
        "extra": {"seed": 3, "presence_penalty": 1, "frequency_penalty": -1.5},
    }


def test_the_newer_name_of_the_token_limit_is_the_same_limit() -> None:
    assert parse({"messages": HELLO, "max_completion_tokens": 9}).options == {"max_tokens": 9}
    assert parse({"messages": HELLO, "max_completion_tokens": 9, "max_tokens": 9})
    message, param, _ = refused(max_tokens=1, max_completion_tokens=2)
    assert param == "max_tokens"
    assert "not both" in message


def test_harmless_parameters_and_neutral_values_are_accepted() -> None:
    asked = parse(
        {
            "messages": HELLO,
            "user": "someone",
            "metadata": {"team": "blue"},
            "service_tier": "auto",
            "n": 1,
            "logprobs": False,
            "store": False,
            "response_format": {"type": "text"},
            "modalities": ["text"],
        }
    )
    assert asked.options == {}


def test_null_counts_as_absent_for_clients_that_send_all_they_know() -> None:
    turn = {"role": "assistant", "content": "Hi", "refusal": None, "tool_calls": None}
    asked = parse({"messages": [turn, *HELLO], "tools": None, "stop": None, "n": None})
    assert asked.history == [{"role": "assistant", "content": "Hi"}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "auto"),
        ("parallel_tool_calls", True),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("logit_bias", {"50256": -100}),
        ("top_logprobs", 2),
        ("reasoning_effort", "low"),
        ("verbosity", "low"),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("anything_else", 1),
    ],
)
def test_an_unsupported_parameter_is_refused_by_name(name: str, value: Any) -> None:
    message, param, code = refused(**{name: value})
    assert f"`{name}` is not supported" in message
    assert (param, code) == (name, "unsupported_parameter")


@pytest.mark.parametrize(
    ("name", "value", "param"),
    [
        ("n", 2, "n"),
        ("logprobs", True, "logprobs"),
        ("store", True, "store"),
        ("modalities", ["text", "audio"], "modalities[1]"),
        ("response_format", {"type": "json_object"}, "response_format.type"),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "x"}},
            "response_format.type",
        ),
    ],
)
def test_an_unsupported_value_is_refused_by_name(name: str, value: Any, param: str) -> None:
    message, refused_param, code = refused(**{name: value})
    assert f"`{param}`" in message
    assert (refused_param, code) == (param, "unsupported_value")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
    ],
)
def test_parts_other_than_text_are_refused_by_name(part: dict[str, Any]) -> None:
    message, param, _ = refused(
        messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}]
    )
    assert part["type"] in message
    assert param == "messages[0].content[1].type"


@pytest.mark.parametrize("role", ["tool", "function", "critic"])
def test_other_roles_are_refused_by_name(role: str) -> None:
    message, param, _ = refused(messages=[{"role": role, "content": "x"}, *HELLO])
    assert repr(role) in message
    assert param == "messages[0].role"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "at least 1"),
        ([{"role": "user", "content": " \n"}], "empty"),
        ([*HELLO, {"role": "assistant", "content": "The sky is"}], "going on from"),
        ([{"role": "system", "content": "Be brief."}], "must be the user's"),
        ([{"role": "user"}], "missing"),
        ([{"role": "user", "content": None}], "missing"),
        ([{"role": "user", "content": []}], "at least 1"),
        (["Hello"], "messages[0]"),
        ("Hello", "list"),
        ([{"role": "user", "content": "a" * 400_001}], "at most 400000"),
    ],
)
def test_messages_that_ask_nothing_are_refused(messages: Any, said: str) -> None:
    message, param, _ = refused(messages=messages)
    assert said in message
    assert param is not None
    assert param.startswith("messages")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", "many"),
        ("max_tokens", 1.5),
        ("max_tokens", True),
        ("temperature", -0.1),
        ("temperature", "0.7"),
        ("top_p", 1.1),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("stop", ""),
        ("stop", 7),
        ("seed", 2**64),
        ("presence_penalty", 3),
        ("frequency_penalty", -3),
        ("stream", "yes"),
        ("model", 7),
    ],
)
def test_a_value_out_of_range_names_its_parameter(name: str, value: Any) -> None:
    message, param, _ = refused(**{name: value})
    assert f"`{name}`" in message
    assert param == name


def test_stream_options_need_a_stream() -> None:
    _, param, _ = refused(stream_options={"include_usage": True})
    assert param == "stream_options"
    asked = parse({"messages": HELLO, "stream": True, "stream_options": {"include_usage": True}})
    assert asked.include_usage
