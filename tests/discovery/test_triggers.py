"""Searches that begin by themselves: a first model that fell, a model that is new at a source."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from discovery.search import Search
from discovery.trial import ENOUGH
from discovery.triggers import DAY_S, Arrivals, Trigger, due, fallen
from routing.ranking.standings import Standing
from tests.conftest import SettingsFor
from tests.discovery.test_search import NEW, World

NOON = 1_795_000_000.0


def standing(name: str, position: int, mean: float, n: int = ENOUGH) -> Standing:
    bounds = {"low": mean, "high": mean, "p_best": 0.5}
    unknown = dict.fromkeys(("success", "quality", "ttft_p50_ms", "ttft_p95_ms", "cost_usd"))
    places = {"position": position, "declared_position": position}
    return Standing(
        provider=name, mean=mean, n=n, liked=0, disliked=0, **places, **bounds, **unknown
    )


def test_a_category_whose_first_model_fell_below_the_bound_is_searched_for():
    found = fallen("technical", [standing("b", 1, 0.9), standing("a", 0, 0.4)], 0.5, NOON)
    assert found is not None
    assert (found.category, found.candidate) == ("technical", None)
    assert found.why == f"the mean reward of a is 0.400 after {ENOUGH} calls, below 0.5"


@pytest.mark.parametrize(
    ("entries", "below"),
    [
        ([standing("a", 0, 0.4)], None),
        ([standing("a", 0, 0.4, n=ENOUGH - 1)], 0.5),
        ([standing("a", 0, 0.6), standing("b", 1, 0.1)], 0.5),
        ([], 0.5),
    ],
    ids=["switched off", "hardly known", "only another one is low", "nobody"],
)
def test_otherwise_nothing_begins(entries: list[Standing], below: float | None):
    assert fallen("technical", entries, below, NOON) is None


def test_the_same_day_is_the_same_search():
    low = [standing("a", 0, 0.4)]
    days = [fallen("technical", low, 0.5, NOON + hours * 3600) for hours in (0, 1, 24)]
    threads = [trigger.thread for trigger in days if trigger]
    assert threads[0] == threads[1] != threads[2]


@pytest.fixture
async def world(settings_for: SettingsFor) -> AsyncIterator[World]:
    world = World(settings_for)
    with world.host, world.hub, world.market:
        yield world
        for providers in world.providers:
            await providers.close()


async def look(world: World, search: Search) -> Trigger | None:
    return await Arrivals(search.settings.data_dir).look(search, "technical")


async def test_a_model_that_a_source_did_not_have_yesterday_is_new_once(world: World) -> None:
    del world.host.models[NEW]
    search = world.search(world.configured())
    assert await look(world, search) is None, "all is known for the first time"
    world.host.models[NEW] = world.right
    world.now += DAY_S / 2
    assert await look(world, search) is None, "asked once a day"
    world.now += DAY_S / 2
    found = await look(world, search)
    assert found is not None
    assert found.candidate == "llama-5-70b"
    assert "upstream" in found.why
    world.now += DAY_S
    assert await look(world, search) is None


async def test_a_source_that_answers_for_the_first_time_brings_nothing_new(world: World) -> None:
    search = world.search(world.configured())
    path = Arrivals(search.settings.data_dir).path
    path.parent.mkdir(parents=True)
    remembered = {"technical": {"at": 0.0, "sources": {"catalogue": ["llama-ancient-7b"]}}}
    path.write_text(json.dumps({"version": 1, "entries": remembered}))
    assert await look(world, search) is None


async def test_with_both_off_no_source_is_asked(world: World) -> None:
    search = world.search(world.configured())
    assert await due(search, lambda name: [standing("first", 0, 0.01)]) == []
    assert not Arrivals(search.settings.data_dir).path.exists()
