"""Replicas that share a log learn of a host that asked to be left alone, and of nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from config.errors import StorageError
from config.models import Settings
from graph.router import Router
from race.routing_state import RoutingState
from runtime.cooldown_sync import PREFIX, CooldownSync
from telemetry.log import InteractionLog
from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream


class Clock:
    """Monotonic seconds, as told."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Replica:
    """A routing state over the shared log."""

    def __init__(self, settings: Settings, log: Any, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.routing, self.sync = RoutingState(settings, clock=self.clock), CooldownSync()
        self.settings, self.log = settings, log

    async def exchange(self) -> None:
        await self.sync.exchange(self.routing, self.log, self.settings)

    def asked_to_wait(self, name: str, wait_s: float = 30.0) -> None:
        self.routing.breakers[name].record(False, self.clock(), retry_after_s=wait_s)

    def fails(self, name: str, times: int = 5) -> None:
        for _ in range(times):
            self.routing.breakers[name].record(False, self.clock())


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[InteractionLog]:
    opened = InteractionLog.open(None, tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def settings(settings_for: SettingsFor) -> Settings:
    return settings_for(None)


async def test_a_host_that_asked_one_replica_to_wait_is_left_alone_by_all(
    settings: Settings, log: InteractionLog
) -> None:
    here, there = Replica(settings, log), Replica(settings, log)
    await there.exchange()
    here.asked_to_wait("first")
    await here.exchange()
    await there.exchange()
    assert not there.routing.allows("first")
    assert there.routing.allows("second")
    there.clock.now += 31
    assert there.routing.allows("first")


async def test_failures_of_one_replica_take_no_provider_from_another(
    settings: Settings, log: InteractionLog
) -> None:
    sick, well = Replica(settings, log), Replica(settings, log)
    sick.fails("first")
    for replica in (sick, well):
        await replica.exchange()
    assert not sick.routing.allows("first")
    assert well.routing.allows("first")
    assert await log.hints() == {}


async def test_what_was_heard_is_not_said_again(settings: Settings, log: InteractionLog) -> None:
    here, there = Replica(settings, log), Replica(settings, log)
    here.asked_to_wait("first")
    await here.exchange()
    said = await log.hints()
    for _ in range(3):
        await there.exchange()
        await here.exchange()
    assert await log.hints() == said


async def test_a_restart_remembers_who_is_to_be_left_alone(
    settings: Settings, log: InteractionLog
) -> None:
    before = Replica(settings, log)
    before.asked_to_wait("first")
    await before.exchange()
    after = Replica(settings, log)
    await after.exchange()
    assert not after.routing.allows("first")


async def test_clocks_that_differ_do_not_make_fresh_news_old(settings: Settings) -> None:
    notes: dict[str, dict[str, Any]] = {}

    class Skewed:
        """A log whose writer's clock is an hour behind."""

        async def hint(self, name: str, detail: Any) -> None:
            notes[name] = {**detail, "at": 1.0}

        async def hints(self) -> dict[str, dict[str, Any]]:
            return dict(notes)

        def now(self) -> float:
            return time.time()

    here, there = Replica(settings, Skewed()), Replica(settings, Skewed())
    await there.exchange()
    here.asked_to_wait("first")
    await here.exchange()
    await there.exchange()
    assert not there.routing.allows("first")
    late = Replica(settings, Skewed())
    await late.exchange()
    assert late.routing.allows("first"), "its age is known by the clocks alone"


async def test_what_could_not_be_written_is_said_the_next_time(
    settings: Settings, log: InteractionLog
) -> None:
    class Broken:
        async def hint(self, name: str, detail: Any) -> None:
            raise StorageError("the disk is full")

    here, there = Replica(settings, Broken()), Replica(settings, log)
    here.asked_to_wait("first")
    with pytest.raises(StorageError):
        await here.exchange()
    here.log = log
    await here.exchange()
    await there.exchange()
    assert not there.routing.allows("first")


async def test_a_provider_that_was_mended_meanwhile_is_not_held_to_its_past(
    settings_for: SettingsFor, log: InteractionLog, upstream: Upstream
) -> None:
    before = Replica(settings_for(None), log)
    before.asked_to_wait("first")
    await before.exchange()
    mended: dict[str, Any] = {"hosts": {"upstream": {"base_url": upstream.base_url}}}
    after = Replica(settings_for(None, **mended), log)
    await after.exchange()
    assert after.routing.allows("first")
    assert before.routing.with_settings(after.settings).allows("first")


async def test_a_note_that_came_before_the_edit_it_is_about_counts_after_it(
    settings_for: SettingsFor, log: InteractionLog, upstream: Upstream
) -> None:
    old = settings_for(None)
    new = settings_for(None, hosts={"upstream": {"base_url": upstream.base_url}})
    quick, slow = Replica(new, log), Replica(old, log)
    quick.asked_to_wait("first")
    await quick.exchange()
    await slow.exchange()
    assert slow.routing.allows("first")
    slow.routing, slow.settings = slow.routing.with_settings(new), new
    await slow.exchange()
    assert not slow.routing.allows("first")


async def test_a_breaker_that_was_replaced_speaks_for_nobody(
    settings_for: SettingsFor, log: InteractionLog, upstream: Upstream
) -> None:
    replica = Replica(settings_for(None), log)
    replica.asked_to_wait("first")
    replica.settings = settings_for(None, hosts={"upstream": {"base_url": upstream.base_url}})
    replica.routing = replica.routing.with_settings(replica.settings)
    await replica.exchange()
    assert await log.hints() == {}


async def test_routers_over_one_data_folder_tell_each_other(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    settings = settings_for(upstream)
    upstream.behave("first", Behaviour(status=429, headers={"retry-after": "300"}))
    upstream.behave("second", Behaviour(text="Here I am."))
    async with Router(settings) as here, Router(settings) as there, asyncio.timeout(60):
        await here.answer("Hello")
        while PREFIX + "first" not in await here.services.log.hints():
            await here.services.log.hint("nothing", {})
        while there.services.routing.allows("first"):
            await there.services.log.hint("nothing", {})


async def test_a_key_that_a_host_refused_is_known_to_all_who_have_it(
    settings: Settings, log: InteractionLog
) -> None:
    here, there = Replica(settings, log), Replica(settings, log)
    host = settings.provider("first").host
    mended = settings.hosts[host].model_copy(update={"key": SecretStr("another")})
    other = settings.model_copy(update={"hosts": {**settings.hosts, host: mended}})
    with_another_key = Replica(other, log)
    for replica in (there, with_another_key):
        await replica.exchange()
    here.routing.breakers["first"].record(False, here.clock(), fatal=True)
    for replica in (here, there, with_another_key):
        await replica.exchange()
    assert there.routing.snapshot("first")["why"] == "misconfigured"
    assert not there.routing.allows("first")
    assert with_another_key.routing.allows("first")
    assert there.routing.waits() == {}, "what was heard is not said again"
