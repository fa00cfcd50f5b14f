"""What was learned outlives the process; a long log and a late row delay nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.models import Settings
from race import routing_state
from race.routing_state import RoutingState
from routing.ranking import fold
from runtime.learning import Learning, reread
from runtime.reports import priorities
from telemetry.log import InteractionLog
from tests.conftest import SettingsFor
from tests.telemetry.rows import attempt, request


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred rows are a long log here."""
    monkeypatch.setattr(routing_state, "PROVISIONAL", 50)
    monkeypatch.setattr(fold, "WINDOW", 64)
    monkeypatch.setattr(fold, "STRETCH", 8)
    monkeypatch.setattr(fold, "RECENT", 32)


async def write(log: InteractionLog, numbers: range) -> None:
    """Requests ten seconds apart, each other one answered by `second`; `first` fails now and
    then."""
    await asyncio.gather(*(_write(log, n) for n in numbers))


async def _write(log: InteractionLog, n: int) -> None:
    provider, failed = ("first", "second")[n % 2], n % 14 == 0
    tried = attempt(
        provider=provider,
        outcome="failed" if failed else "ok",
        error="server" if failed else None,
        served=not failed,
        ttft_ms=100.0 + n % 7,
    )
    await log.write(request(f"r{n:05d}", at=1e9 + 10 * n, winner=provider), [tried])


@pytest.fixture
def settings(settings_for: SettingsFor) -> Settings:
    return settings_for()


def state(settings: Settings) -> RoutingState:
    return RoutingState(settings, memory=Learning(settings))


async def figures(settings: Settings, routing: RoutingState, log: InteractionLog) -> Any:
    found = await priorities(settings, routing, log)
    return {name: (c["learned"], c["providers"]) for name, c in found.items()}


async def whole(settings: Settings, log: InteractionLog) -> Any:
    """What the fold over the whole log says."""
    routing = RoutingState(settings)
    ranking, cursor, _ = await reread(settings, log)
    routing.replace(ranking, cursor)
    return await figures(settings, routing, log)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - reading again is a task that nobody awaits
            await asyncio.sleep(0.01)


async def test_a_start_goes_on_from_the_snapshot(
    long: None, settings: Settings, tmp_path: Path
) -> None:
    log = InteractionLog.open(None, settings.data_dir)
    await write(log, range(200))
    first = state(settings)
    assert isinstance(first.memory, Learning)
    await first.ready(log)
    first.memory.reread_if_due(first, log)
    await until(lambda: not first.provisional and not first.memory.reading)  # type: ignore[union-attr]
    kept = settings.data_dir / "ranking.json"
    assert kept.exists()
    await write(log, range(200, 230))
    second = state(settings)
    await second.ready(log)
    assert not second.provisional
    assert await figures(settings, second, log) == await whole(settings, log)
    kept.unlink()
    third = state(settings)
    await third.ready(log)
    assert third.provisional, "the newest rows serve while the log is read"
    await log.close()


@pytest.mark.parametrize("spoiled", [b"{", b"{}", b'{"made_by": 1, "log": 2}'])
async def test_a_snapshot_of_other_code_settings_or_log_is_left_aside(
    settings: Settings, spoiled: bytes
) -> None:
    log = InteractionLog.open(None, settings.data_dir)
    await write(log, range(20))
    (settings.data_dir / "ranking.json").write_bytes(spoiled)
    routing = state(settings)
    assert routing.memory is not None
    assert await routing.memory.recall(log) is None
    await routing.ready(log)
    await routing.memory.keep(routing, log, now=True)
    assert await routing.memory.recall(log) is not None
    other = settings.model_copy(
        update={"ranking": settings.ranking.model_copy(update={"every": 7})}
    )
    assert await Learning(other).recall(log) is None
    await log.close()
    elsewhere = InteractionLog.open(None, settings.data_dir / "other")
    assert await routing.memory.recall(elsewhere) is None
    await elsewhere.close()


async def test_a_row_that_comes_hours_late_is_folded_where_it_belongs(
    long: None, settings: Settings
) -> None:
    """As the rows of a replica whose database was out of reach."""
    log = InteractionLog.open(None, settings.data_dir)
    await write(log, range(40))
    await write(log, range(41, 400))
    routing = state(settings)
    ranking, cursor, _ = await reread(settings, log)
    routing.replace(ranking, cursor)
    await log.write(
        request("late", at=1e9 + 405, winner="first"),
        [attempt(provider="first", outcome="failed", error="server", served=False)],
    )
    await routing.catch_up(log)
    assert routing.ranking.overtaken is not None
    assert routing.learned() is None, "no snapshot of what is not whole"
    assert routing.memory is not None
    routing.memory.reread_if_due(routing, log)
    await until(lambda: routing.ranking.overtaken is None)
    mine, theirs = await figures(settings, routing, log), await whole(settings, log)
    assert mine["technical"][0] == theirs["technical"][0]
    for ours, others in zip(mine["technical"][1], theirs["technical"][1], strict=True):
        assert ours["n"] == others["n"]
        assert ours["mean"] == pytest.approx(others["mean"], abs=1e-9)
    await log.close()


async def test_a_log_that_hangs_is_waited_for_a_moment_only(settings: Settings) -> None:
    class Silent:
        async def recent(self, limit: int | None = 20) -> Any:
            await asyncio.Event().wait()

        position = spent_today = since = recent

    routing = RoutingState(settings)
    loop = asyncio.get_running_loop()
    for _ in range(3):
        began = loop.time()
        await routing.ready(Silent(), within_s=0.05)  # type: ignore[arg-type]
        assert loop.time() - began < 10, "it would be waited for without an end"
    assert routing.ranking.order("technical") == ("first", "second")
