"""Old rows go; what they taught stays."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from cli.replay import _read
from config.models import Retention, Settings
from race.routing_state import RoutingState
from routing.ranking.fold import from_json
from runtime import retention
from runtime.learning import reread
from runtime.reports import priorities
from telemetry.log import InteractionLog
from telemetry.queries import Baseline
from tests.conftest import SettingsFor
from tests.telemetry.rows import attempt, request

DAY_S = 86_400.0
NOW = 1e9


@pytest.fixture
def settings(settings_for: SettingsFor) -> Settings:
    return settings_for().model_copy(update={"retention": Retention(days=10)})


async def fill(log: InteractionLog, n: int) -> None:
    """One request an hour up to NOW."""

    async def one(i: int) -> None:
        provider, failed = ("first", "second")[i % 2], i % 14 == 0
        outcome = "failed" if failed else "ok"
        tried = attempt(provider=provider, outcome=outcome, ttft_ms=100.0 + i % 7)
        await log.write(request(f"r{i:05d}", at=NOW - (n - i) * 3_600.0), [tried])

    await asyncio.gather(*(one(i) for i in range(n)))


async def learned(settings: Settings, log: InteractionLog) -> Any:
    routing = RoutingState(settings)
    ranking, cursor, _ = await reread(settings, log)
    routing.replace(ranking, cursor)
    found = await priorities(settings, routing, log)
    return {
        name: [(p["provider"], p["n"], p["mean"], p["low"]) for p in category["providers"]]
        for name, category in found.items()
    }


async def test_what_old_rows_taught_outlives_them(
    settings: Settings, database_url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 100)
    log = InteractionLog.open(database_url, tmp_path)
    await fill(log, 600)
    before = await learned(settings, log)
    pruned = await retention.prune(settings, log, now=NOW)
    assert (pruned.gone, pruned.left) == (360, 240)
    rows = await log.recent(None)
    assert min(row["at"] for row in rows) >= NOW - 10 * DAY_S
    baseline = await log.baseline()
    assert baseline is not None
    assert baseline.requests == 360
    assert await learned(settings, log) == before
    assert (await retention.prune(settings, log, now=NOW)).gone == 0
    again = await retention.prune(settings, log, now=NOW + DAY_S)
    assert again.gone == 24
    assert await learned(settings, log) == before
    await log.close()


async def test_at_most_so_many_requests_are_kept(settings: Settings, tmp_path: Path) -> None:
    log = InteractionLog.open(None, tmp_path)
    await fill(log, 50)
    few = settings.model_copy(update={"retention": Retention(days=1_000, rows=20)})
    assert (await retention.prune(few, log, now=NOW)).left == 20
    assert [row["request_id"] for row in await log.recent(None)][-1] == "r00030"
    await log.close()


async def test_two_that_prune_at_once_count_nothing_twice(
    settings: Settings, database_url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 20)
    one = InteractionLog.open(database_url, tmp_path)
    other = InteractionLog.open(database_url, tmp_path)
    await fill(one, 300)
    before = await learned(settings, one)
    await asyncio.gather(*(retention.prune(settings, log, now=NOW) for log in (one, other)))
    await retention.prune(settings, one, now=NOW)
    baseline = await one.baseline()
    assert baseline is not None
    assert baseline.requests == 60
    assert await learned(settings, one) == before
    await one.close()
    await other.close()


async def test_one_that_saw_too_little_is_refused_though_its_count_is_right(
    settings: Settings, database_url: str | None, tmp_path: Path
) -> None:
    log = InteractionLog.open(database_url, tmp_path)
    await fill(log, 60)
    rows = await log.scan(None, 60)

    def taught(upto: int, requests: int, by: str) -> Baseline:
        return Baseline(rows[upto]["at"], rows[upto]["request_id"], requests, {"by": by})

    def names(first: int, upto: int) -> list[str]:
        return [row["request_id"] for row in rows[first:upto]]

    first, second = taught(19, 20, "faster"), taught(39, 40, "faster")
    blind = taught(39, 20, "slower")  # it began with no baseline, after the first rows had gone
    assert await log.prune(names(0, 20), first, None)
    assert not await log.prune(names(20, 40), blind, None)
    assert await log.prune(names(20, 40), second, first)
    assert not await log.prune(names(20, 40), taught(39, 40, "slower"), blind)
    assert await log.prune(names(20, 40), second, first), "a commit whose answer was lost"
    assert await log.baseline() == second
    assert await log.count() == 20
    await log.close()


async def test_the_baseline_travels_with_the_lines_of_the_log(
    settings: Settings, tmp_path: Path
) -> None:
    log = InteractionLog.open(None, tmp_path)
    await fill(log, 400)
    await retention.prune(settings, log, now=NOW)
    found = await log.baseline()
    assert found is not None
    lines = [{"baseline": found._asdict()}, *(await log.recent(None))[::-1]]
    file = tmp_path / "log.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    baseline, rows = _read(file)
    assert baseline == found
    assert len(rows) == 240
    assert from_json(baseline.detail).arms["technical", "first"].n > 0
    await log.close()
