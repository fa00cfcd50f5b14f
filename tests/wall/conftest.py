"""One upstream, one router and one service for the whole wall: what differs is the reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from config.loader import load
from config.models import Settings
from graph.router import Router
from tests.api.conftest import Service, serving
from tests.conftest import CATEGORIES
from tests.upstream import Behaviour, Upstream
from tests.wall.replies import ANSWER, OWN_WORD

LIMITS = {"ttft_s": 1.5, "stall_s": 0.8, "deadline_s": 8.0, "late_s": 0.2}


def wall_settings(url: str, folder: Path, **sections: Any) -> Settings:
    """The preferred provider `first` and the fallback `cheap`, at one upstream."""
    cost = {"input": 1.0, "output": 2.0}
    written = {
        "hosts": {"upstream": {"base_url": url, "finish_reasons": {OWN_WORD: "stop"}}},
        "providers": [
            {"name": name, "host": "upstream", "model": name, "cost": cost}
            for name in ("first", "cheap")
        ],
        "priorities": {category: ["first"] for category in CATEGORIES},
        "fallback": {"provider": "cheap"},
        "limits": LIMITS,
        "ranking": {"explore_min": 0, "explore_max": 0, "margin": 1},
        **sections,
    }
    config = folder / "config"
    config.mkdir(exist_ok=True)
    (config / "providers.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    (config / "categories.yaml").write_text(yaml.safe_dump(CATEGORIES, sort_keys=False))
    return load(config, folder / "data", environ={}, dotenv=None)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def wall() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        upstream.behave("cheap", Behaviour(text=ANSWER, ttft_s=0.01))
        yield upstream


@pytest.fixture(scope="module")
def settings(wall: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return wall_settings(wall.base_url, tmp_path_factory.mktemp("wall"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def service(settings: Settings) -> AsyncIterator[Service]:
    """The service over HTTP; its router answers in process too."""
    async with serving(settings) as service:
        yield service


@pytest_asyncio.fixture(loop_scope="module")
async def router(service: Service, wall: Upstream) -> AsyncIterator[Router]:
    """The router as if it had never asked anybody."""
    service.router.services.routing.forget_breakers()
    providers = service.router.services.providers
    for words in providers.unknown_words.values():
        words.clear()
    for host in providers.settings.hosts:
        providers.pool(host).think_first.clear()
    wall.log.clear()
    yield service.router
    await service.router.services.late.close(grace_s=0)
    async with asyncio.timeout(5):
        await wall.until(lambda: wall.concurrent == 0)
