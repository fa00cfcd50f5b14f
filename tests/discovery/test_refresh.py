"""Facts kept fresh: what live sources say otherwise is shown, written as one change, and undone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import yaml

from config import editor
from config.catalogue import load_catalogue
from config.hosts import Cost
from config.loader import load
from config.models import Settings
from discovery.search import Addresses, Search
from providers.registry import Providers
from tests.conftest import SettingsFor
from tests.discovery.services import ChatHost, Hub, OpenRouter, Reply

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()
TODAY = date(2026, 11, 27)
CATALOGUE = """\
date: 2026-08-01
sources: {card: known}
entries:
  - name: Llama 3.3 70B Instruct
    family: llama-3.3
    released: 2024-12-06
    parameters_b: 70.6
    context: 131072
    licence: llama3.3
    commercial: true
    ids:
      openrouter: meta-llama/llama-3.3-70b-instruct
    prices:
      openrouter: {input: 0.1, output: 0.3, as_of: 2026-08-01}   # a comment that stays
    sources: [card]
  - name: Llama 3 8B Instruct
    family: llama-3
    released: 2024-04-18
    parameters_b: 8
    context: 8192
    licence: llama3
    commercial: true
    ids:
      openrouter: meta-llama/llama-3-8b-instruct
    prices:
      openrouter: {input: 0.03, output: 0.06}
    sources: [card]
"""


def at_market(name: str, prompt: str, completion: str) -> dict[str, object]:
    return {
        "id": f"meta-llama/{name}",
        "context_length": 65536,
        "architecture": {"output_modalities": ["text"]},
        "pricing": {"prompt": prompt, "completion": completion},
    }


class World:
    def __init__(self, settings: Settings, hub: Hub, market: OpenRouter, host: ChatHost) -> None:
        self.settings, self.market, self.host = settings, market, host
        self.providers = Providers(settings)
        addresses = Addresses(hub=hub.url, openrouter=f"{market.url}/api/v1")
        self.search = Search(settings, self.providers, addresses=addresses, clock=lambda: NOW)

    def now(self) -> Settings:
        return load(self.settings.config_dir, self.settings.data_dir, environ={}, dotenv=None)

    def text(self, file: str) -> str:
        return (self.settings.config_dir / file).read_text()


@pytest.fixture
async def world(settings_for: SettingsFor) -> AsyncIterator[World]:
    with (
        Hub() as hub,
        OpenRouter(at_market("llama-3.3-70b-instruct", "0.0000002", "0.0000004")) as market,
        ChatHost(first=str, **{"meta-llama/Llama-3.3-70B-Instruct": str}) as host,
    ):
        providers = [
            {"name": "first", "host": "upstream", "model": "first", "context": 4096},
            {"name": "second", "host": "upstream", "model": "gone-model"},
            {
                "name": "far",
                "host": "openrouter",
                "model": "meta-llama/llama-3.3-70b-instruct",
                "cost": {"input": 0.1, "output": 0.3},
            },
        ]
        hosts = {
            "upstream": {"base_url": host.base_url},
            "openrouter": {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "NOT_SET_KEY"},
        }
        host.listed = [
            {"id": "first", "context_length": 8192, "pricing": {"input": 0.2, "output": 0.5}},
            {"id": "meta-llama/Llama-3.3-70B-Instruct"},
        ]
        settings = settings_for(hosts=hosts, providers=providers, fallback={"provider": "first"})
        (settings.config_dir / "catalogue.yaml").write_text(CATALOGUE)
        world = World(settings, hub, market, host)
        yield world
        await world.providers.close()


async def test_the_differences_are_named_before_anything_is_written(world: World) -> None:
    before = world.text("providers.yaml"), world.text("catalogue.yaml")
    said = [d.said for d in await world.search.differences("technical")]
    assert said == [
        "first at upstream: price unknown → 0.2/0.5",
        "first at upstream: context 4,096 → 8,192",
        "second at upstream: gone-model is no longer listed there",
        "far at openrouter: price 0.1/0.3 → 0.2/0.4",
        "far at openrouter: context unknown → 65,536",
        "Llama 3.3 70B Instruct: upstream serves it as meta-llama/Llama-3.3-70B-Instruct",
        "Llama 3.3 70B Instruct at openrouter: price 0.1/0.3 (of 2026-08-01) → 0.2/0.4",
        "Llama 3 8B Instruct: openrouter no longer lists it",
    ]
    assert (world.text("providers.yaml"), world.text("catalogue.yaml")) == before


async def test_what_differs_is_written_once_dated_and_taken_back(world: World) -> None:
    before = world.text("providers.yaml"), world.text("catalogue.yaml")
    files = await world.search.write(await world.search.differences("technical"))
    assert files == ["providers.yaml", "catalogue.yaml"]
    after = world.now()
    cost = Cost(input=0.2, output=0.5, as_of=TODAY, source="upstream")
    assert after.provider("first").cost == cost
    assert after.provider("first").context == 8192
    catalogue = load_catalogue(world.settings.config_dir)
    llama, old = catalogue.entries
    assert llama.ids["upstream"] == "meta-llama/Llama-3.3-70B-Instruct"
    assert llama.prices["openrouter"].as_of == TODAY
    assert (old.ids, old.prices, old.gone) == ({}, {}, {"openrouter": TODAY})
    assert "# a comment that stays" in world.text("catalogue.yaml")
    again = Search(after, world.providers, addresses=world.search.addresses, clock=lambda: NOW)
    left = await again.differences("technical")
    assert not any(d.assignments for d in left)
    folders = world.settings.config_dir, world.settings.data_dir
    assert "the refresh of `catalogue.yaml`" in editor.undo(*folders)
    assert "the refresh of `providers.yaml`" in editor.undo(*folders)
    assert (world.text("providers.yaml"), world.text("catalogue.yaml")) == before


async def test_a_host_that_fails_says_nothing_of_what_it_serves(world: World) -> None:
    world.market.faults = [Reply(503)]
    said = [d.said for d in await world.search.differences("technical")]
    assert not any("openrouter" in one for one in said)


@pytest.mark.parametrize(
    ("as_of", "old"), [(None, None), ("2026-09-01", None), ("2026-08-01", 118)]
)
def test_a_price_is_old_after_ninety_days(as_of: str | None, old: int | None) -> None:
    cost = Cost.model_validate({"input": 1, "output": 2, "as_of": as_of})
    assert cost.days_old(TODAY) == old


def test_every_shipped_price_has_its_day_and_its_source() -> None:
    settings = load(Path(__file__).parents[2] / "config", environ={}, dotenv=None)
    for provider in settings.providers:
        if provider.cost and provider.cost.input:
            assert provider.cost.as_of, provider.name
            assert provider.cost.source, provider.name
    for entry in load_catalogue(settings.config_dir).entries:
        assert all(cost.as_of and cost.source for cost in entry.prices.values()), entry.name


def test_the_catalogues_text_stays_yaml(world: World) -> None:
    assert yaml.safe_load(world.text("catalogue.yaml"))["entries"]
