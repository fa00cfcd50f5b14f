"""What the service shows of the router."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.api.conftest import Make, Serve, Service, break_the_log
from tests.conftest import CATEGORIES
from tests.telemetry.conftest import database_url, postgres
from tests.upstream import FAULTS, Upstream

__all__ = ["database_url", "postgres"]

HELLO = [{"role": "user", "content": "Hello"}]


async def ask(service: Service, model: str = "auto") -> dict[str, Any]:
    """An answer's `router` object."""
    answer = await service.http.post(
        "/v1/chat/completions", json={"model": model, "messages": HELLO}
    )
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()["router"]
    return told


async def test_models_lists_what_model_can_be(client: openai.AsyncOpenAI) -> None:
    listed = [model async for model in client.models.list()]
    names = ["auto", *(f"auto:{c}" for c in CATEGORIES), "first", "second", "cheap"]
    assert [model.id for model in listed] == names
    assert {m.id: m.owned_by for m in listed}["first"] == "upstream"
    assert {m.object for m in listed} == {"model"}


async def test_each_listed_name_is_answered(service: Service) -> None:
    client = await service.client()
    for model in [m.id async for m in client.models.list()]:
        assert (await client.models.retrieve(model)).id == model
        await client.chat.completions.create(model=model, messages=HELLO)


async def test_a_model_that_is_not_listed_cannot_be_retrieved(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.models.retrieve("gpt-4o")
    assert caught.value.code == "model_not_found"


async def test_interactions_come_newest_first_with_their_attempts(service: Service) -> None:
    told = [await ask(service, f"auto:{c}") for c in ("technical", "creative", "technical")]
    shown = (await service.http.get("/router/interactions")).json()
    assert [row["request_id"] for row in shown] == [t["request_id"] for t in reversed(told)]
    assert shown[0]["attempts"][0]["provider"] == "first"
    assert "prompt_hash" in shown[0]


async def test_interactions_can_be_limited_to_a_number_and_a_category(service: Service) -> None:
    for category in ("technical", "creative", "technical"):
        await ask(service, f"auto:{category}")
    some = await service.http.get("/router/interactions", params={"limit": 1})
    assert len(some.json()) == 1
    creative = await service.http.get("/router/interactions", params={"category": "creative"})
    assert [row["category"] for row in creative.json()] == ["creative"]


async def test_a_wrong_limit_is_a_bad_request(service: Service) -> None:
    for limit in ("0", "-1", "many", "1001", "1e3", ""):
        answer = await service.http.get("/router/interactions", params={"limit": limit})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "limit"


async def test_feedback_is_kept_and_replaced(service: Service) -> None:
    told = await ask(service)
    for liked in (True, False, None):
        answer = await service.http.post(
            "/router/feedback", json={"request_id": told["request_id"], "liked": liked}
        )
        assert answer.json() == {"request_id": told["request_id"], "liked": liked}
        row = await service.router.services.log.get(told["request_id"])
        assert row["liked"] is liked


async def test_feedback_on_an_unknown_request_is_not_found(service: Service) -> None:
    answer = await service.http.post("/router/feedback", json={"request_id": "x", "liked": True})
    assert answer.status_code == 404


async def test_feedback_must_say_what_it_means(service: Service) -> None:
    told = await ask(service)
    for body in ({}, {"liked": True}, {"request_id": told["request_id"]}):
        assert (await service.http.post("/router/feedback", json=body)).status_code == 400
    body = {"request_id": told["request_id"], "liked": "yes"}
    answer = await service.http.post("/router/feedback", json=body)
    assert answer.json()["error"]["param"] == "liked"


async def test_an_open_service_takes_no_feedback_and_shows_no_texts(
    serve: Serve, settings: Make
) -> None:
    service = await serve(settings(log={"text": True}), write=False)
    told = await ask(service)
    body = {"request_id": told["request_id"], "liked": True}
    assert (await service.http.post("/router/feedback", json=body)).status_code == 403
    (row,) = (await service.http.get("/router/interactions")).json()
    assert row["prompt"] is None
    assert row["answer"] is None
    assert all(attempt["text"] is None for attempt in row["attempts"])


async def test_texts_are_shown_where_they_are_kept(serve: Serve, settings: Make) -> None:
    service = await serve(settings(log={"text": True}))
    await ask(service)
    (row,) = (await service.http.get("/router/interactions")).json()
    assert row["prompt"] == "Hello"


async def test_priorities_tell_declared_and_learned_order_with_figures(service: Service) -> None:
    await ask(service, "auto:technical")
    shown = (await service.http.get("/router/priorities")).json()
    assert list(shown) == list(CATEGORIES)
    technical = shown["technical"]
    assert technical["declared"] == technical["learned"] == ["first", "second"]
    assert technical["providers"][0]["provider"] == "first"
    assert technical["providers"][0]["n"] == 1
    assert technical["last_change"] is None


async def test_health_tells_each_providers_breaker(service: Service) -> None:
    answer = await service.http.get("/health")
    health = answer.json()
    assert (answer.status_code, health["status"]) == (200, "ok")
    assert set(health["providers"]) == {"first", "second", "cheap"}
    assert {p["breaker"]["state"] for p in health["providers"].values()} == {"closed"}
    assert health["races"]["running"] == 0


async def test_an_open_breaker_is_a_degradation_that_is_named(
    service: Service, upstream: Upstream
) -> None:
    upstream.behave("first", FAULTS["401"])
    await ask(service)
    answer = await service.http.get("/health")
    health = answer.json()
    assert (answer.status_code, health["status"]) == (200, "degraded")
    assert health["providers"]["first"]["breaker"]["state"] == "open"
    assert any("first" in problem for problem in health["problems"])


async def test_a_log_that_fails_is_a_degradation_that_is_named(service: Service) -> None:
    await ask(service)
    break_the_log(service)
    await ask(service)
    health = (await service.http.get("/health")).json()
    assert health["status"] == "degraded"
    assert any("log" in problem for problem in health["problems"])


async def test_health_fails_only_where_nothing_can_answer(serve: Serve, settings: Make) -> None:
    keyless = {"upstream": {"base_url": "http://127.0.0.1:9/v1", "api_key_env": "NO_KEY"}}
    service = await serve(settings(hosts=keyless))
    answer = await service.http.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "down")
    assert "NO_KEY" in str(answer.json()["providers"]["first"]["unavailable"])


