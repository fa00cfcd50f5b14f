"""Models that think, and models that fix how they are sampled, get a fair trial on both sides."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from config.loader import load
from config.models import Settings
from config.probe_sets import load_probes
from discovery.calls import SMOKE_TOKENS, Contender, ask
from discovery.search import Addresses, Search
from discovery.trial import more_probes
from providers.registry import Providers
from tests.conftest import SettingsFor
from tests.discovery.services import Hub, OpenRouter
from tests.upstream import Behaviour, Call, Upstream

CONFIG = Path(__file__).parents[2] / "config"
NEW = "deepseek-ai/DeepSeek-R1-Distill-Llama-70B"
THOUGHTS = 16
LOADED = load_probes(CONFIG, "technical")
assert LOADED is not None
RIGHT = {probe.prompt: probe.right[0] for probe in LOADED.probes}


def knows(call: Call) -> Behaviour:
    prompt = str(call.body["messages"][-1]["content"])
    return Behaviour(text=RIGHT.get(prompt, "ready"))


def ignorant(call: Call) -> Behaviour:
    return Behaviour(text="I do not know.")


def thinks(answer: Callable[[Call], Behaviour]) -> Callable[[Call], Behaviour]:
    """Thoughts first, out of the same budget: without room there is no answer."""

    def scripted(call: Call) -> Behaviour:
        reasoning = ("hm ",) * THOUGHTS
        most = call.body.get("max_tokens", call.body.get("max_completion_tokens", 10**6))
        if most < 1000:
            return Behaviour(reasoning=reasoning, tokens=0, finish_reason="length")
        return Behaviour(text=answer(call).text, reasoning=reasoning)

    return scripted


def inline(answer: Callable[[Call], Behaviour]) -> Callable[[Call], Behaviour]:
    """Thoughts as content, between tags."""
    return lambda call: Behaviour(text=f"<think> hm 41 hm </think>{answer(call).text}")


def fixed(answer: Callable[[Call], Behaviour]) -> Callable[[Call], Behaviour]:
    """No temperature may be set."""
    return lambda call: Behaviour(text=answer(call).text, rejects=("temperature",))


class Chat:
    """An upstream whose models answer by the prompt, and a search for the new one among them."""

    def __init__(
        self, upstream: Upstream, settings: Settings, hub: Hub, market: OpenRouter
    ) -> None:
        self.upstream, self.settings = upstream, settings
        self.providers = Providers(settings)
        addresses = Addresses(hub=hub.url, openrouter=f"{market.url}/api/v1")
        self.search = Search(settings, self.providers, addresses=addresses)

    def answers(self, **models: Callable[[Call], Behaviour]) -> None:
        for name, script in models.items():
            self.upstream.respond(NEW if name == "new" else name, script)

    async def trial(self) -> list[dict[str, Any]]:
        events = self.search.try_and_append("technical", NEW)
        return [event async for event in events]


@pytest.fixture
async def chat(upstream: Upstream, settings_for: SettingsFor) -> AsyncIterator[Chat]:
    settings = settings_for(upstream)
    for name in ("catalogue.yaml", "evidence.yaml"):
        (settings.config_dir / name).write_bytes((CONFIG / name).read_bytes())
    upstream.models = ["first", "second", NEW]
    with Hub() as hub, OpenRouter() as market:
        chat = Chat(upstream, settings, hub, market)
        yield chat
        await chat.providers.close()


def outcome(events: list[dict[str, Any]]) -> str:
    return next(str(e["outcome"]) for e in events if e["type"] in ("decided", "refused"))


@pytest.mark.parametrize("kind", [thinks, inline, fixed])
async def test_a_model_that_thinks_or_fixes_its_sampling_can_win(
    chat: Chat, kind: Callable[[Callable[[Call], Behaviour]], Callable[[Call], Behaviour]]
) -> None:
    chat.answers(new=kind(knows), first=ignorant, second=ignorant)
    events = await chat.trial()
    assert outcome(events) == "better"
    assert events[-1]["type"] == "appended"
    json.dumps(events)
    added = load(chat.settings.config_dir, chat.settings.data_dir, environ={}, dotenv=None)
    entry = added.provider(events[-1]["provider"])
    assert entry.capabilities == ("reasoning",)  # the catalogue knows that this one always does
    assert entry.max_tokens == 8192


async def test_the_smoke_call_is_short_until_a_model_is_seen_to_think(chat: Chat) -> None:
    chat.answers(first=thinks(knows))
    contender = Contender(chat.providers.get("first"))
    reply = await ask(contender, "Say ready.", SMOKE_TOKENS)
    assert reply.text == "ready"
    assert contender.thinks
    sizes = [call.body["max_tokens"] for call in chat.upstream.calls("first")]
    assert sizes[0] == SMOKE_TOKENS
    assert sizes[1] > 1000


async def test_thoughts_are_paid_for_and_never_graded(chat: Chat) -> None:
    chat.answers(first=inline(knows), second=knows)
    price = chat.settings.provider("first").cost
    assert price is not None
    [prompt, right] = next(iter(RIGHT.items()))
    said = await ask(Contender(chat.providers.get("first"), price), prompt, 60)
    plain = await ask(Contender(chat.providers.get("second"), price), prompt, 60)
    assert said.text == right
    assert said.thought
    assert said.cost_usd is not None
    assert plain.cost_usd is not None
    assert said.cost_usd >= plain.cost_usd


@pytest.mark.parametrize("kind", [thinks, fixed])
async def test_an_incumbent_that_thinks_or_fixes_its_sampling_is_compared(
    chat: Chat, kind: Callable[[Callable[[Call], Behaviour]], Callable[[Call], Behaviour]]
) -> None:
    chat.answers(new=ignorant, first=kind(knows))
    assert outcome(await chat.trial()) == "worse"


async def test_where_the_incumbent_is_out_the_next_trusted_one_is_compared(chat: Chat) -> None:
    chat.answers(new=ignorant, second=knows)
    chat.answers(first=lambda _: Behaviour(status=503))
    events = await chat.trial()
    assert [e["provider"] for e in events if e["type"] == "incumbent"] == ["first"]
    assert outcome(events) == "worse"


async def test_an_incumbent_that_thinks_without_answering_says_nothing_of_the_candidate(
    chat: Chat,
) -> None:
    plain = "meta-llama/Llama-3.3-70B-Instruct"
    chat.upstream.models = ["first", "second", plain]
    chat.upstream.respond(plain, knows)
    silent = Behaviour(reasoning=("hm ",) * THOUGHTS, tokens=0)
    chat.answers(first=lambda _: silent, second=ignorant)
    events = [event async for event in chat.search.try_and_append("technical", plain)]
    assert [e["thought"] for e in events if e["type"] in ("smoke", "incumbent")] == [False, True]
    decided = next(e for e in events if e["type"] == "decided")
    assert decided["entry"]["name"]
    assert "capabilities" not in decided["entry"]


async def test_where_nobody_can_be_compared_nothing_is_appended(chat: Chat) -> None:
    chat.answers(new=ignorant)
    chat.answers(**dict.fromkeys(("first", "second"), lambda _: Behaviour(status=503)))
    events = await chat.trial()
    assert outcome(events) == "not tried"
    assert "none of the providers" in events[-1]["reason"]
    assert events[-1]["type"] == "refused"


async def test_undecided_says_what_would_decide(chat: Chat) -> None:
    chat.answers(new=knows, first=knows)
    decided = next(e for e in await chat.trial() if e["type"] == "decided")
    assert decided["outcome"] == "undecided"
    assert "1,000 to 15,000 requests of the category" in decided["reason"]


def test_more_probes_are_counted_by_the_difference_so_far() -> None:
    weak = ([1.0] + [0.0] * 9) * 4
    more = more_probes(weak, 0.05)
    assert more is not None
    assert 20 < more < 400
    assert more_probes([0.0] * 40, 0.05) is None
