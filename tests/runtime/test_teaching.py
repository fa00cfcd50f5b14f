"""Corrections of the classifier: in force at once, in every replica, until they are taken back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from app import main
from config.errors import NotFoundError, UsageError
from config.models import Settings
from graph.router import Router
from tests.conftest import SettingsFor
from tests.upstream import Upstream

BOIL = "How long do I boil an egg?"


@pytest.fixture
def settings(upstream: Upstream, settings_for: SettingsFor) -> Settings:
    return settings_for(upstream)


@pytest.fixture
async def router(settings: Settings) -> AsyncIterator[Router]:
    async with Router(settings) as router:
        yield router


def routed(router: Router, prompt: str = BOIL) -> str:
    return router.route(prompt)["category"]


async def test_a_corrected_prompt_is_routed_as_it_was_taught(router: Router) -> None:
    assert routed(router) == "general"
    taught = await router.teach(BOIL, "technical", by="ada")
    assert routed(router) == "technical"
    assert await router.taught() == [taught]
    assert (taught["prompt"], taught["category"], taught["by"]) == (BOIL, "technical", "ada")


async def test_a_request_can_be_corrected_though_the_log_keeps_no_text(router: Router) -> None:
    answer = await router.answer(BOIL)
    taught = await router.teach(answer.request_id, "technical")
    assert (taught["prompt"], taught["request_id"]) == (BOIL, answer.request_id)
    assert routed(router) == "technical"


async def test_a_later_correction_of_the_same_prompt_replaces_the_earlier(router: Router) -> None:
    await router.teach(BOIL, "technical")
    await router.teach(f"  {BOIL} ", "creative")
    assert [lesson["category"] for lesson in await router.taught()] == ["creative"]
    assert routed(router) == "creative"


async def test_a_correction_can_be_taken_back(router: Router) -> None:
    before = router.route(BOIL)["probabilities"]
    lesson = await router.teach(BOIL, "technical")
    await router.take_back(lesson["id"])
    assert await router.taught() == []
    assert router.route(BOIL)["probabilities"] == before
    with pytest.raises(NotFoundError):
        await router.take_back(lesson["id"])
    await router.teach(BOIL, "creative")
    await router.teach(BOIL, None)
    assert routed(router) == "general"


async def test_what_was_taught_survives_a_restart_and_an_edit_of_the_categories(
    settings: Settings, tmp_path: Path
) -> None:
    config, data = tmp_path / "config", tmp_path / "data"
    async with Router.from_config(config, data, environ={}) as router:
        await router.teach(BOIL, "technical")
    path = config / "categories.yaml"
    categories = yaml.safe_load(path.read_text())
    categories["general"]["keywords"] = ["visa"]
    path.write_text(yaml.safe_dump(categories))
    async with Router.from_config(config, data, environ={}) as router:
        await asyncio.wait_for(_until(router, "technical"), 60)


async def test_another_replica_hears_of_it_and_of_its_end(settings: Settings) -> None:
    async with Router(settings) as one, Router(settings) as other:
        lesson = await one.teach(BOIL, "technical")
        await asyncio.wait_for(_until(other, "technical"), 60)
        await one.take_back(lesson["id"])
        await asyncio.wait_for(_until(other, "general"), 60)


async def _until(router: Router, category: str) -> None:
    while routed(router) != category:  # noqa: ASYNC110 - replicas look once a second
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("prompt", "category", "error"),
    [
        (BOIL, "cooking", "unknown category 'cooking'; known are technical, creative, general"),
        ("  ", "technical", "the prompt is empty"),
    ],
)
async def test_a_mistake_is_named(router: Router, prompt: str, category: str, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        await router.teach(prompt, category)


def test_the_command_line_takes_a_file_in_and_lists_it(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--config", str(tmp_path / "config"), "--data", str(tmp_path / "data")]
    file = tmp_path / "corrections.jsonl"
    file.write_text(json.dumps({"prompt": BOIL, "category": "technical"}) + "\n\n")
    assert main(["--teach", str(file), *where]) == 0
    assert "1 corrections stored; 1 are in force" in capsys.readouterr().out
    assert main(["--teach", *where]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["prompt"], listed["category"]) == (BOIL, "technical")
    file.write_text(json.dumps({"prompt": BOIL, "category": None}) + "\n")
    assert main(["--teach", str(file), *where]) == 0
    assert "0 are in force" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("nonsense", "line 2 is not a correction"),
        ('{"prompt": " ", "category": "general"}', "line 2 has an empty prompt"),
        ('{"prompt": "x", "category": "cooking"}', "line 2 has the unknown category 'cooking'"),
        ('{"prompt": "x"}', "line 2 has the unknown category ''"),
    ],
)
def test_a_file_with_a_mistake_is_refused_whole(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, error: str
) -> None:
    where = ["--config", str(tmp_path / "config"), "--data", str(tmp_path / "data")]
    file = tmp_path / "corrections.jsonl"
    file.write_text(json.dumps({"prompt": BOIL, "category": "technical"}) + f"\n{line}\n")
    assert main(["--teach", str(file), *where]) == 2
    assert error in capsys.readouterr().err
    assert main(["--teach", *where]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("learn", [True, False])
async def test_what_corrections_have_in_common_is_learned_behind_the_requests(
    router: Router, learn: bool
) -> None:
    for prompt in (BOIL, "how long to boil two eggs", "Boil six eggs: how long?"):
        await router.teach(prompt, "technical", learn=learn)
    lessons = router.services.classifier
    async with asyncio.timeout(60):
        while lessons.current.lessons.behind:  # noqa: ASYNC110 - a thread does it within a second
            await asyncio.sleep(0.02)
    assert routed(router) == "technical"
