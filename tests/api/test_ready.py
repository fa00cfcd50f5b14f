"""`/ready`: 200 when a request would be answered within its limits, whatever else is out."""

from __future__ import annotations

import asyncio

from graph.router import Router
from routing.classifier.live import ByKeywords
from tests.api.conftest import Make, Serve, Service
from tests.conftest import SettingsFor
from tests.upstream import Behaviour, Upstream


async def until_ready(service: Service) -> None:
    async with asyncio.timeout(20):
        while (await service.http.get("/ready")).status_code != 200:  # noqa: ASYNC110 - only asked
            await asyncio.sleep(0.02)


async def test_it_is_ready_once_warm_and_stays_so_without_its_log(
    serve: Serve, settings: Make
) -> None:
    made = settings()
    lost = made.environment.model_copy(update={"database_url": "postgres://me@127.0.0.1:9/log"})
    service = await serve(made.model_copy(update={"environment": lost}))
    await until_ready(service)
    health = (await service.http.get("/health")).json()
    assert health["status"] == "degraded"
    assert any("127.0.0.1:9/log cannot be used" in problem for problem in health["problems"])
    question = {"model": "auto", "messages": [{"role": "user", "content": "Well?"}]}
    assert (await service.http.post("/v1/chat/completions", json=question)).status_code == 200
    assert (await service.http.get("/health")).json()["log"]["spooled"] >= 1
    assert (await service.http.get("/ready")).json() == {"ready": True}


async def test_it_is_not_ready_before_it_is_warm_nor_while_it_closes(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    router = Router(settings_for(upstream))
    assert not router.ready
    await router.start()
    assert not router.ready
    await router.warm()
    assert router.ready
    await router.aclose()
    assert not router.ready


async def test_no_request_waits_until_the_classifier_is_trained(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    """A fresh data folder, and a primary that hangs."""
    upstream.behave("first", Behaviour(ttft_s=60))
    settings = settings_for(upstream, limits={"ttft_s": 0.2})
    (settings.data_dir / "classifier.npz").unlink()
    async with Router(settings) as router:
        router.services.classifier.replace(ByKeywords(settings.categories))
        answer = await router.answer("Write a haiku about a poem")
        assert answer.category == "creative"
        assert "being trained" in str(answer.evidence["decided"])
        async with asyncio.timeout(60):
            while isinstance(router.services.classifier.current, ByKeywords):  # noqa: ASYNC110 - a thread
                await asyncio.sleep(0.05)
        later = await router.answer("Write a haiku about rain")
        assert "being trained" not in str(later.evidence.get("decided"))