async def test_metrics_are_prometheus_text(service: Service) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    await ask(service)
    answer = await service.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert list(text_string_to_metric_families(answer.text))


BOIL = "How long do I boil an egg?"


async def test_a_correction_is_taken_listed_and_taken_back(service: Service) -> None:
    given = {"prompt": BOIL, "category": "technical"}
    taught = (await service.http.post("/router/teach", json=given)).json()
    assert (taught["prompt"], taught["category"], taught["by"]) == (BOIL, "technical", "local")
    assert (await service.http.get("/router/taught")).json() == [taught]
    assert service.router.route(BOIL)["category"] == "technical"
    gone = await service.http.delete(f"/router/taught/{taught['id']}")
    assert gone.status_code == 200
    assert (await service.http.get("/router/taught")).json() == []


async def test_a_request_is_corrected_by_its_id(service: Service) -> None:
    asked = await ask(service)
    given = {"request_id": asked["request_id"], "category": "creative"}
    taught = (await service.http.post("/router/teach", json=given)).json()
    assert (taught["prompt"], taught["request_id"]) == ("Hello", asked["request_id"])


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"prompt": BOIL, "category": "cooking"}, 400),
        ({"category": "technical"}, 400),
        ({"prompt": BOIL, "request_id": "x", "category": "technical"}, 400),
        ({"prompt": "", "category": "technical"}, 400),
        ({"prompt": BOIL}, 400),
        ({"request_id": "0123456789abcdef", "category": "technical"}, 404),
    ],
)
async def test_a_correction_with_a_mistake_is_refused(
    service: Service, given: dict[str, Any], status: int
) -> None:
    answer = await service.http.post("/router/teach", json=given)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]
    assert (await service.http.get("/router/taught")).json() == []


async def test_an_open_service_takes_no_corrections(serve: Serve, settings: Make) -> None:
    service = await serve(settings(), write=False)
    given = {"prompt": BOIL, "category": "technical"}
    assert (await service.http.post("/router/teach", json=given)).status_code == 403
    assert (await service.http.get("/router/taught")).status_code == 403


async def test_a_shared_service_notes_by_which_key_it_was_taught(
    serve: Serve, settings_for: Any, upstream: Upstream
) -> None:
    service = await serve(settings_for(upstream, environ={"ROUTER_API_KEYS": "secret-one"}))
    headers = {"authorization": "Bearer secret-one"}
    given = {"prompt": BOIL, "category": "technical"}
    taught = (await service.http.post("/router/teach", json=given, headers=headers)).json()
    assert taught["by"].startswith("key ")
    assert "secret" not in taught["by"]


async def test_a_nul_is_the_callers_mistake_in_every_database(
    serve: Serve, settings: Make, database_url: str | None
) -> None:
    kept = {"ROUTER_DATABASE_URL": database_url} if database_url else {}
    http = (await serve(settings(environ=kept))).http
    for path in ("/v1/files/%00", "/v1/batches?after=%00", "/router/interactions?category=%00"):
        assert (await http.get(path)).status_code == 400, path
    nul: dict[str, Any] = {"request_id": "a\0b"}
    assert (await http.post("/router/feedback", json={**nul, "liked": True})).status_code == 404
    assert (
        await http.post("/router/teach", json={**nul, "category": "general"})
    ).status_code == 404
    order = {"endpoint": "/v1/embeddings", "completion_window": "1h", "input_file_id": "a\0b"}
    assert (await http.post("/v1/batches", json=order)).status_code == 400
