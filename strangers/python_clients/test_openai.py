"""The official Python client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from conftest import ANSWER, QUESTION, get_weather
from openai import pydantic_function_tool
from pydantic import BaseModel

CLIENT = "OpenAI's Python client"
PACKAGE = "openai"
NEEDS = "`base_url` with `/v1`"


class Weather(BaseModel):
    """The weather in a city."""

    city: str


class Place(BaseModel):
    city: str
    people: int


TOOL: Any = pydantic_function_tool(Weather, name="get_weather")
FUNCTION: Any = {"type": "function", "name": "get_weather", "strict": True}
FUNCTION["parameters"] = TOOL["function"]["parameters"]
ASKED: Any = [{"role": "user", "content": QUESTION}]


@pytest.fixture
def client(url: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        yield client


def result(call: Any) -> Any:
    city = Weather.model_validate_json(call.function.arguments).city
    return {"role": "tool", "tool_call_id": call.id, "content": get_weather(city)}


def test_list_of_models(client: openai.OpenAI) -> None:
    assert {"auto", "auto:technical", "scripted"} <= {m.id for m in client.models.list()}


def test_chat(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="auto", messages=ASKED)
    assert done.model == "scripted"
    assert done.choices[0].finish_reason == "stop"
    assert done.usage is not None
    assert done.usage.total_tokens > 0


def test_chat_streamed_with_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="auto", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text.startswith("word0")
    assert chunks[-1].usage is not None


@pytest.mark.parametrize("model", ["auto", "broken"])
def test_tools(model: str, client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model=model, messages=ASKED, tools=[TOOL])
    message = done.choices[0].message
    turns = [*ASKED, message, *map(result, message.tool_calls or [])]
    after = client.chat.completions.create(model=model, messages=turns, tools=[TOOL])
    assert after.choices[0].message.content == ANSWER


@pytest.mark.parametrize("model", ["auto", "broken"])
def test_tools_streamed(model: str, client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=model, messages=ASKED, tools=[TOOL]) as stream:
        message = stream.get_final_completion().choices[0].message
    [call] = message.tool_calls or []
    assert call.function.parsed_arguments == Weather(city="Lisbon")


def test_parse(client: openai.OpenAI) -> None:
    done = client.chat.completions.parse(model="auto", messages=ASKED, response_format=Place)
    assert isinstance(done.choices[0].message.parsed, Place)


@pytest.mark.parametrize("model", ["auto", "broken"])
def test_responses_with_tools(model: str, client: openai.OpenAI) -> None:
    done = client.responses.create(model=model, input=QUESTION, tools=[FUNCTION])
    [call] = [item for item in done.output if item.type == "function_call"]
    turns: Any = [*ASKED, *done.output]
    turns.append({"type": "function_call_output", "call_id": call.call_id})
    turns[-1]["output"] = get_weather(Weather.model_validate_json(call.arguments).city)
    with client.responses.stream(model=model, input=turns, tools=[FUNCTION]) as stream:
        assert stream.get_final_response().output_text == ANSWER


def test_responses_parse(client: openai.OpenAI) -> None:
    done = client.responses.parse(model="auto", input=QUESTION, text_format=Place)
    assert isinstance(done.output_parsed, Place)


def test_legacy_completions(client: openai.OpenAI) -> None:
    done = client.completions.create(model="auto", prompt="Why is the sky blue?")
    assert done.choices[0].text.startswith("word0")


def test_embeddings(client: openai.OpenAI) -> None:
    done = client.embeddings.create(model="auto", input=["one", "two"])
    assert [len(row.embedding) for row in done.data] == [384, 384]


def test_batches(client: openai.OpenAI) -> None:
    body = {"model": "auto", "messages": ASKED}
    line = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions", "body": body}
    file = client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    while batch.status in ("validating", "in_progress", "finalizing"):
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert batch.output_file_id is not None
    found = json.loads(client.files.content(batch.output_file_id).text)
    assert found["response"]["body"]["model"] == "scripted"
    assert batch.id in {b.id for b in client.batches.list()}
    assert client.files.delete(file.id).deleted


def test_another_provider_for_one_that_fails(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="broken", messages=ASKED)
    assert done.model in ("scripted", "cheap")


def test_an_error_for_a_stream_that_is_cut_in_a_call(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="cut", messages=ASKED, tools=[TOOL], stream=True)
    with pytest.raises(openai.APIError):
        list(stream)
    whole = client.chat.completions.create(model="cut", messages=ASKED, tools=[TOOL])
    assert whole.choices[0].message.tool_calls


def test_its_own_errors(url: str) -> None:
    stranger = openai.OpenAI(base_url=f"{url}/v1", api_key="no", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()
