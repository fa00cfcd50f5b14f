"""Log probabilities go to the provider and come back, whole and streamed."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.api.conftest import Make, Serve
from tests.upstream import Behaviour, Upstream

ASKED: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]
TEXT = "It scatters blue light."
WORDS = ["It ", "scatters ", "blue ", "light."]
MEASURED = Behaviour(text=TEXT, logprobs=True)


@pytest.fixture(autouse=True)
def measured(upstream: Upstream) -> None:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, MEASURED)


async def ask(client: openai.AsyncOpenAI, **how: Any) -> Any:
    given = {"model": "auto", "messages": ASKED, "logprobs": True, "top_logprobs": 2, **how}
    return await client.chat.completions.create(**given)


async def streamed(client: openai.AsyncOpenAI) -> tuple[str, list[Any]]:
    text, found = "", []
    async for chunk in await ask(client, stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            found += choice.logprobs.content if choice.logprobs else []
    return text, found


async def test_they_are_asked_for_and_come_back_whole(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    choice = (await ask(client)).choices[0]
    sent = upstream.calls("first")[-1].body
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 2)
    assert [entry.token for entry in choice.logprobs.content] == WORDS
    assert [entry.logprob for entry in choice.logprobs.content] == [-len(word) for word in WORDS]
    assert [len(entry.top_logprobs) for entry in choice.logprobs.content] == [2] * len(WORDS)


@pytest.mark.parametrize("deliver", ["live", "complete"])
async def test_they_are_streamed_with_their_text(
    deliver: str, serve: Serve, settings: Make
) -> None:
    service = await serve(settings(api={"deliver": deliver}))
    text, found = await streamed(await service.client())
    assert (text, [entry.token for entry in found]) == (TEXT, WORDS)


@pytest.mark.parametrize("fault", [Behaviour(rejects=("logprobs",)), Behaviour(status=500)])
async def test_those_of_the_provider_that_answered_come_back(
    fault: Behaviour, client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", fault)
    text, found = await streamed(client)
    assert (text, [entry.token for entry in found]) == (TEXT, WORDS)


async def test_a_host_that_refuses_them_is_not_asked_for_them_again(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(rejects=("logprobs",)))
    first = (await ask(client)).model_dump()["router"]["attempts"][0]
    assert (first["provider"], first["error"]) == ("first", "capability")
    await ask(client)
    assert len(upstream.calls("first")) == 1


async def test_where_nobody_can_the_error_names_them(
    client: openai.AsyncOpenAI, upstream: Upstream, serve: Serve, settings: Make
) -> None:
    for name in ("first", "second", "cheap"):
        upstream.behave(name, Behaviour(rejects=("logprobs",)))
    with pytest.raises(openai.APIError):
        await ask(client)
    with pytest.raises(openai.BadRequestError, match="`logprobs`") as refusal:
        await ask(client)
    assert refusal.value.param == "logprobs"


async def test_a_text_with_them_that_was_cut_is_not_continued(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text=TEXT, logprobs=True, cut_after=2))
    with pytest.raises(openai.APIError):
        await streamed(client)
    assert [e.token for e in (await ask(client)).choices[0].logprobs.content] == WORDS


async def test_a_host_that_sends_none_is_named_in_the_note(
    client: openai.AsyncOpenAI, upstream: Upstream
) -> None:
    upstream.behave("first", Behaviour(text=TEXT))
    done = (await ask(client)).model_dump()
    assert done["choices"][0]["logprobs"] is None
    assert "first sent no log probabilities" in done["router"]["note"]


async def test_what_was_not_asked_for_is_not_passed_on(client: openai.AsyncOpenAI) -> None:
    done = await client.chat.completions.create(model="auto", messages=ASKED)
    assert done.choices[0].logprobs is None
    with pytest.raises(openai.BadRequestError, match="`top_logprobs` goes with") as refusal:
        await ask(client, logprobs=False)
    assert refusal.value.param == "top_logprobs"
