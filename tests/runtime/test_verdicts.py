"""Verdicts on two answers, from the log to the learned order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.errors import NotFoundError
from config.models import Settings
from graph.router import Router
from race.routing_state import RoutingState
from runtime.verdicts import chosen
from telemetry.log import InteractionLog
from tests.conftest import SettingsFor
from tests.telemetry.rows import attempt, request
from tests.upstream import Behaviour, Upstream

C = "general"


@pytest.fixture
async def services(settings_for: SettingsFor, tmp_path: Path) -> AsyncIterator[Any]:
    settings: Settings = settings_for()
    log = InteractionLog.open(None, tmp_path / "log")
    routing = RoutingState(settings)
    await routing.ready(log)
    yield SimpleNamespace(settings=settings, log=log, routing=routing)
    await log.close()


async def answered(services: Any, request_id: str, provider: str, role: str = "primary") -> str:
    made = attempt(provider=provider, role=role, served=True, category=C, at=None)
    await services.log.write(request(request_id, category=C, winner=provider, role=role), [made])
    return request_id


def leads(services: Any) -> dict[str, float | None]:
    return {e.provider: e.lead for e in services.routing.ranking.standings(C).entries}


async def verdicts(services: Any) -> list[tuple[object, ...]]:
    rows = [a for r in await services.log.recent(None) for a in r["attempts"]]
    keys = ("provider", "against", "against_role", "verdict", "source")
    return sorted(tuple(a[k] for k in keys) for a in rows if a["role"] == "compare")


async def test_the_chosen_answer_is_better_than_each_other_and_those_are_not_compared(
    services: Any,
) -> None:
    ids = [await answered(services, f"r{n}", name) for n, name in enumerate(("first", "second"))]
    ids.append(await answered(services, "r2", "cheap", "fallback"))
    assert await chosen(services, ids, "r1") == 2
    assert await verdicts(services) == [
        ("first", "second", "primary", 0.0, "person"),
        ("second", "cheap", "fallback", 1.0, "person"),
    ]
    found = leads(services)
    assert found["second"] > 0.0 > found["first"]


async def test_none_is_better_is_a_tie_of_all_of_them(services: Any) -> None:
    ids = [await answered(services, f"r{n}", name) for n, name in enumerate(("first", "second"))]
    await chosen(services, ids, None)
    assert [row[3] for row in await verdicts(services)] == [0.5]


async def test_a_vote_is_no_thumb(services: Any) -> None:
    ids = [await answered(services, f"r{n}", name) for n, name in enumerate(("first", "second"))]
    await chosen(services, ids, "r0")
    assert [(await services.log.get(one))["liked"] for one in ids] == [None, None]


async def test_a_vote_twice_is_a_vote_once(services: Any) -> None:
    ids = [await answered(services, f"r{n}", name) for n, name in enumerate(("first", "second"))]
    await chosen(services, ids, "r0")
    before = leads(services)
    await chosen(services, ids, "r0")
    assert leads(services) == before


async def test_one_model_that_answered_twice_is_not_compared_with_itself(services: Any) -> None:
    ids = [await answered(services, f"r{n}", "first") for n in range(2)]
    assert await chosen(services, ids, "r0") == 0


async def test_an_unknown_request_is_said(services: Any) -> None:
    with pytest.raises(NotFoundError):
        await chosen(services, ["r0", "r1"], "r0")


async def test_what_judging_cost_today_is_known_apart(services: Any) -> None:
    now = services.log.now()
    rows = [
        attempt(0, at=now, cost_usd=0.5),
        attempt(1, at=now, role="judge", provider="cheap", cost_usd=0.25),
    ]
    await services.log.write(request("r0", at=now), rows)
    assert await services.log.spent_today(role="judge") == {"cheap": 0.25}
    assert sum((await services.log.spent_today()).values()) == 0.75


async def test_a_judge_over_http_is_learned_from(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    """Nothing of it is scripted but what the models say, and that both were asked: the fallback is
    not if the first has answered while passages were looked for."""
    gate = asyncio.Event()
    upstream.behave("second", Behaviour(text='{"better": "tie"}'))
    upstream.behave("first", Behaviour(text="It is Canberra.", gates={0: gate}))
    settings = settings_for(upstream, judge={"provider": "second", "share": 1.0})
    async with Router(settings) as router:
        answering = asyncio.ensure_future(router.answer("Where is Canberra?", category=C))
        await upstream.until(lambda: bool(upstream.calls("cheap")))
        gate.set()
        said = await answering
        await router.services.judging.settled()
        async with asyncio.timeout(30):  # rows are waited for a moment only
            row = await router.services.log.get(said.request_id)
            while not any(a["role"] == "compare" for a in row["attempts"]):
                await asyncio.sleep(0.02)
                row = await router.services.log.get(said.request_id)
            await router.services.routing.catch_up(router.services.log)
        (entry,) = [
            e
            for e in router.services.routing.ranking.standings(C).entries
            if e.provider == said.provider
        ]
    assert said.provider == "first"
    [verdict] = [a for a in row["attempts"] if a["role"] == "compare"]
    assert (verdict["provider"], verdict["against"]) == ("first", "cheap")
    assert (verdict["verdict"], verdict["source"]) == (0.5, "judge")
    asked = [a for a in row["attempts"] if a["role"] == "judge" and a["provider"] == "second"]
    assert [a["outcome"] for a in asked] == ["ok", "ok"]
    assert entry.verdicts == 1
