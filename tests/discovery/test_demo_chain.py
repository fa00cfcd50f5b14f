"""Search, try, append and undo with the shipped demo: no network, no key, no model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from config.errors import ConfigError, UsageError
from config.loader import load
from config.models import Settings
from discovery.events import render_event
from discovery.result import render_table
from discovery.search import Search
from providers.registry import Providers

DEMO = Path(__file__).parents[2] / "config" / "demo"


async def at_once(seconds: float) -> None:
    """The simulation's waits, without the waiting."""


class Kept:
    """The audit rows."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, Mapping[str, object]]] = []

    async def __call__(self, kind: str, subject: str, detail: Mapping[str, object]) -> None:
        self.rows.append((kind, subject, detail))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    shutil.copytree(DEMO, tmp_path / "config")
    return load(tmp_path / "config", tmp_path / "data", environ={}, dotenv=None)


def search_of(settings: Settings, kept: Kept | None = None) -> Search:
    return Search(settings, Providers(settings, sleep=at_once), kept)


async def test_the_catalogue_and_the_hosts_lists_are_ranked_with_every_term(
    settings: Settings,
) -> None:
    text = render_table(await search_of(settings).search("technical"))
    assert "sim-nova-70b" in text
    assert "quality 0.55×" in text
    assert "size 0.06×" in text
    assert "served by theatre (sim-nova-70b)" in text
    assert "forbids commercial use" in text
    assert "no enabled host serves it" in text  # sim-ghost-405b
    assert "The first to try is sim-nova-70b" in text


async def test_only_the_simulation_is_asked_when_everything_is_one(settings: Settings) -> None:
    result = await search_of(settings).search("general")
    assert set(result.asked) == {"catalogue", "host theatre"}
    assert result.problems == ()


async def test_a_candidate_is_tried_appended_on_trial_and_taken_back(settings: Settings) -> None:
    kept, file = Kept(), settings.config_dir / "providers.yaml"
    before = file.read_bytes()
    search = search_of(settings, kept)
    events = [event async for event in search.try_and_append("technical")]
    assert [e["type"] for e in events if e["type"] != "probe"] == [
        "chosen",
        "smoke",
        "decided",
        "appended",
    ]
    assert sum(event["type"] == "probe" for event in events) >= 20
    after = load(settings.config_dir, settings.data_dir, environ={}, dotenv=None)
    added = after.provider("sim-nova-70b")
    assert added.trial is not None
    assert added.trial.share == events[-1]["share"]
    assert added.evidence is not None
    assert added.evidence["simulated"] is True
    assert after.priorities["technical"][-1] == "sim-nova-70b"
    assert "sim-nova-70b" not in after.priorities["creative"]
    assert "sim-nova-70b" in await search.undo()
    assert file.read_bytes() == before
    assert [kind for kind, _, _ in kept.rows if kind != "discovery.probe"] == [
        "discovery.chosen",
        "discovery.smoke",
        "discovery.decided",
        "discovery.appended",
        "discovery.undone",
    ]


async def test_a_second_search_marks_what_was_appended(settings: Settings) -> None:
    async for _ in search_of(settings).try_and_append("technical"):
        pass
    again = load(settings.config_dir, settings.data_dir, environ={}, dotenv=None)
    result = await search_of(again).search("technical")
    nova = result.find("sim-nova-70b")
    assert nova is not None
    assert nova.configured == ("sim-nova-70b",)
    assert result.best() is not nova


async def test_a_named_candidate_is_tried_even_where_its_licence_forbids_sale(
    settings: Settings,
) -> None:
    search = search_of(settings)
    events = [event async for event in search.try_and_append("technical", "sim-scholar-70b")]
    assert events[0]["name"] == "sim-scholar-70b"


async def test_what_cannot_be_served_is_refused_in_a_sentence(settings: Settings) -> None:
    with pytest.raises(UsageError, match="served by no enabled host"):
        async for _ in search_of(settings).try_and_append("technical", "sim-ghost-405b"):
            pass
    with pytest.raises(UsageError, match="found no `llama-9`"):
        async for _ in search_of(settings).try_and_append("technical", "llama-9"):
            pass
    with pytest.raises(UsageError, match="no category `tecnical`"):
        await search_of(settings).search("tecnical")


async def test_undo_without_a_change_says_so(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="nothing to undo"):
        await search_of(settings).undo()


async def test_each_step_is_described_in_a_sentence(settings: Settings) -> None:
    search = search_of(settings)
    told = [render_event(event) async for event in search.try_and_append("technical")]
    assert told[0] == "trying sim-nova-70b at theatre (sim-nova-70b)"
    assert told[1].startswith("it answers, first token after")
    assert told[2].startswith("probe 1/")
    assert "(a simulation) after" in told[-2]
    assert told[-1].startswith("appended as sim-nova-70b to ")
    refused = {"type": "refused", "reason": "it is \x1b[31mworse"}
    assert render_event(refused) == "not appended: it is [31mworse"
    assert render_event({"type": "something-new"}) == "something-new"
