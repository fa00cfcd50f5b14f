from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.answer_reader import AnswerReader
from providers.base import Delta, ProviderError, Usage
from providers.failures import Place

PLACE = Place("llama", "host", "http://host/v1")
FIELDS = ["choices", "delta", "message", "content", "finish_reason", "usage", "error", "index"]
FIELDS += ["code", "type", "reasoning", "prompt_tokens", "completion_tokens", "innererror"]
FIELDS += ["function", "name", "arguments", "id"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def event(delta: object, **choice: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta, **choice}]}).encode() + b"\n\n"


def read(*chunks: bytes, tools: bool = False) -> list[Delta]:
    reader = AnswerReader(PLACE, tools=tools)
    deltas = [delta for chunk in chunks for delta in reader.feed(chunk)]
    return deltas + list(reader.end())


def test_content_finish_reason_and_usage_are_read() -> None:
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n'
    end = event({}, finish_reason="stop")
    deltas = read(event({"content": "Hi"}), end, usage, b"data: [DONE]\n\n")
    assert deltas == [Delta("Hi"), Delta(finish_reason="stop"), Delta(usage=Usage(3, 2))]


def test_role_only_and_empty_events_are_no_delta() -> None:
    opening = event({"role": "assistant"}) + event({"content": ""}) + event({"content": None})
    assert read(opening, event({"content": "Hi"}), b"data: [DONE]\n\n") == [Delta("Hi")]


def test_text_that_came_together_is_one_delta() -> None:
    together = [event({"content": word}) for word in ("Hel", "lo", "!")]
    reader = AnswerReader(PLACE)
    assert [d.text for d in reader.feed(b"".join(together[:2]))] == ["Hello"]
    assert [d.text for d in reader.feed(together[2])] == ["!"]


def test_reasoning_comes_apart_from_the_text() -> None:
    stream = event({"reasoning": "hm"}) + event({"reasoning_content": "m", "content": "Hi"})
    assert read(stream, b"data: [DONE]\n\n") == [
        Delta(reasoning="hm"),
        Delta(reasoning="m"),
        Delta("Hi"),
    ]


def test_content_in_typed_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    assert read(event({"content": parts}), b"data: [DONE]\n\n") == [Delta("Hello")]


def test_a_second_choice_is_left_out() -> None:
    stream = event({"content": "one"}, index=0) + event({"content": "two"}, index=1)
    assert read(stream, b"data: [DONE]\n\n") == [Delta("one")]


def test_deltas_before_a_malformed_event_are_not_lost() -> None:
    deltas = AnswerReader(PLACE).feed(event({"content": "Hi"}) + b'data: {"cho\n\n')
    assert next(deltas) == Delta("Hi")
    with pytest.raises(ProviderError, match="malformed") as raised:
        next(deltas)
    assert raised.value.kind == "bad_reply"


def test_an_answer_of_nothing_but_spaces_is_empty() -> None:
    with pytest.raises(ProviderError, match="empty answer"):
        read(event({"content": " \n"}), b"data: [DONE]\n\n")


def test_an_empty_answer_cut_by_length_says_how_to_mend_it() -> None:
    with pytest.raises(ProviderError, match="raise max_tokens"):
        read(event({"reasoning": "hm"}), event({}, finish_reason="length"))


def test_half_an_event_at_the_end_is_a_cut_and_not_a_malformed_reply() -> None:
    with pytest.raises(ProviderError) as raised:
        read(event({"content": "Hi"}), b'data: {"choices": [{"del')
    assert raised.value.kind == "connection"


@given(JSON)
def test_no_event_whatever_its_shape_is_more_than_a_provider_error(value: object) -> None:
    with contextlib.suppress(ProviderError):
        read(b"data: " + json.dumps(value).encode() + b"\n\n")


@given(JSON, JSON)
def test_no_call_whatever_its_shape_is_more_than_a_provider_error(
    first: object, second: object
) -> None:
    for name in ("tool_calls", "function_call"):
        with contextlib.suppress(ProviderError):
            read(event({name: first}), event({name: [second]}, finish_reason="stop"), tools=True)


@given(st.binary())
def test_no_bytes_are_more_than_a_provider_error(value: bytes) -> None:
    with pytest.raises(ProviderError):
        read(b"data: " + value + b"\n\n")


@pytest.mark.parametrize("common", [True, False])
def test_the_short_way_for_common_chunks_reads_as_the_long_one(common: bool) -> None:
    """A member that means nothing sends a chunk the long way."""
    more = {} if common else {"message": None}
    words = ["<th", "ink>hm</think>", "Half ", "an ", "answer."]
    said = [event({"content": word}, **more) for word in words]
    deltas = read(*said, event({}, finish_reason="stop"), b"data: [DONE]\n\n")
    assert "".join(d.text for d in deltas) == "Half an answer."
    assert "".join(d.reasoning for d in deltas) == "hm"
    assert [d.finish_reason for d in deltas if d.finish_reason] == ["stop"]


def called(*arguments: str) -> bytes:
    """The chunks of one call, its arguments in these pieces."""
    calls = ({"index": 0, "id": "a", "function": {"name": "f", "arguments": a}} for a in arguments)
    return b"".join(event({"tool_calls": [call]}) for call in calls)


def test_arguments_that_are_sent_once_more_as_a_whole_add_nothing() -> None:
    reader = AnswerReader(PLACE, tools=True)
    stream = called('{"a"', ": 1}", '{"a": 1}') + event({}, finish_reason="tool_calls")
    deltas = [*reader.feed(stream), *reader.end()]
    pieces = [call.arguments for delta in deltas for call in delta.tool_calls]
    assert "".join(pieces) == '{"a": 1}'


def test_half_a_call_without_a_finish_reason_is_a_cut() -> None:
    reader = AnswerReader(PLACE, tools=True)
    deltas = list(reader.feed(called('{"a"') + b"data: [DONE]\n\n"))
    with pytest.raises(ProviderError, match="cut off a tool call") as raised:
        deltas.extend(reader.end())
    assert raised.value.kind == "connection"


@pytest.mark.parametrize("said", ["delta", "message"])
def test_calls_in_a_second_choice_of_the_same_index_are_of_the_same_answer(said: str) -> None:
    """As gateways send them that keep text and calls apart; other answers stay left out."""
    call = {"id": "a", "function": {"name": " f ", "arguments": "{}"}}
    choices = [
        {said: {"content": "I look."}},
        {said: {"tool_calls": [call]}, "finish_reason": "tool_calls"},
        {"index": 1, said: {"tool_calls": [{**call, "id": "b"}]}},
    ]
    reader = AnswerReader(PLACE, tools=True)
    body = f"data: {json.dumps({'choices': choices})}\n\ndata: [DONE]\n\n"
    deltas = [*reader.feed(body.encode()), *reader.end()]
    assert "".join(delta.text for delta in deltas) == "I look."
    made = [(c.id, c.name, c.arguments) for delta in deltas for c in delta.tool_calls]
    assert made == [("a", "f", "{}")]
