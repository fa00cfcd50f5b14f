"""What requests say of tools, in the forms of several vendors."""

from __future__ import annotations

from typing import Any

import pytest

from config.errors import UsageError
from providers.tool_offers import tool_offers

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "description": "Somewhere.", "parameters": PARAMETERS}
TOOL = {"type": "function", "function": FUNCTION}
CLOCK = {"type": "function", "function": {"name": "clock"}}
NAMED = {"type": "function", "function": {"name": "weather"}}


def test_openais_own_form_is_passed_on_as_it_came() -> None:
    tool = {**TOOL, "cache_control": {"type": "ephemeral"}}
    given = {"tools": [tool], "tool_choice": NAMED, "parallel_tool_calls": False}
    assert tool_offers(given) == given


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", **FUNCTION},
        {"function": FUNCTION},
        {**FUNCTION},
        {"name": "weather", "description": "Somewhere.", "input_schema": PARAMETERS},
    ],
    ids=["flat", "without its type", "bare", "Anthropic's"],
)
def test_tools_of_other_dialects_are_translated(tool: dict[str, Any]) -> None:
    assert tool_offers({"tools": [tool]}) == {"tools": [TOOL]}


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("any", "required"),
        ("weather", NAMED),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "any"}, "required"),
        ({"type": "function", "name": "weather"}, NAMED),
        ({"type": "tool", "name": "weather"}, NAMED),
        ({"function": {"name": "weather"}}, NAMED),
        ({"name": "weather"}, NAMED),
    ],
)
def test_a_choice_may_be_written_in_many_ways(choice: Any, wanted: Any) -> None:
    assert tool_offers({"tools": [TOOL], "tool_choice": choice})["tool_choice"] == wanted


@pytest.mark.parametrize("mode", ["auto", "required"])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("named", [NAMED, {"type": "function", "name": "weather"}, "weather"])
def test_only_allowed_tools_are_offered(mode: str, nested: bool, named: Any) -> None:
    inner = {"mode": mode, "tools": [named]}
    choice = {"type": "allowed_tools", **({"allowed_tools": inner} if nested else inner)}
    found = tool_offers({"tools": [TOOL, CLOCK], "tool_choice": choice})
    assert found == {"tools": [TOOL], "tool_choice": mode}


def test_older_functions_are_tools_of_which_one_is_called() -> None:
    older = {"functions": [FUNCTION], "function_call": {"name": "weather"}}
    wanted = {"tools": [TOOL], "tool_choice": NAMED, "parallel_tool_calls": False}
    assert tool_offers(older) == wanted
    assert tool_offers(wanted) == wanted, "read once more, nothing changes"
    assert tool_offers({"functions": [{"name": "f"}], "function_call": "auto"}) == {
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    }


@pytest.mark.parametrize(
    "asking_nothing",
    [
        {},
        {"tools": [], "functions": None},
        {"tool_choice": "none"},
        {"tool_choice": {"type": "auto"}, "parallel_tool_calls": True},
        {"function_call": "none"},
        {"function_call": "auto"},
    ],
)
def test_without_tools_nothing_is_asked(asking_nothing: dict[str, Any]) -> None:
    assert tool_offers(asking_nothing) == {}


@pytest.mark.parametrize(
    ("request_", "param", "said"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[0].type", "'custom'"),
        ({"tools": [TOOL, {"type": "web_search"}]}, "tools[1].type", "'web_search'"),
        ({"tools": [{"googleSearch": {}}]}, "tools[0].type", "None"),
        ({"tools": ["weather"]}, "tools[0]", "object"),
        ({"tools": "weather"}, "tools", "list"),
        ({"tools": [TOOL] * 513}, "tools", "at most 512"),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "missing"),
        ({"tools": [{**TOOL, "function": {"name": "no spaces"}}]}, "tools[0].function.name", "no"),
        (
            {"tools": [{**TOOL, "function": {"name": "f", "parameters": "all"}}]},
            "tools[0].function.parameters",
            "object",
        ),
        ({"functions": [{"description": "?"}]}, "functions[0].name", "missing"),
        ({"tools": [TOOL], "functions": [FUNCTION]}, "functions", "not both"),
        ({"tool_choice": "required"}, "tool_choice", "`tools`"),
        ({"tool_choice": NAMED}, "tool_choice", "`tools`"),
        ({"function_call": {"name": "weather"}}, "function_call", "`tools`"),
        ({"tools": [CLOCK], "tool_choice": NAMED}, "tool_choice", "'weather'"),
        ({"tools": [CLOCK], "tool_choice": "weather"}, "tool_choice", "'weather'"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "custom", "custom": {"name": "weather"}}},
            "tool_choice",
            "'custom'",
        ),
        ({"tools": [TOOL], "tool_choice": True}, "tool_choice", "True"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "tools": []}},
            "tool_choice",
            "no tools",
        ),
        (
            {
                "tools": [TOOL],
                "tool_choice": {"type": "allowed_tools", "tools": [{"type": "image_generation"}]},
            },
            "tool_choice",
            "only functions",
        ),
        ({"tools": [{**TOOL, "x": {1}}]}, "tools[0]", "not JSON"),
        ({"tools": [{**TOOL, "x": [float("nan")]}]}, "tools[0]", "not JSON"),
        ({"tools": [{**TOOL, "x": 10**30}]}, "tools[0]", "not JSON"),
        ({"tools": [{**TOOL, "x": {1: 2}}]}, "tools[0]", "not text"),
        ({"tools": [TOOL], "parallel_tool_calls": "no"}, "parallel_tool_calls", "true or false"),
    ],
)
def test_what_nobody_could_call_is_refused_by_name(
    request_: dict[str, Any], param: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        tool_offers(request_)
    assert caught.value.param == param
    assert f"`{param}" in str(caught.value)
    assert said in str(caught.value)
