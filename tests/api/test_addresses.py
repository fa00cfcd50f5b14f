"""Addresses as clients write them, and what every reply carries."""

from __future__ import annotations

import openai
import pytest

from tests.api.conftest import Serve, Service
from tests.conftest import SettingsFor
from tests.upstream import Upstream

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}


async def test_addresses_are_taken_as_they_are_meant(service: Service) -> None:
    http = service.http
    assert (await http.post("/v1/chat/completions/", json=BODY)).status_code == 200
    assert (await http.get("/v1/models/")).json() == (await http.get("/v1/models")).json()
    head = await http.head("/v1/models")
    assert (head.status_code, head.content) == (200, b"")
    assert (await http.get("/v1/chat/completions")).status_code == 405
    for path in ("/v1", "/models", "/api/tags"):
        lost = await http.get(path)
        assert lost.status_code == 404
        assert "/v1" in lost.json()["error"]["message"]
    base = service.url.removesuffix("/v1")
    client = await service.client()
    with pytest.raises(openai.NotFoundError, match="/v1"):
        await client.with_options(base_url=base).chat.completions.create(**BODY)  # type: ignore[call-overload]


async def test_a_slash_too_many_changes_nothing(service: Service) -> None:
    http = service.http
    for path in ("/v1//chat/completions", "//v1/chat/completions", "/v1/chat/completions//"):
        assert (await http.post(f"{service.url}{path}", json=BODY)).status_code == 200
    assert (await http.get(f"{service.url}//health/")).status_code == 200


async def test_what_is_no_route_is_said_in_openais_shape(service: Service) -> None:
    """Without the page, which answers for all else."""
    http = service.http
    for path in ("/nope", "/", "/V1/models", "/openai/v1/chat/completions", "/v1/models/a/b"):
        lost = await http.post(path, json=BODY) if "chat" in path else await http.get(path)
        assert lost.status_code == 404
        assert lost.json()["error"]["code"] in ("not_found", "model_not_found")
    wrong = await http.post("/health")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert "POST" in wrong.json()["error"]["message"]
    for path in ("/health", "/ready", "/metrics", "/openapi.json", "/v1/models/auto"):
        head = await http.head(path)
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/nothing", "/health", "/openapi.json", "/v1"])
async def test_every_reply_names_its_request(path: str, service: Service) -> None:
    first, second = [(await service.http.get(path)).headers["x-request-id"] for _ in "12"]
    assert first != second


async def test_a_refused_name_has_a_request_id_too(service: Service) -> None:
    reply = await service.http.get("/v1/models", headers={"host": "elsewhere.example"})
    assert (reply.status_code, len(reply.headers["x-request-id"])) == (421, 32)


async def test_where_a_limit_applies_each_reply_says_how_it_stands(
    serve: Serve, settings_for: SettingsFor, upstream: Upstream
) -> None:
    service = await serve(settings_for(upstream, environ={"SPACE_ID": "a/space"}))
    body = {"messages": [{"role": "user", "content": " "}]}
    reply = await service.http.post("/v1/messages", json=body)
    standing = [
        reply.headers[f"x-ratelimit-{of}-requests"] for of in ("limit", "remaining", "reset")
    ]
    assert (reply.status_code, standing) == (400, ["10", "9", "3s"])
    assert "x-ratelimit-limit-requests" not in (await service.http.get("/health")).headers
