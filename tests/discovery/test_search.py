"""The whole search over loopback services: asked, remembered, tried, appended, rolled back."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.errors import UsageError
from config.loader import load
from config.models import Settings
from config.probe_sets import load_probes
from discovery.result import render_table
from discovery.search import Addresses, Search
from discovery.trial import ENOUGH
from providers.registry import Providers
from routing.ranking.standings import Standing
from tests.conftest import SettingsFor
from tests.discovery.services import ChatHost, Hub, HubModel, OpenRouter, Reply, arena

CONFIG = Path(__file__).parents[2] / "config"
PROBES = load_probes(CONFIG, "technical")
assert PROBES is not None
RIGHT = {probe.prompt: probe.right[0] for probe in PROBES.probes}
NEW = "meta-llama/Llama-5-70B-Instruct"
AT_HUB = HubModel(
    NEW,
    tags=("llama", "conversational"),
    downloads=50_000,
    likes=900,
    created="2026-11-01T00:00:00.000Z",
    card={"license": "llama3.3"},
    config={"model_type": "llama"},
    safetensors={"parameters": {"BF16": 70_000_000_000}, "total": 70_000_000_000},
)
AT_MARKET = {
    "id": "meta-llama/llama-5-70b-instruct",
    "hugging_face_id": NEW,
    "created": 1793491200,
    "context_length": 262144,
    "architecture": {"output_modalities": ["text"], "tokenizer": "Llama4"},
    "pricing": {"prompt": "0.0000002", "completion": "0.0000004"},
}


class World:
    """A hub, a market and a chat host on loopback, and a search among them."""

    def __init__(self, settings_for: SettingsFor) -> None:
        self.host = ChatHost(**{"first": self.wrong, "second": self.wrong, NEW: self.right})
        self.hub = Hub(AT_HUB, arena())
        self.market = OpenRouter(AT_MARKET)
        self.settings_for = settings_for
        self.now = 1_795_000_000.0
        self.providers: list[Providers] = []
        self.rows: list[tuple[str, str, Mapping[str, Any]]] = []

    def wrong(self, prompt: str) -> str:
        return "I do not know."

    def right(self, prompt: str) -> str:
        return str(RIGHT.get(prompt, "ready"))

    async def audit(self, kind: str, subject: str, detail: Mapping[str, Any]) -> None:
        json.dumps(detail)  # the log stores it so
        self.rows.append((kind, subject, detail))

    def configured(self) -> Settings:
        settings = self.settings_for(hosts={"upstream": {"base_url": self.host.base_url}})
        entry = {
            "name": "Llama Ancient 7B",
            "family": "llama-2",
            "released": "2023-07",
            "parameters_b": 7,
            "context": 4096,
            "licence": "llama2",
            "commercial": True,
            "specialities": ["general"],
            "ids": {},
            "sources": ["card"],
        }
        catalogue = {"date": "2026-11-22", "sources": {"card": "known"}, "entries": [entry]}
        (settings.config_dir / "catalogue.yaml").write_text(yaml.safe_dump(catalogue))
        shutil.copytree(CONFIG / "probes", settings.config_dir / "probes")
        return settings

    def search(self, settings: Settings) -> Search:
        self.providers.append(Providers(settings))
        return Search(
            settings,
            self.providers[-1],
            self.audit,
            addresses=Addresses(hub=self.hub.url, openrouter=f"{self.market.url}/api/v1"),
            clock=lambda: self.now,
        )


@pytest.fixture
async def world(settings_for: SettingsFor) -> AsyncIterator[World]:
    world = World(settings_for)
    with world.host, world.hub, world.market:
        yield world
        for providers in world.providers:
            await providers.close()


async def test_all_sources_become_one_ranked_table(world: World) -> None:
    result = await world.search(world.configured()).search("technical")
    asked = {"catalogue": 1, "host upstream": 3, "hub": 1, "openrouter": 1, "lmarena": 0}
    assert result.asked == asked
    assert result.problems == ()
    best = result.best()
    assert best is not None
    assert best.key == "llama-5-70b"
    assert best.sources == ("hub", "openrouter", "host upstream")
    text = render_table(result)
    assert NEW in text
    assert "served by upstream" in text
    assert "Llama Ancient 7B" in text


@pytest.mark.parametrize("text", [None, "date: [\n", "date: yesterday\n"])
async def test_a_missing_or_broken_catalogue_stops_nothing(world: World, text: str | None) -> None:
    settings = world.configured()
    file = settings.config_dir / "catalogue.yaml"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    result = await world.search(settings).search("technical")
    assert result.best() is not None
    [problem] = result.problems
    assert "catalogue.yaml" in problem


async def test_remote_answers_are_remembered_with_their_age(world: World) -> None:
    settings = world.configured()
    await world.search(settings).search("technical")
    asked = len(world.hub.asked), len(world.market.asked), len(world.host.asked)
    world.now += 2 * 3600 + 120
    result = await world.search(settings).search("technical")
    assert (len(world.hub.asked), len(world.market.asked)) == asked[:2]
    assert len(world.host.asked) > asked[2]  # what decides is asked each time
    assert "Cached 2 h 2 min ago." in render_table(result)
    await world.search(settings).search("technical", refresh=True)
    assert len(world.hub.asked) > asked[0]


async def test_a_source_that_fails_is_answered_from_memory_and_named(world: World) -> None:
    settings = world.configured()
    await world.search(settings).search("technical")
    world.market.faults = [Reply(503)]
    result = await world.search(settings).search("technical", refresh=True)
    [problem] = result.problems
    assert problem == "openrouter answered with status 503; its last answer is used"
    assert result.asked["openrouter"] == 1


async def test_a_failure_is_not_remembered(world: World) -> None:
    settings = world.configured()
    world.market.faults = [Reply(503)]
    assert (await world.search(settings).search("technical")).problems
    assert not (await world.search(settings).search("technical")).problems


async def test_a_broken_memory_is_an_empty_one(world: World) -> None:
    settings = world.configured()
    await world.search(settings).search("technical")
    for content in ("{", "[]", '{"version": 1, "entries": {"hub/technical": {"at": "x"}}}'):
        (settings.data_dir / "discovery-cache.json").write_text(content)
        assert (await world.search(settings).search("technical")).asked["hub"] == 1


async def test_a_better_model_is_appended_with_its_evidence(world: World) -> None:
    settings = world.configured()
    events = [event async for event in world.search(settings).try_and_append("technical")]
    assert events[0]["type"] == "chosen"
    assert events[-2]["outcome"] == "better"
    assert events[-1]["share"] == 0.05
    after = load(settings.config_dir, settings.data_dir, environ={}, dotenv=None)
    added = after.provider("llama-5-70b")
    assert (added.host, added.model, added.context) == ("upstream", NEW, 262144)
    assert added.added == "2026-11-18"
    assert added.evidence is not None
    assert added.evidence["trial"]["outcome"] == "better"
    assert added.evidence["sources"] == ["hub", "openrouter", "host upstream"]
    assert added.cost is None  # the host names no price, and another one's is not its own
    assert after.priorities["technical"] == ("first", "second", "llama-5-70b")
    kinds = [kind for kind, _, _ in world.rows]
    assert kinds[:2] == ["discovery.chosen", "discovery.smoke"]
    assert kinds[-2:] == ["discovery.decided", "discovery.appended"]


async def test_a_worse_model_is_refused_and_not_tried_again_unasked(world: World) -> None:
    world.host.models |= {"first": world.right, NEW: world.wrong}
    settings = world.configured()
    before = (settings.config_dir / "providers.yaml").read_bytes()
    search = world.search(settings)
    events = [event async for event in search.try_and_append("technical")]
    assert (events[-1]["type"], events[-1]["outcome"]) == ("refused", "worse")
    assert (settings.config_dir / "providers.yaml").read_bytes() == before
    again = [event async for event in search.try_and_append("technical")]
    assert [event["type"] for event in again] == ["refused"]
    assert "refused lately" in render_table(await search.search("technical"))
    named = [event async for event in search.try_and_append("technical", NEW)]
    assert named[0]["type"] == "chosen"
    world.now += 31 * 86_400
    assert (await search.search("technical")).best() is not None


async def test_what_does_not_answer_is_refused_before_any_probe(world: World) -> None:
    settings = world.configured()
    search = world.search(settings)
    world.host.models[NEW] = lambda _: ""
    events = [event async for event in search.try_and_append("technical")]
    assert [event["type"] for event in events] == ["chosen", "smoke", "decided", "refused"]
    assert "it does not answer: bad_reply" in events[-1]["reason"]


async def test_a_model_that_its_host_has_taken_away_cannot_be_tried(world: World) -> None:
    search = world.search(world.configured())
    await search.search("technical")
    del world.host.models[NEW]
    with pytest.raises(UsageError, match="served by no enabled host"):
        async for _ in search.try_and_append("technical", NEW):
            pass


async def test_nothing_but_the_configured_addresses_is_ever_asked(world: World) -> None:
    with Hub() as stranger:
        world.market.models = (
            AT_MARKET | {"links": {"details": stranger.url}, "description": stranger.url},
        )
        world.host.listed = [{"id": NEW, "base_url": stranger.url, "root": stranger.url}]
        search = world.search(world.configured())
        async for _ in search.try_and_append("technical"):
            pass
        assert stranger.asked == []


async def test_what_a_licence_excludes_is_asked_before_a_trial(world: World) -> None:
    world.hub.models[NEW] = replace(AT_HUB, card={"license": "llama4"})
    search = world.search(world.configured())
    best = (await search.search("technical")).best()
    assert best is not None
    [question] = best.questions
    assert "European Union" in question
    asked = [event async for event in search.try_and_append("technical")]
    assert [event["type"] for event in asked] == ["question", "refused"]
    assert world.host.chats() == []
    events = search.try_and_append("technical", best, accepted=[question])
    assert [event async for event in events][-1]["type"] == "appended"


async def test_a_trial_and_the_append_are_steps_of_their_own(world: World) -> None:
    settings = world.configured()
    before = (settings.config_dir / "providers.yaml").read_bytes()
    events = [event async for event in world.search(settings).attempt("technical")]
    decided = json.loads(json.dumps(events[-1]))
    assert decided["outcome"] == "better"
    assert (settings.config_dir / "providers.yaml").read_bytes() == before
    later = world.search(settings)
    row = await later.append("technical", decided["candidate"], decided["entry"])
    assert row["provider"] == "llama-5-70b"
    after = load(settings.config_dir, settings.data_dir, environ={}, dotenv=None)
    assert after.provider("llama-5-70b").trial is not None


async def test_a_listener_who_leaves_stops_the_trial(world: World) -> None:
    settings = world.configured()
    events = world.search(settings).try_and_append("technical")
    async for event in events:
        if event["type"] == "probe":
            break
    await events.aclose()
    calls = len(world.host.chats())
    assert calls < 2 * len(RIGHT)
    assert "llama-5" not in (settings.config_dir / "providers.yaml").read_text()


def standing(provider: str, mean: float, trial: float | None = None) -> Standing:
    return Standing(
        provider=provider,
        position=0,
        declared_position=0,
        mean=mean,
        low=mean - 0.02,
        high=mean + 0.02,
        p_best=0.5,
        n=ENOUGH,
        success=None,
        quality=None,
        ttft_p50_ms=None,
        ttft_p95_ms=None,
        cost_usd=None,
        liked=0,
        disliked=0,
        trial=trial,
    )


@pytest.mark.parametrize(
    ("mean", "action", "kind"),
    [
        (0.9, "promote", "discovery.promoted"),
        (0.5, "roll back", "discovery.rolled_back"),
        (0.69, "keep", "discovery.appended"),
    ],
)
async def test_a_trial_is_promoted_kept_or_rolled_back_with_a_reason(
    world: World, mean: float, action: str, kind: str
) -> None:
    settings = world.configured()
    before = (settings.config_dir / "providers.yaml").read_bytes()
    search = world.search(settings)
    async for _ in search.try_and_append("technical"):
        pass
    new = standing("llama-5-70b", mean, trial=0.05)
    running = load(settings.config_dir, settings.data_dir, environ={}, dotenv=None)
    search = world.search(running)
    decision = await search.judge(new, [standing("first", 0.72)])
    assert decision.action == action
    last_kind, subject, detail = world.rows[-1]
    assert last_kind == kind
    assert subject == "llama-5-70b"
    after = load(settings.config_dir, settings.data_dir, environ={}, dotenv=None)
    names = {p.name: p.trial for p in after.providers}
    if action == "promote":
        assert names["llama-5-70b"] is None
        assert detail["reason"] == decision.reason
    elif action == "keep":
        assert names["llama-5-70b"] is not None
    else:
        assert "llama-5-70b" not in names
        assert (settings.config_dir / "providers.yaml").read_bytes() == before


@pytest.mark.parametrize(("reward", "action"), [(0.5, "roll back"), (0.9, "promote")])
async def test_a_trial_that_another_look_ended_is_left_alone(
    world: World, reward: float, action: str
) -> None:
    settings = world.configured()
    async for _ in world.search(settings).try_and_append("technical"):
        pass
    running = load(settings.config_dir, settings.data_dir, environ={}, dotenv=None)
    tried, trusted = standing("llama-5-70b", reward, trial=0.05), [standing("first", 0.72)]
    assert (await world.search(running).judge(tried, trusted)).action == action
    ended = len(world.rows)
    assert (await world.search(running).judge(tried, trusted)).action == "keep"
    assert len(world.rows) == ended


async def test_an_entry_that_a_person_put_on_trial_is_left_alone(world: World) -> None:
    search = world.search(world.configured())
    mine = standing("second", 0.1, trial=0.05)
    decision = await search.judge(mine, [standing("first", 0.9)], breaker_opened=True)
    assert decision.action == "keep"
