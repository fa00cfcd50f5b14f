"""What a request may hold."""

from __future__ import annotations

from typing import Any

import pytest

from api.errors import RefusedError, problem_of
from api.parsing import parse
from config.errors import UsageError

HELLO = [{"role": "user", "content": "Hello"}]


def refused(**body: Any) -> tuple[str, str | None, str | None]:
    """Why `parse` refuses the body: message, parameter, code."""
    with pytest.raises((RefusedError, UsageError)) as caught:
        parse({"messages": HELLO, **body}, frozenset({"top_k"}))
    problem = problem_of(caught.value)
    assert problem.status == 400
    return problem.message, problem.param, problem.code


def test_messages_are_taken_in_their_order() -> None:
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
    assert [m["role"] for m in asked.messages] == ["system", "user", "assistant", "user"]


def test_text_parts_are_joined_by_line_breaks() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert parse({"messages": [{"role": "user", "content": parts}]}).prompt == "one\ntwo"


def test_a_developer_message_is_a_system_message() -> None:
    asked = parse({"messages": [{"role": "developer", "content": "Be brief."}, *HELLO]})
    assert asked.messages[0] == {"role": "system", "content": "Be brief."}


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
    assert asked.messages[0] == {"role": "assistant", "content": "Hi"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("web_search_options", {"search_context_size": "low"}),
        ("repetition_penalty", 1.1),
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
        ("modalities", ["text", "audio"], "modalities[1]"),
    ],
)
def test_an_unsupported_value_is_refused_by_name(name: str, value: Any, param: str) -> None:
    message, refused_param, code = refused(**{name: value})
    assert f"`{param}`" in message
    assert (refused_param, code) == (param, "unsupported_value")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}},
        {"type": "tool_result", "tool_use_id": "x"},
    ],
)
def test_parts_other_than_text_are_refused_by_name(part: dict[str, Any]) -> None:
    message, param, _ = refused(
        messages=[{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}]
    )
    assert part["type"] in message
    assert param == "messages[0].content[1].type"


@pytest.mark.parametrize("role", ["ipython", "critic"])
def test_other_roles_are_refused_by_name(role: str) -> None:
    message, param, _ = refused(messages=[{"role": role, "content": "x"}, *HELLO])
    assert repr(role) in message
    assert param == "messages[0].role"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "at least 1"),
        ([{"role": "user", "content": " \n"}], "empty"),
        ([{"role": "user"}], "empty"),
        ([{"role": "user", "content": None}], "empty"),
        ([{"role": "user", "content": []}], "empty"),
        (["Hello"], "messages[0]"),
        ("Hello", "list"),
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
        ("stop", ["a"] * 65),
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


def test_what_asks_for_nothing_is_ignored() -> None:
    asked = parse(
        {
            "messages": HELLO,
            "logit_bias": {},
            "stop": [],
            "tools": [],
            "functions": [],
            "tool_choice": "none",
            "parallel_tool_calls": True,
            "web_search_options": {},
            "anything_else": None,
            "stream_options": {
                "include_usage": True,
                "include_obfuscation": True,
                "continuous_usage_stats": False,
            },
            "function_call": "none",
            "model": None,
            "min_p": 0,
            "top_a": 0,
            "repetition_penalty": 1.0,
            "best_of": 1,
            "metadata": [],
            "user": 7,
        }
    )
    assert (asked.options, asked.ignored, asked.include_usage) == ({}, (), False)
    assert asked.model == parse({"messages": HELLO, "model": ""}).model == "auto"


@pytest.mark.parametrize(
    ("stop", "kept"), [("", None), ([""], None), (["", "END", None], ["END"]), (["a"], ["a"])]
)
def test_an_empty_word_stops_nothing(stop: Any, kept: list[str] | None) -> None:
    assert parse({"messages": HELLO, "stop": stop}).options.get("stop") == kept


def test_usage_in_each_chunk_cannot_change_the_meaning() -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    asked = parse({"messages": HELLO, "stream": True, "stream_options": options})
    assert (asked.include_usage, asked.ignored) == (
        True,
        ("stream_options.continuous_usage_stats",),
    )
    assert refused(stream_options={"other": 1})[1] == "stream_options.other"


def test_a_whole_float_is_the_integer_that_is_meant() -> None:
    assert parse({"messages": HELLO, "max_tokens": 256.0}).options == {"max_tokens": 256}


