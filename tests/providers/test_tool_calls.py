"""Calls of tools in all the ways in which hosts stream them."""

from __future__ import annotations

from typing import Any

import pytest

from providers.base import ToolCallDelta
from providers.tool_calls import ToolCalls

Piece = dict[str, Any]


def piece(arguments: str | None = None, *, name: str | None = None, **call: Any) -> Piece:
    function = {"name": name, "arguments": arguments}
    return {**call, "function": {k: v for k, v in function.items() if v is not None}}


def streamed(*chunks: list[Piece] | Piece, grown: bool = False) -> list[ToolCallDelta]:
    """The deltas of these chunks, each a list of pieces or one piece."""
    reader, found = ToolCalls(), []
    for chunk in chunks:
        pieces = chunk if isinstance(chunk, list) else [chunk]
        found += reader.read({"tool_calls": pieces}, grown=grown)
    return [*found, *reader.rest()]


def calls(deltas: list[ToolCallDelta]) -> list[tuple[str, str]]:
    """Names and arguments as a client adds them up, by index; each index opens with its id."""
    found: dict[int, list[str]] = {}
    ids = []
    for delta in deltas:
        if delta.index not in found:
            assert delta.id
            assert delta.name
            ids.append(delta.id)
            found[delta.index] = [delta.name, ""]
        else:
            assert (delta.id, delta.name) == ("", "")
        found[delta.index][1] += delta.arguments
    assert len(set(ids)) == len(ids)
    return [(name, arguments) for _, (name, arguments) in sorted(found.items())]


BOTH = [("weather", '{"city": "Oslo"}'), ("clock", '{"zone": 1}')]
FIRST = {"name": "weather", "arguments": '{"city": "Oslo"}'}
SECOND = {"name": "clock", "arguments": '{"zone": 1}'}
HALF, REST = '{"city": ', '"Oslo"}'


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(
            [piece(**FIRST, index=0, id="a"), piece(**SECOND, index=0, id="b")], id="index 0 each"
        ),
        pytest.param([piece(**FIRST, id="a"), piece(**SECOND, id="b")], id="no index"),
        pytest.param([piece(**FIRST), piece(**SECOND)], id="no index, no id"),
        pytest.param([piece(**FIRST, index=0), piece(**SECOND, index=0)], id="index 0, no id"),
        pytest.param([[piece(**FIRST), piece(**SECOND)]], id="together, bare"),
        pytest.param(
            [[piece(**FIRST, index=0, id="a"), piece(**SECOND, index=0, id="b")]],
            id="together, index 0 each",
        ),
        pytest.param(
            [piece(**FIRST, index=0, id="x"), piece(**SECOND, index=1, id="x")], id="one id"
        ),
        pytest.param([piece(**FIRST, index=0, id=""), piece(**SECOND, index=1, id="")], id="empty"),
        pytest.param(
            [
                piece("", name="weather", index=0, id="a"),
                piece(HALF, index=0),
                piece(REST, index=0),
                piece("", name="clock", index=0, id="b"),
                piece('{"zone": 1}', index=0),
            ],
            id="index 0 in pieces",
        ),
        pytest.param(
            [
                piece(HALF, name="weather", id="a"),
                piece(REST),
                piece('{"zone"', name="clock", id="b"),
                piece(": 1}"),
            ],
            id="no index in pieces",
        ),
        pytest.param(
            [
                piece(HALF, name="weather", index=0, id="a"),
                piece(REST, index=0, id="a"),
                piece(**SECOND, index=0, id="b"),
            ],
            id="the id in each piece",
        ),
        pytest.param(
            [
                piece(HALF, name="weather", index=0, id="a"),
                piece('{"zone"', name="clock", index=1, id="b"),
                piece(REST, index=0),
                piece(": 1}", index=1),
            ],
            id="by turns",
        ),
        pytest.param(
            [
                piece(HALF, name="weather", id="a"),
                piece('{"zone"', name="clock", id="b"),
                piece(REST, id="a"),
                piece(": 1}", id="b"),
            ],
            id="by turns, by id alone",
        ),
        pytest.param(
            [
                piece(HALF, name="weather", index=0, id="a"),
                piece(REST, index=0, id="made up anew"),
                piece('{"zone"', name="clock", index=1, id="b"),
                piece(": 1}", index=1, id="and again"),
            ],
            id="an id made up for each piece",
        ),
        pytest.param(
            [
                piece(HALF, name="weather", index=0, id="a"),
                piece(REST, name="weather", index=0, id="b"),
                piece(**SECOND, index=1, id="c"),
            ],
            id="an id and the name in each piece",
        ),
        pytest.param(
            [piece(HALF, index=0, id="a"), piece(REST, name="weather", index=0), piece(**SECOND)],
            id="the name comes late",
        ),
        pytest.param([piece(**FIRST, index=2, id="a"), piece(**SECOND, index=5, id="b")], id="gap"),
        pytest.param(
            [piece(**FIRST, index="0", id="a"), piece(**SECOND, index="0", id="b")], id="words"
        ),
        pytest.param([[{**FIRST, "id": "a"}, {**SECOND, "id": "b"}]], id="without `function`"),
        pytest.param(
            [piece(**FIRST, index=0), piece(**FIRST, index=0), piece(**SECOND, index=1)],
            id="a call repeated whole",
        ),
    ],
)
def test_two_calls_stay_two_calls(chunks: list[Any]) -> None:
    assert calls(streamed(*chunks)) == BOTH


def test_the_same_tool_called_twice_is_two_calls() -> None:
    once, again = '{"n": 1}', '{"n": 2}'
    for how in ({"index": 0}, {}):
        bare = streamed(piece(once, name="roll", **how), piece(again, name="roll", **how))
        assert calls(bare) == [("roll", once), ("roll", again)]
        alike = streamed(
            piece(once, name="roll", id="a", **how), piece(once, name="roll", id="b", **how)
        )
        assert calls(alike) == [("roll", once), ("roll", once)]
        empty = streamed(
            piece("", name="roll", id="a", **how), piece("", name="roll", id="b", **how)
        )
        assert calls(empty) == [("roll", "{}"), ("roll", "{}")]


def test_ids_and_indexes_of_a_host_that_sends_them_are_kept() -> None:
    deltas = streamed(piece(**FIRST, index=0, id="a"), piece(**SECOND, index=1, id="b"))
    assert [(d.index, d.id) for d in deltas] == [(0, "a"), (1, "b")]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    for bare in (piece(name="now", index=0), piece("", name="now", index=0)):
        assert calls(streamed(bare)) == [("now", "{}")]


def test_arguments_that_are_an_object_are_written_as_json() -> None:
    call = {"function": {"name": "f", "arguments": {"a": [1]}}}
    assert calls(streamed(call)) == [("f", '{"a": [1]}')]


def test_a_message_that_grows_is_read_once() -> None:
    grown = streamed(
        piece(HALF, name="weather", id="a"),
        piece(HALF + REST, name="weather", id="a"),
        [piece(HALF + REST, name="weather", id="a"), piece(**SECOND, id="b")],
        grown=True,
    )
    assert calls(grown) == BOTH


def test_the_older_function_call_is_a_call() -> None:
    reader = ToolCalls()
    found = [
        *reader.read({"function_call": {"name": "weather", "arguments": HALF}, "tool_calls": []}),
        *reader.read({"function_call": {"arguments": REST}}),
    ]
    assert calls(found) == BOTH[:1]


def test_a_call_without_a_name_is_known_as_such() -> None:
    reader = ToolCalls()
    assert reader.read({"tool_calls": [piece("{}", index=0, id="a")]}) == ()
    assert reader.unnamed
