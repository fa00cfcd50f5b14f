"""Legacy completions and embeddings, by OpenAI's official client."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest

from tests.api.conftest import Service
from tests.upstream import FAULTS, Behaviour, Upstream
from vectorstore.embeddings import DIMENSIONS, MODEL


async def test_a_completion_comes_whole_and_streamed(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text="It is blue.", reasoning=("Hm.",)))
    done = await client.completions.create(model="auto", prompt=["The sky?"], max_tokens=9, n=1)
    choice = done.choices[0]
    assert (choice.text, choice.finish_reason, done.model) == ("It is blue.", "stop", "first")
    stream = await client.completions.create(
        model="auto", prompt="The sky?", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].text for c in chunks if c.choices) == "It is blue."
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert done.usage == chunks[-1].usage
    assert upstream.calls("first")[0].body["max_tokens"] == 9


async def test_a_completion_fails_over_and_a_cut_one_is_an_error(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS["500"])
    done = await client.completions.create(model="auto", prompt="The sky?")
    assert done.model in ("second", "cheap")
    for name in ("first", "second", "cheap"):
        upstream.behave(name, FAULTS["error event"])
    stream = await client.completions.create(model="auto", prompt="The sky?", stream=True)
    with pytest.raises(openai.APIError):
        await anext(chunk async for chunk in stream if not chunk.choices)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 2}, "best_of"),
    ],
)
async def test_what_a_completion_cannot_be_is_named(
    wrong: dict[str, Any], param: str, client: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.completions.create(**{"model": "auto", "prompt": "The sky?", **wrong})
    assert caught.value.param == param


async def test_embeddings_are_those_of_retrieval(service: Service) -> None:
    client = await service.client()
    texts = ["The sky is blue.", "Le ciel est bleu.", "Interest rates fell."]
    found = await client.embeddings.create(model=MODEL, input=texts)
    vectors = [row.embedding for row in found.data]
    assert [len(v) for v in vectors] == [DIMENSIONS] * 3
    assert found.usage.prompt_tokens > 12
    embedder = service.router.services.embedder
    assert embedder is not None
    assert vectors[0] == pytest.approx(embedder.embed(texts)[0].tolist(), abs=1e-6)
    plain = await client.embeddings.create(model="auto", input=texts[0], encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(vectors[0], abs=1e-6)
    short = (await client.embeddings.create(model=MODEL, input=texts[0], dimensions=64)).data[0]
    assert len(short.embedding) == 64
    assert math.hypot(*short.embedding) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"input": []}, 400),
        ({"input": [1, 2, 3]}, 400),
        ({"input": ["a", ""]}, 400),
        ({"dimensions": 1024}, 400),
        ({"model": "first"}, 400),
        ({"model": "text-embedding-3-small"}, 404),
    ],
)
async def test_what_has_no_embedding_is_refused(
    wrong: dict[str, Any], status: int, client: openai.AsyncOpenAI
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await client.embeddings.create(**{"model": MODEL, "input": "x", **wrong})
    assert caught.value.status_code == status
