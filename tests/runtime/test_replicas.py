"""Replicas over one log: what one learns holds for the others, on idle ones too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from graph.router import Router
from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a replica looks by itself, once a second
            await asyncio.sleep(0.02)


async def test_an_idle_replica_serves_the_order_that_another_learned(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    settings = settings_for(upstream)
    upstream.behave("first", Behaviour(status=500))
    upstream.behave("second", Behaviour(text="Here I am."))
    async with Router(settings) as busy, Router(settings) as idle:
        orders = idle.services.routing.ranking.order
        before = orders("technical")
        asked = 0
        while orders("technical") == before:
            await busy.answer("Hello", category="technical")
            asked += 1
            assert asked < 200, "the order changes by then"
        assert idle.services.routing.ranking is not busy.services.routing.ranking
        assert orders("technical")[0] == "second"
        await until(lambda: orders("technical") == busy.services.routing.ranking.order("technical"))
        rows = await idle.services.log.audits("reranked", subject="technical")
        told = [row["detail"]["after"] for row in rows]
        assert ["second", *[n for n in before if n != "second"]] in told
        keys = [tuple(order) for order in told]
        assert len(keys) == len(set(keys)), "each new order is told once, whoever took it over"
