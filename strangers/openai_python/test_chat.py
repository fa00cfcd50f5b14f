"""The official Python client: chat completions, whole and streamed, healthy and failing over."""

from __future__ import annotations

import os
from collections.abc import Iterator

import openai
import pytest


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    url, key = os.environ["ROUTER_URL"], os.environ["ROUTER_KEY"]
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
        yield client


def question(text: str = "Why is the sky blue?") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert {"auto", "auto:technical", "scripted"} <= {m.id for m in client.models.list()}


def test_a_whole_answer_names_its_provider_and_its_usage(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="auto", messages=question())
    assert done.model == "scripted"
    assert done.choices[0].finish_reason == "stop"
    assert done.usage is not None
    assert done.usage.total_tokens > 0


def test_a_stream_ends_with_its_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="auto", messages=question(), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text.startswith("word0")
    assert chunks[-1].usage is not None


def test_another_provider_answers_for_one_that_fails(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="broken", messages=question())
    assert done.model in ("scripted", "cheap")
    assert done.choices[0].finish_reason == "stop"


def test_a_wrong_key_raises_the_clients_own_error() -> None:
    stranger = openai.OpenAI(base_url=f"{os.environ['ROUTER_URL']}/v1", api_key="no", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.models.list()
