"""Replicas over one log: what one learns holds for the others, on idle ones too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from graph.router import Router
from telemetry.log import InteractionLog
from tests.conftest import SettingsFor
from tests.telemetry.rows import attempt, request
from tests.upstream import Behaviour, Upstream


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a replica looks by itself, once a second
            await asyncio.sleep(0.02)


async def test_idle_replicas_serve_the_order_that_another_learned_and_note_it_once(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    settings = settings_for(upstream, ranking={"margin": 0.001})
    async with Router(settings) as here, Router(settings) as there:
        assert there.services.routing.ranking.order("technical")[0] == "first"
        log = InteractionLog.open(None, settings.data_dir)  # a third process
        failed = {"provider": "first", "outcome": "failed", "error": "server", "served": False}
        well = {"provider": "second", "ttft_ms": 50.0}
        rows = [
            (request(f"r{n:03d}", at=1e9 + n), [attempt(**(failed if n % 2 else well))])
            for n in range(120)
        ]
        await asyncio.gather(*(log.write(*row) for row in rows))
        await log.close()
        for router in (here, there):
            ranking = router.services.routing.ranking
            await until(lambda ranking=ranking: ranking.order("technical")[0] == "second")
        async with asyncio.timeout(10):  # an order is served before its note is in the log
            log = there.services.log
            while not (noted := await log.audits("reranked", subject="technical")):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        orders = [tuple(row["detail"]["after"]) for row in noted]
        assert ("second", "first") in orders
        assert len(orders) == len(set(orders)), "whichever replica took it over first"


async def test_a_budget_that_one_replica_spends_is_spent_for_all(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    settings = settings_for(upstream, budget={"providers": {"first": 0.000_000_1}})
    upstream.behave("first", Behaviour(text="Here I am."))
    async with Router(settings) as busy, Router(settings) as idle:
        assert idle.services.routing.barred("first") is None
        answer = await busy.answer("Hello", category="technical")
        assert answer.cost_usd
        await until(lambda: idle.services.routing.barred("first"))
        assert (await idle.answer("Hello", category="technical")).provider != "first"
