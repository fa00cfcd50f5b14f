"""Replicas on one log share the day's budget and the conversations' places."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config.models import Settings
from providers.base import Message
from race.conversations import thread
from race.routing_state import RoutingState
from runtime.replicas import PREFIX, PRESENT_S, Pages, Replicas
from telemetry.log import InteractionLog
from tests.conftest import SettingsFor
from tests.runtime.test_cooldown_sync import Clock
from tests.telemetry.rows import attempt, request

TURN: list[Message] = [{"role": "user", "content": "Why?"}]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[InteractionLog]:
    opened = InteractionLog.open(None, tmp_path)
    yield opened
    await opened.close()


class Replica:
    """What one process knows, over the shared log."""

    def __init__(self, settings: Settings, log: InteractionLog) -> None:
        self.clock = Clock()
        self.routing = RoutingState(settings, clock=self.clock)
        self.others = Replicas(Pages(), self.clock)
        self.settings, self.log = settings, log

    async def exchange(self) -> None:
        self.clock.now += 1.0
        await self.others.exchange(self.routing, self.log, self.settings)

    async def look(self) -> None:
        self.clock.now += 1.0
        await self.routing.catch_up(self.log)

    async def spend(self, request_id: str, cost_usd: float) -> None:
        """A call of `first` that ends here."""
        at = self.log.now()
        made = attempt(provider="first", cost_usd=cost_usd, at=at)
        row = request(request_id, at, winner="first", attempts=[made])
        await self.log.write(row, row["attempts"])
        self.routing.fold([row], "technical")

    @property
    def barred(self) -> str | None:
        return self.routing.barred("first")


async def spread(*replicas: Replica) -> None:
    """Each has seen the others' notes."""
    for _ in range(2):
        for replica in replicas:
            await replica.exchange()


async def test_replicas_that_spend_at_once_keep_to_the_budget_together(
    settings_for: SettingsFor, log: InteractionLog
) -> None:
    settings = settings_for(None, budget={"daily_usd": 1.0})
    here, there = Replica(settings, log), Replica(settings, log)
    await spread(here, there)
    spent, turn = 0.0, 0
    for _ in range(12):
        await here.look()
        await there.look()
        for replica in (here, there):  # neither sees what the other spends until the next look
            while replica.barred is None and turn < 400:
                turn += 1
                spent += 0.01
                await replica.spend(f"r{turn}", 0.01)
    assert 0.95 <= spent <= 1.02


async def test_a_single_process_spends_all_of_it_at_once(
    settings_for: SettingsFor, log: InteractionLog
) -> None:
    alone = Replica(settings_for(None, budget={"daily_usd": 1.0}), log)
    await alone.exchange()
    await alone.look()
    await alone.spend("r1", 0.9)
    assert alone.barred is None


class Notes:
    """The notes of a log, at a time as told."""

    def __init__(self) -> None:
        self.at, self.kept = 1_000.0, dict[str, Any]()

    async def hint(self, name: str, detail: Any, **_: Any) -> None:
        self.kept[name] = {**detail, "at": self.at}

    async def hints(self) -> dict[str, Any]:
        return dict(self.kept)

    def now(self) -> float:
        return self.at


async def test_a_replica_that_has_ended_takes_no_part(settings_for: SettingsFor) -> None:
    settings, notes = settings_for(None, budget={"daily_usd": 1.0}), Notes()
    routing, clock = RoutingState(settings), Clock()
    await Replicas(Pages(), clock).exchange(RoutingState(settings), notes, settings)
    here = Replicas(Pages(), clock)
    await here.exchange(routing, notes, settings)
    assert routing.sharers == 2
    notes.at += PRESENT_S + 1
    await here.exchange(routing, notes, settings)
    assert routing.sharers == 1


async def test_notes_of_ended_replicas_are_removed(log: InteractionLog) -> None:
    await log.hint(PREFIX + "ended", {})
    await log.hint("wait:first", {})
    await log.hint(PREFIX + "new", {}, stale=(PREFIX, log.now() + 1.0))
    assert set(await log.hints()) == {PREFIX + "new", "wait:first"}


async def test_a_conversation_stays_where_its_cache_is_whichever_replica_has_its_next_turn(
    settings_for: SettingsFor, log: InteractionLog
) -> None:
    settings = settings_for(None)
    here, there = Replica(settings, log), Replica(settings, log)
    begun = thread("somebody", "talk", TURN)
    here.routing.conversations.remember(begun, "second", None)
    await spread(here, there)
    held = there.routing.conversations.holder(begun)
    assert held is not None
    assert held.provider == "second"
    there.clock.now += settings.affinity.ttl_s
    assert there.routing.conversations.holder(begun) is None


async def test_the_later_answer_counts_whoever_tells_of_it(
    settings_for: SettingsFor, log: InteractionLog
) -> None:
    settings = settings_for(None)
    here, there = Replica(settings, log), Replica(settings, log)
    begun = thread("somebody", "talk", TURN)
    here.routing.conversations.remember(begun, "first", None)
    here.clock.now += 2.0
    there.routing.conversations.remember(begun, "second", None)
    await spread(here, there)
    for replica in (here, there):
        held = replica.routing.conversations.holder(begun)
        assert held is not None
        assert held.provider == "second"


async def test_an_idle_replica_without_a_limit_writes_nothing(
    settings_for: SettingsFor, log: InteractionLog
) -> None:
    idle = Replica(settings_for(None), log)
    await spread(idle)
    assert not await log.hints()