def test_what_cannot_change_the_meaning_is_ignored_and_said() -> None:
    asked = parse({"messages": HELLO, "keep_alive": "5m", "store": True, "user": "someone"})
    assert asked.ignored == ("keep_alive", "store")


def test_a_field_that_a_host_passes_goes_to_it() -> None:
    asked = parse({"messages": HELLO, "top_k": 40}, frozenset({"top_k"}))
    assert asked.options == {"passes": {"top_k": 40}}


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}


def test_tools_and_formats_are_passed_on_as_they_came() -> None:
    body = {
        "messages": HELLO,
        "tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": SCHEMA,
        "reasoning_effort": "low",
        "logit_bias": {"50256": -100},
    }
    extra = parse(body).options["extra"]
    assert extra == {name: value for name, value in body.items() if name != "messages"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice",
        ),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"$ref": "https://x.test/a.json"}},
                }
            },
            "response_format",
        ),
        ({"provider": {"data_collection": "deny"}}, "provider.data_collection"),
    ],
)
def test_tools_and_formats_that_cannot_be_kept_are_refused(
    body: dict[str, Any], param: str
) -> None:
    assert refused(**body)[1] == param


def test_replayed_replies_of_any_server_are_taken() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = parse(
        {
            "messages": [
                {"role": "user", "name": "alice", "content": "Hi", "id": "m1", "timestamp": 3},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{**call, "index": 0}],
                    "annotations": [],
                    "reasoning_content": "Hm.",
                    "audio": None,
                },
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "42"}]},
                {"role": "assistant"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "And?", "cache_control": {"type": "ephemeral"}}
                    ],
                },
                {"role": "assistant", "content": "The answer"},
            ]
        }
    )
    assert asked.messages == [
        {"role": "user", "name": "alice", "content": "Hi"},
        {"role": "assistant", "content": "", "tool_calls": [call], "reasoning_content": "Hm."},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "The answer"},
    ]


def test_pictures_stay_parts() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    content = [{"type": "text", "text": "What is it?"}, picture]
    assert parse({"messages": [{"role": "user", "content": content}]}).messages[0]["content"] == [
        {"type": "text", "text": "What is it?"},
        picture,
    ]


def test_wishes_are_read() -> None:
    asked = parse(
        {
            "messages": HELLO,
            "models": ["second"],
            "provider": {"ignore": ["first"], "sort": "price", "max_price": {"prompt": 1}},
        }
    )
    assert asked.wishes == {
        "models": ["second"],
        "ignore": ["first"],
        "sort": "price",
        "max_price": {"prompt": 1.0},
    }


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("models", "second", "a list"),
        ("provider", "second", "an object"),
        ("stream_options", "yes", "an object"),
        ("stream", 1, "true or false"),
        ("max_tokens", "5", "a whole number"),
        ("temperature", "hot", "a number"),
        ("stop", ["a"] * 65, "at most 64"),
    ],
)
def test_a_value_of_another_type_is_refused_in_plain_words(
    name: str, value: Any, said: str
) -> None:
    message = refused(**{name: value})[0]
    assert message.startswith(f"`{name}` ")
    assert message.endswith(said)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


DEEP = nested(300)
CALLED = {"id": "a", "function": {"name": "f", "arguments": DEEP}}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{**TOOL, "cache_control": DEEP}]}, "tools[0]"),
        ({"functions": [{"name": "f", "parameters": DEEP}]}, "functions[0]"),
        ({"response_format": {**SCHEMA, "more": DEEP}}, "response_format"),
        ({"top_k": DEEP}, "top_k"),
        (
            {"messages": [{"role": "tool", "tool_call_id": "a", "content": DEEP}]},
            "messages[0].content",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": DEEP}]}]},
            "messages[0].content",
        ),
        (
            {"messages": [*HELLO, {"role": "assistant", "tool_calls": [CALLED]}]},
            "messages[1].tool_calls[0].function.arguments",
        ),
    ],
)
def test_what_is_nested_too_deeply_to_be_passed_on_is_refused_by_name(
    body: dict[str, Any], param: str
) -> None:
    message, refused_param, _ = refused(**body)
    assert "deep" in message
    assert refused_param == param


def test_what_is_not_passed_on_may_be_nested_as_it_likes() -> None:
    assert parse({"messages": HELLO, "metadata": DEEP, "prediction": DEEP}).options == {}
