"""LMArena's data set on a loopback hub: newer ratings replace the file's, and mix with none."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from config.evidence import load_evidence
from config.loader import load
from discovery.candidates import join
from discovery.identity import key
from discovery.sources.arena import ArenaSource
from discovery.sources.hub_client import HubPlace
from discovery.sources.source import Answer, Found, ask_all
from tests.discovery.services import Hub, HubModel, arena

CONFIG = Path(__file__).parents[2] / "config"
KNOWN = load_evidence(CONFIG)
RATED = [name for name, row in KNOWN.figures.items() if "arena" in row]


@pytest.fixture
def answer() -> list[Answer]:
    served = [
        Found(source="host x", id=name, host="x", parameters=70e9, released="2025-01-01", chat=True)
        for name in RATED
    ]
    return [Answer(source="host x", at=0.0, found=tuple(served))]


def row(name: str, rating: float, category: str = "overall") -> dict[str, object]:
    bounds = {"rating_lower": rating - 5, "rating_upper": rating + 5}
    return {"model_name": name, "rating": rating, "category": category, **bounds}


async def asked(*models: HubModel) -> Answer:
    with Hub(*models) as hub:
        [answer] = await ask_all([ArenaSource(KNOWN, HubPlace(hub.url))], "general")
    return answer


async def test_only_llamas_are_read_with_their_interval_and_day() -> None:
    rows = [row("llama-9-70b-instruct", 1400), row("gpt-9", 1500), row("llama-9-70b", 1, "korean")]
    answer = await asked(arena(*rows, row("llama-3.1-405b-instruct-bf16", 1300, "coding")))
    assert answer.problem is None
    by_name = {one.id: one for one in answer.found}
    assert by_name.keys() == {"llama-9-70b-instruct", "meta-llama/Llama-3.1-405B-Instruct"}
    figure = by_name["llama-9-70b-instruct"].figures["arena"]
    assert (figure.value, figure.error, figure.date) == (1400, 5, "2026-11-20")
    assert "arena-coding" in by_name["meta-llama/Llama-3.1-405B-Instruct"].figures


@pytest.mark.parametrize(("rated", "replaced"), [(len(RATED), True), (3, False)])
async def test_live_ratings_replace_the_files_as_a_whole_or_not_at_all(
    answer: list[Answer], rated: int, replaced: bool
) -> None:
    settings = load(CONFIG, environ={}, dotenv=None)
    rows = [row(name, 1500 - 10 * i) for i, name in enumerate(RATED[:rated])]
    live = await asked(arena(*rows, row("llama-8-7b-chat", 900)))
    found = join([*answer, live], settings, "general", date(2026, 11, 27), KNOWN)
    assert {c.key for c in found} == {key(name) for name in RATED}
    figures = {c.key: {f.benchmark: f for f in c.quality.figures} for c in found if c.quality}
    of_arena = {name: row["arena"] for name, row in figures.items()}
    assert of_arena.keys() == {key(name) for name in RATED}
    days = {figure.date for figure in of_arena.values()}
    assert days == ({"2026-11-20"} if replaced else {"2025-08-06"})


@pytest.mark.parametrize("broken", [(), (b"no table",)])
async def test_a_data_set_that_is_missing_or_broken_is_a_sentence(
    broken: tuple[bytes, ...],
) -> None:
    whole = arena()
    whole.files = {name: broken[0] for name in whole.files if broken}
    answer = await asked(*([whole] if broken else []))
    assert answer.found == ()
    assert answer.problem is not None
    assert answer.problem.startswith("lmarena: text/latest-00000-of-00001.parquet is")
