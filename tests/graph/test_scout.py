"""The search for a better model as a graph: asked, edited, refused, and killed at each step."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml
from langgraph.types import Command

from config.editor import providers_in, set_trial
from config.errors import UsageError
from config.models import Settings
from discovery.search import Search
from discovery.triggers import Trigger
from graph.router import Router
from graph.scout import (
    ScoutGraph,
    build_scout,
    close_saver,
    outcome,
    question,
    run_scout,
    saver_in,
    scout_for,
    unfinished,
)
from nodes.scouting import alone
from tests.conftest import SettingsFor
from tests.discovery.test_search import NEW, World

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def world(settings_for: SettingsFor) -> AsyncIterator[World]:
    world = World(settings_for)
    with world.host, world.hub, world.market:
        yield world
        for providers in world.providers:
            await providers.close()


class Scouted:
    """A scout over the world, and what its runs said."""

    def __init__(self, settings: Settings, search: Search) -> None:
        async def find() -> Search:
            return search

        self.settings = settings
        self.search = search
        self.graph: ScoutGraph = build_scout(find, saver_in(settings.data_dir))

    async def run(self, given: Any, thread: str = "t") -> list[str]:
        return [event["type"] async for event in run_scout(self.graph, given, thread)]

    def appended(self) -> list[dict[str, Any]]:
        return [e for e in providers_in(self.settings.config_dir) if e.get("added")]


@pytest.fixture
async def scouted(world: World) -> AsyncIterator[Scouted]:
    settings = world.configured()
    made = Scouted(settings, world.search(settings))
    yield made
    await close_saver(made.graph)


async def test_it_stops_to_ask_with_the_evidence_and_appends_on_a_yes(scouted: Scouted) -> None:
    kinds = await scouted.run({"category": "technical"})
    assert (kinds[0], kinds[-1]) == ("chosen", "decided")
    asked = await question(scouted.graph, "t")
    assert asked is not None
    assert asked["evidence"]["outcome"] == "better"
    assert asked["entry"]["model"] == NEW
    assert scouted.appended() == []
    assert await scouted.run(Command(resume=True)) == ["appended"]
    assert [e["name"] for e in scouted.appended()] == ["llama-5-70b"]
    assert (await outcome(scouted.graph, "t"))["outcome"] == "on trial"
    assert not (scouted.settings.data_dir / "scout" / "t.jsonl").exists()


async def test_of_two_searches_that_find_the_same_one_appends_and_the_other_says_so(
    scouted: Scouted,
) -> None:
    for thread in ("t", "u"):
        await scouted.run({"category": "technical"}, thread)
    ends = await asyncio.gather(
        *(scouted.run(Command(resume=True), thread) for thread in ("t", "u"))
    )
    assert sorted(end[-1] for end in ends) == ["appended", "there"]
    assert [e["name"] for e in scouted.appended()] == ["llama-5-70b"]


async def test_a_refusal_is_remembered_and_changes_nothing(scouted: Scouted) -> None:
    await scouted.run({"category": "technical"})
    await scouted.run(Command(resume=False))
    assert (await outcome(scouted.graph, "t"))["outcome"] == "refused"
    assert scouted.appended() == []
    assert (await scouted.search.search("technical")).best() is None


async def test_another_share_can_be_set_before_it_is_appended(scouted: Scouted) -> None:
    await scouted.run({"category": "technical"})
    await scouted.run(Command(resume={"share": 0.2}))
    assert scouted.appended()[0]["trial"] == {"share": 0.2}


async def test_another_candidate_is_tried_and_asked_about(scouted: Scouted) -> None:
    await scouted.run({"category": "technical"})
    await scouted.run(Command(resume={"candidate": NEW}))
    asked = await question(scouted.graph, "t")
    assert asked is not None
    assert asked["evidence"]["candidate"] == "llama-5-70b"


async def test_another_candidate_that_there_is_not_leaves_the_question_open(
    scouted: Scouted,
) -> None:
    await scouted.run({"category": "technical"})
    await scouted.run(Command(resume={"candidate": "llama-none"}))
    asked = await question(scouted.graph, "t")
    assert asked is not None
    assert "`llama-none`" in asked["error"]
    await scouted.run(Command(resume=False))
    assert (await outcome(scouted.graph, "t"))["outcome"] == "refused"


async def test_threads_that_wait_or_were_left_are_found_and_those_that_ended_are_not(
    scouted: Scouted,
) -> None:
    await scouted.run({"category": "technical"}, "waits")
    async with aclosing(run_scout(scouted.graph, {"category": "technical"}, "left")) as events:
        async for event in events:
            if event["type"] == "probe":
                break
    await scouted.run({"category": "technical"}, "ended")
    await scouted.run(Command(resume=False), "ended")
    found = {u.thread: u for u in await unfinished(scouted.graph)}
    assert set(found) == {"waits", "left"}
    assert found["waits"].question is not None
    assert (found["left"].chosen, found["left"].question) == ("llama-5-70b", None)
    assert (await scouted.run(None, "left"))[-1] == "decided"


async def test_a_thread_that_is_being_run_is_not_run_a_second_time(scouted: Scouted) -> None:
    async with alone(scouted.settings, "t"):
        with pytest.raises(UsageError, match="`t` is already running"):
            await scouted.run({"category": "technical"})
    await scouted.run(None)
    assert await question(scouted.graph, "t") is not None


async def test_a_trigger_searches_once_and_its_question_waits_for_a_person(
    scouted: Scouted,
) -> None:
    trigger = Trigger("technical", "llama-5-70b", "it is new", "technical-new")
    await scout_for(scouted.graph, trigger, review=True)
    [waiting] = await unfinished(scouted.graph)
    assert (waiting.thread, waiting.chosen) == ("technical-new", "llama-5-70b")
    assert waiting.question is not None
    other = Trigger("technical", None, "it fell", "technical-below")
    await scout_for(scouted.graph, other, review=True)
    assert len(await unfinished(scouted.graph)) == 1, "one question a category"
    await scouted.run(Command(resume=False), "technical-new")
    await scout_for(scouted.graph, trigger, review=True)
    assert await unfinished(scouted.graph) == [], "once for its cause"


async def test_a_search_that_a_trigger_began_goes_on_after_its_process_ended(
    scouted: Scouted,
) -> None:
    trigger = Trigger("technical", None, "it fell", "technical-below")
    given: Any = {"category": "technical", "review": False}
    async with aclosing(run_scout(scouted.graph, given, trigger.thread)) as events:
        async for event in events:
            if event["type"] == "probe":
                break
    await scout_for(scouted.graph, trigger, review=False)
    assert [e["name"] for e in scouted.appended()] == ["llama-5-70b"]


async def test_without_a_review_what_passes_is_appended_unasked(scouted: Scouted) -> None:
    kinds = await scouted.run({"category": "technical", "review": False})
    assert kinds[-1] == "appended"


async def test_what_fails_its_trial_is_refused_without_a_question(
    scouted: Scouted, world: World
) -> None:
    world.host.models |= {"first": world.right, NEW: world.wrong}
    kinds = await scouted.run({"category": "technical"})
    assert kinds[-1] == "refused"
    assert await question(scouted.graph, "t") is None


async def test_a_thread_on_trial_that_is_run_again_looks_how_it_stands(scouted: Scouted) -> None:
    await scouted.run({"category": "technical", "review": False})
    set_trial(scouted.settings.config_dir, scouted.settings.data_dir, "llama-5-70b", None, "good")
    await scouted.run({})
    assert (await outcome(scouted.graph, "t"))["outcome"] == "promoted"


async def test_a_thread_that_waits_for_nothing_is_named(scouted: Scouted) -> None:
    with pytest.raises(UsageError, match="`none`"):
        await scouted.run(Command(resume=True), "none")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"category": 5},
        {"category": "nope"},
        {"category": "technical", "candidate": 5},
        {"category": "technical", "accepted": "all"},
        {"category": "technical", "review": "no"},
    ],
)
async def test_wrong_input_is_one_sentence_that_names_it(
    scouted: Scouted, given: dict[str, Any]
) -> None:
    named = list(given)[-1] if given else "category"
    with pytest.raises(UsageError, match=named):
        await scouted.run(given)
    assert await question(scouted.graph, "t") is None


async def test_a_thread_that_was_left_keeps_no_trigger_from_searching(scouted: Scouted) -> None:
    with pytest.raises(UsageError):
        await scouted.run({"category": "technical", "candidate": "llama-none"}, "left")
    assert [u.thread for u in await unfinished(scouted.graph)] == ["left"]
    trigger = Trigger("technical", None, "it fell", "technical-below")
    await scout_for(scouted.graph, trigger, review=True)
    assert await question(scouted.graph, trigger.thread) is not None


async def test_an_answer_that_is_none_leaves_the_question_open(scouted: Scouted) -> None:
    await scouted.run({"category": "technical"})
    await scouted.run(Command(resume="maybe"))
    asked = await question(scouted.graph, "t")
    assert asked is not None
    assert "share" in asked["error"]
    await scouted.run(Command(resume=True))
    assert scouted.appended()


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """The configuration of simulated hosts, with two questions for a trial."""
    shutil.copytree(ROOT / "config" / "demo", tmp_path / "config")
    probes = yaml.safe_load((ROOT / "config" / "probes" / "technical.yaml").read_text())
    probes["probes"] = probes["probes"][:2]
    (tmp_path / "config" / "probes").mkdir()
    (tmp_path / "config" / "probes" / "technical.yaml").write_text(yaml.safe_dump(probes))
    return tmp_path


async def test_in_python_a_search_is_run_asked_and_answered_by_another_router(demo: Path) -> None:
    thread: Any = {"configurable": {"thread_id": "mine"}}
    folders = demo / "config", demo / "data"
    async with Router.from_config(*folders, environ={}, dotenv=None) as router:
        state = await router.scout.ainvoke({"category": "technical"}, thread)
        assert state["__interrupt__"][0].value["question"] == "Append this model?"
    async with Router.from_config(*folders, environ={}, dotenv=None) as router:
        ended = await router.scout.ainvoke(Command(resume=True), thread)
        assert ended["outcome"] == "on trial"
    assert [e["name"] for e in providers_in(demo / "config") if e.get("added")] == [
        ended["provider"]
    ]


async def test_a_router_searches_by_itself_where_its_configuration_says_so(demo: Path) -> None:
    written = yaml.safe_load((demo / "config" / "providers.yaml").read_text())
    written["scout"] = {"new_entries": True, "review": False}
    (demo / "config" / "providers.yaml").write_text(yaml.safe_dump(written))
    entries = {
        category: {"at": 0.0, "sources": {"catalogue": []} if category == "technical" else {}}
        for category in written["priorities"]
    }
    (demo / "data" / "scout").mkdir(parents=True)
    seen = {"version": 1, "entries": entries}
    (demo / "data" / "scout" / "seen.json").write_text(json.dumps(seen))
    folders = demo / "config", demo / "data"
    async with Router.from_config(*folders, environ={}, dotenv=None) as router:
        rows: list[Any] = []
        async with asyncio.timeout(60):
            while True:
                if rows := await router.services.log.audits("discovery.appended"):
                    break
                await asyncio.sleep(0.05)
    assert rows[0]["detail"]["category"] == "technical"


STEPS = ["search", "score", "probe 5", "decided", "try", "__interrupt__", "appended", "append"]
IN_FLIGHT = 8
"""Calls abreast: four pairs."""


@pytest.mark.slow
async def test_it_survives_sigkill_at_each_step(world: World) -> None:
    settings = world.configured()
    places = [str(settings.config_dir), str(settings.data_dir)]
    services = [world.hub.url, f"{world.market.url}/api/v1"]
    command = [sys.executable, "-m", "tests.graph.scout_process", *places, *services]

    def run(at: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, at], cwd=ROOT, capture_output=True, text=True, timeout=120)

    for at in STEPS:
        assert run(at).returncode == -9, at
    ended = run("never")
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert json.loads(ended.stdout)["outcome"] == "on trial"
    names = [e["name"] for e in providers_in(settings.config_dir) if e.get("added")]
    assert names == ["llama-5-70b"], "one entry"
    asked = [json.dumps([b["model"], b["messages"]]) for b in world.host.chats()]
    assert len(asked) - len(set(asked)) <= IN_FLIGHT, "only what was in flight was paid twice"
