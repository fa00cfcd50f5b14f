"""huggingface_hub's InferenceClient."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import QUESTION
from huggingface_hub import InferenceClient
from huggingface_hub.errors import TextGenerationError

CLIENT = "huggingface_hub"
PACKAGE = "huggingface_hub"
NEEDS = '`base_url`, with or without `/v1`, and `model="auto"`'

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
ASKED: Any = [{"role": "user", "content": QUESTION}]


@pytest.fixture(params=["", "/v1"])
def client(request: pytest.FixtureRequest, url: str, key: str) -> InferenceClient:
    return InferenceClient(base_url=url + request.param, api_key=key)


def test_chat(client: InferenceClient) -> None:
    done = client.chat_completion(ASKED, model="auto")
    assert str(done.choices[0].message.content).startswith("word0")


def test_chat_streamed(client: InferenceClient) -> None:
    chunks = client.chat_completion(ASKED, model="auto", stream=True)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text.startswith("word0")


@pytest.mark.parametrize("model", ["auto", "broken"])
def test_tools(model: str, client: InferenceClient) -> None:
    done = client.chat_completion(ASKED, model=model, tools=[TOOL], tool_choice="auto")
    [call] = done.choices[0].message.tool_calls or []
    assert call.function.name == "get_weather"


def test_structured_output(client: InferenceClient) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": PARAMETERS}}
    done = client.chat_completion(ASKED, model="auto", response_format=form)
    assert "city" in str(done.choices[0].message.content)


def test_another_provider_for_one_that_fails(client: InferenceClient) -> None:
    whole = client.chat_completion(ASKED, model="broken")
    assert whole.model in ("scripted", "cheap")
    *_, last = client.chat_completion(ASKED, model="broken", stream=True)
    assert (last.model, last.choices[0].finish_reason) == (whole.model, "stop")


@pytest.mark.parametrize("tools", [[TOOL], None], ids=["call", "text"])
def test_an_error_for_a_stream_that_is_cut(tools: Any, client: InferenceClient) -> None:
    chunks = client.chat_completion(ASKED, model="cut", tools=tools, stream=True)
    next(iter(chunks))
    with pytest.raises(TextGenerationError, match="in the middle of"):
        list(chunks)
