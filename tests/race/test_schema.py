"""Answers against the format that was asked for: nothing fetched, everything bounded."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from config.errors import UsageError
from race.schema import CHECK_S, fault, response_format


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


CITY = form({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})


@pytest.mark.parametrize(
    ("asked", "text", "kept"),
    [
        (CITY, '{"city": "Lisbon"}', True),
        (CITY, '{"town": "Lisbon"}', False),
        (CITY, '{"city": 7}', False),
        (CITY, "Lisbon", False),
        ({"type": "json_object"}, "{}", True),
        ({"type": "json_object"}, "[]", False),
        (form({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}), "7", True),
        (form({"type": "string", "pattern": "^[a-z]+$"}), '"ABC"', False),
        ({"type": "json_object"}, '{"x": NaN}', False),
        (form({"type": "number"}), "Infinity", False),
        (form({"properties": {"x": {}}}), '{"x": -Infinity}', False),
    ],
)
async def test_an_answer_is_response_format(asked: dict[str, Any], text: str, kept: bool) -> None:
    assert (await fault(asked, text) is None) == kept


DRAFT_7 = "http://json-schema.org/draft-07/schema#"
NESTED: dict[str, Any] = {}
for _ in range(200):
    NESTED = {"a": NESTED}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://elsewhere.test/schema.json"},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        {"description": "x" * 200_000},
        {"$defs": {"a": {"not": {"$ref": "a.json"}}}},
        {"properties": {"$ref": {"$ref": "a.json"}}},
        {"properties": {"default": {"items": [{"$ref": "a.json"}]}}, "$schema": DRAFT_7},
        {"dependencies": {"a": {"if": {"$ref": "a.json"}}}, "$schema": DRAFT_7},
        {"const": NESTED},
    ],
)
def test_what_reaches_outside_or_is_too_large_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        response_format(form(schema))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"type": "object", "properties": [1]},
        {"properties": {"x": {"multipleOf": 0}}},
        {"allOf": {"a": 1}},
        {"required": "city"},
        {"minimum": "low", "$schema": 7},
    ],
)
def test_what_is_no_schema_is_refused_before_anybody_is_asked(schema: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="the schema is not valid"):
        response_format(form(schema))


async def test_a_schema_is_read_as_the_draft_that_it_names() -> None:
    pair = form(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "items": [{"type": "string"}, {"type": "integer"}],
        }
    )
    response_format(pair)
    assert await fault(pair, '["a", 1]') is None
    assert await fault(pair, '["a", "b"]') is not None


async def test_a_hostile_schema_costs_a_bounded_time_and_leaves_the_loop_free() -> None:
    node: dict[str, Any] = {"$ref": "#/$defs/n0"}
    defs: dict[str, Any] = {
        f"n{i}": {"allOf": [{"$ref": f"#/$defs/n{i + 1}"}] * 2} for i in range(40)
    }
    defs["n40"] = {"type": "string"}
    slow = form({**node, "$defs": defs})
    began, turns = time.monotonic(), 0
    checking = asyncio.create_task(fault(slow, '"x"'))
    while not checking.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert checking.result() is None
    assert time.monotonic() - began < 10 * CHECK_S
    assert turns > 3


async def test_a_hostile_pattern_costs_a_bounded_time() -> None:
    began = time.monotonic()
    text = '"' + "a" * 60 + '!"'
    await fault(form({"type": "string", "pattern": "^(a|aa|a*)*$"}), text)
    assert time.monotonic() - began < 10 * CHECK_S


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"properties": {"$ref": {"type": "string"}}, "required": ["$ref"]}, '{"$ref": "a.json"}'),
        ({"properties": {"$dynamicRef": {"const": "a"}}}, '{"$dynamicRef": "a"}'),
        ({"const": {"$ref": "a.json"}}, '{"$ref": "a.json"}'),
        ({"enum": [{"$ref": "a.json"}, 1]}, "1"),
        ({"examples": [{"$ref": "a.json"}], "default": {"$ref": "a.json"}}, "1"),
        ({"x-vendor": {"$ref": "a.json"}}, "1"),
    ],
)
async def test_what_only_looks_like_a_reference_is_the_callers_data(
    schema: dict[str, Any], text: str
) -> None:
    response_format(form(schema))
    assert await fault(form(schema), text) is None


WANTED = form({"type": "object"})


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (None, None),
        ({}, None),
        ({"type": "text"}, None),
        ("json_object", {"type": "json_object"}),
        ({"type": "json_object"}, {"type": "json_object"}),
        (WANTED, WANTED),
        ({"type": "json_schema", "name": "x", "schema": {"type": "object"}}, WANTED),
        ({"type": "json_object", "name": "x", "schema": {"type": "object"}}, WANTED),
        ({"type": "json", "name": "x", "value": {"type": "object"}}, WANTED),
        ({"type": "json"}, {"type": "json_object"}),
        (
            {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
            {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}},
            },
        ),
    ],
)
def test_a_format_may_be_written_in_several_ways(given: Any, wanted: Any) -> None:
    assert response_format(given) == wanted
    assert response_format(wanted) == wanted, "read once more, nothing changes"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("xml", "response_format.type"),
        ({"type": "grammar", "grammar": "root"}, "response_format.type"),
        ({"schema": {}}, "response_format.type"),
        ([1], "response_format"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": 7}, "response_format.json_schema"),
    ],
)
def test_a_format_that_nobody_keeps_is_refused_by_name(given: Any, param: str) -> None:
    with pytest.raises(UsageError) as caught:
        response_format(given)
    assert caught.value.param == param
