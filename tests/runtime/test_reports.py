"""What the router says of its health."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from graph.router import Router
from runtime.reports import VERSION
from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream

KEYED = {
    "upstream": {"base_url": "http://127.0.0.1:9/v1"},
    "keyed": {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "SOME_KEY"},
}


def test_the_version_is_the_projects() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(project.read_text())["project"]["version"] == VERSION


def providers(**hosts: str) -> list[dict[str, str]]:
    return [
        {"name": name, "host": hosts.get(name, "upstream"), "model": name}
        for name in ("first", "second", "cheap")
    ]


async def test_a_provider_without_a_key_is_no_trouble(settings_for: SettingsFor) -> None:
    settings = settings_for(hosts=KEYED, providers=providers(second="keyed"))
    async with Router(settings) as router:
        health = router.health()
    assert health["status"] == "ok"
    assert "SOME_KEY" in health["providers"]["second"]["unavailable"]


async def test_a_fallback_that_cannot_be_used_is_named(settings_for: SettingsFor) -> None:
    settings = settings_for(hosts=KEYED, providers=providers(cheap="keyed"))
    async with Router(settings) as router:
        health = router.health()
    assert health["status"] == "degraded"
    assert any("cheap" in problem for problem in health["problems"])


async def test_a_breaker_that_is_not_closed_is_named(settings_for: SettingsFor) -> None:
    async with Router(settings_for()) as router:
        await router.start()
        breaker = router.services.routing.breakers["first"]
        breaker.record(False, 0.0, fatal=True)
        health = router.health()
    assert health["status"] == "degraded"
    assert health["providers"]["first"]["breaker"]["state"] != "closed"
    assert any("first" in problem for problem in health["problems"])


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"providers": {"first": 0.001}}, "budget of $0.001 for first is spent ($0.0010)"),
        ({"daily_usd": 0.0011}, "budget of $0.0011 is nearly spent ($0.0010)"),
        ({"daily_usd": 0.001}, "budget of $0.001 is spent: paid models are skipped ($0.0010)"),
    ],
)
async def test_health_says_which_budget_is_spent(
    upstream: Upstream, settings_for: SettingsFor, budget: dict[str, Any], said: str
) -> None:
    upstream.behave("first", Behaviour(tokens=100))
    first = {
        "name": "first",
        "host": "upstream",
        "model": "first",
        "cost": {"input": 0.0, "output": 10.0},
    }
    async with Router(
        settings_for(upstream, providers=[first, *providers()[1:]], budget=budget)
    ) as router:
        assert (await router.answer("Why?")).provider == "first"
        health = router.health()
    assert health["status"] == "degraded"
    assert [p for p in health["problems"] if "budget" in p] == [f"today's {said}"]
