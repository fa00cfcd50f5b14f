"""Anthropic's official Python client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from conftest import ANSWER, QUESTION, get_weather

CLIENT = "Anthropic's Python client"
PACKAGE = "anthropic"
NEEDS = "`base_url` without `/v1`; an alias in `aliases` where a program insists on `claude-…`"

TOOL: Any = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
ASK: Any = {
    "max_tokens": 200,
    "messages": [{"role": "user", "content": QUESTION}],
    "tools": [TOOL],
}
PLAIN: Any = {**ASK, "tools": []}


@pytest.fixture
def client(url: str, key: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client:
        yield client


def answered(message: anthropic.types.Message) -> Any:
    """The request that brings the results of the tools that the message calls."""
    results = [
        {"type": "tool_result", "tool_use_id": b.id, "content": get_weather(**b.input)}  # type: ignore[arg-type]
        for b in message.content
        if b.type == "tool_use"
    ]
    said = {"role": "assistant", "content": message.content}
    return {**ASK, "messages": [*ASK["messages"], said, {"role": "user", "content": results}]}


def text(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_messages(client: anthropic.Anthropic) -> None:
    done = client.messages.create(model="auto", **PLAIN)
    assert (done.model, done.stop_reason) == ("scripted", "end_turn")
    assert text(done).startswith("word0")


def test_messages_streamed(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="auto", **PLAIN) as stream:
        assert "".join(stream.text_stream).startswith("word0")
        assert stream.get_final_message().usage.output_tokens > 0


@pytest.mark.parametrize("model", ["auto", "broken"])
def test_tools(model: str, client: anthropic.Anthropic) -> None:
    done = client.messages.create(model=model, **ASK)
    assert done.stop_reason == "tool_use"
    assert text(client.messages.create(model=model, **answered(done))) == ANSWER


@pytest.mark.parametrize("model", ["auto", "broken"])
def test_tools_streamed(model: str, client: anthropic.Anthropic) -> None:
    with client.messages.stream(model=model, **ASK) as stream:
        done = stream.get_final_message()
    with client.messages.stream(model=model, **answered(done)) as stream:
        assert text(stream.get_final_message()) == ANSWER


def test_tool_runner(client: anthropic.Anthropic) -> None:
    tool = anthropic.beta_tool(get_weather)
    runner = client.beta.messages.tool_runner(model="auto", **{**ASK, "tools": [tool]})
    assert runner.until_done().content[0].text == ANSWER  # type: ignore[union-attr]


def test_count_of_tokens(client: anthropic.Anthropic) -> None:
    counted = client.messages.count_tokens(model="auto", messages=ASK["messages"])
    assert counted.input_tokens > 3


def test_another_provider_for_one_that_fails(client: anthropic.Anthropic) -> None:
    assert client.messages.create(model="broken", **PLAIN).model in ("scripted", "cheap")


def test_an_error_for_a_stream_that_is_cut_in_a_call(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="cut", **ASK) as stream, pytest.raises(anthropic.APIError):
        stream.get_final_message()


def test_its_own_errors(url: str, client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="unknown", **ASK)
    stranger = anthropic.Anthropic(base_url=url, api_key="no", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        stranger.messages.create(model="auto", **ASK)
