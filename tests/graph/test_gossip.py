"""Replicas that share a log learn of each other's breakers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config.models import Settings
from graph.board import Board
from graph.gossip import Gossip
from telemetry.log import InteractionLog
from tests.conftest import SettingsFor
from tests.upstream import Upstream


class Replica:
    """A board over the shared log."""

    def __init__(self, settings: Settings, log: InteractionLog) -> None:
        self.board, self.gossip = Board(settings), Gossip()
        self.settings, self.log = settings, log

    async def exchange(self) -> None:
        await self.gossip.exchange(self.board, self.log, self.settings)

    def fails(self, name: str, times: int = 5) -> None:
        for _ in range(times):
            self.board.breakers[name].record(False, self.board._clock())

    def answers(self, name: str) -> None:
        self.board.breakers[name].record(True, self.board._clock())


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[InteractionLog]:
    opened = InteractionLog.open(None, tmp_path)
    yield opened
    await opened.close()


async def test_an_opening_here_is_an_opening_there(
    settings_for: SettingsFor, log: InteractionLog
) -> None:
    settings = settings_for(None)
    here, there = Replica(settings, log), Replica(settings, log)
    here.fails("first")
    await here.exchange()
    await there.exchange()
    assert not there.board.allows("first")
    assert there.board.allows("second")
    assert "5 calls in a row" in there.board.why_not("first")


async def test_what_was_heard_is_not_said_again(
    settings_for: SettingsFor, log: InteractionLog
) -> None:
    settings = settings_for(None)
    here, there = Replica(settings, log), Replica(settings, log)
    here.fails("first")
    await here.exchange()
    said = await log.hints()
    for _ in range(3):
        await there.exchange()
        await here.exchange()
    assert await log.hints() == said


async def test_a_closing_there_lets_one_call_through_here(
    settings_for: SettingsFor, log: InteractionLog
) -> None:
    settings = settings_for(None, breaker={"open_s": 600.0})
    here, there = Replica(settings, log), Replica(settings, log)
    here.fails("first")
    for replica in (here, there):
        await replica.exchange()
    there.board.breakers["first"].allow(there.board._clock(), forced=True)
    there.answers("first")
    for replica in (there, here):
        await replica.exchange()
    assert here.board.allows("first")
    assert here.board.breakers["first"].state(here.board._clock()) == "half_open"


async def test_a_provider_that_was_mended_meanwhile_is_not_held_to_its_past(
    settings_for: SettingsFor, log: InteractionLog, upstream: Upstream
) -> None:
    before = Replica(settings_for(None), log)
    before.fails("first")
    await before.exchange()
    mended: dict[str, Any] = {"hosts": {"upstream": {"base_url": upstream.base_url}}}
    after = Replica(settings_for(None, **mended), log)
    await after.exchange()
    assert after.board.allows("first")


async def test_a_restart_remembers_what_was_open(
    settings_for: SettingsFor, log: InteractionLog
) -> None:
    settings = settings_for(None)
    before = Replica(settings, log)
    before.fails("first")
    await before.exchange()
    after = Replica(settings, log)
    await after.exchange()
    assert not after.board.allows("first")
