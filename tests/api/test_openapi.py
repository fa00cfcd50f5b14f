"""The OpenAPI document, and what Schemathesis makes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.conftest import Make, Serve, Service

EXAMPLES = 12
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


async def test_the_document_names_every_route_and_what_it_takes(service: Service) -> None:
    made = (await service.http.get("/openapi.json")).json()
    assert set(made["paths"]) == {
        "/v1/chat/completions",
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/v1/responses",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/files",
        "/v1/files/{file_id}",
        "/v1/files/{file_id}/content",
        "/v1/batches",
        "/v1/batches/{batch_id}",
        "/v1/batches/{batch_id}/cancel",
        "/v1/models",
        "/v1/models/{model}",
        "/router/interactions",
        "/router/priorities",
        "/router/feedback",
        "/router/route",
        "/router/taught",
        "/router/taught/{lesson}",
        "/router/teach",
        "/health",
        "/ready",
        "/metrics",
    }
    chat = made["paths"]["/v1/chat/completions"]["post"]
    taken = chat["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"model", "messages", "stream", "max_tokens", "temperature", "stop"} <= set(taken)
    assert {"application/json", "text/event-stream"} == set(chat["responses"]["200"]["content"])
    assert {"400", "404", "413", "429", "503"} <= set(chat["responses"])
    assert "422" not in str(made["paths"])
    for reference in references(made):
        assert reference.removeprefix("#/components/schemas/") in made["components"]["schemas"]


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [r for item in value.values() for r in references(item)]
    return [r for item in value for r in references(item)] if isinstance(value, list) else []


# The service draws random numbers on its thread while a strategy draws its own on this one.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
async def test_no_request_breaks_the_service(
    mode: schemathesis.GenerationMode, service: Service
) -> None:
    """Requests that fit the document and such that do not, on every route."""

    def explore() -> None:
        schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
        for found in schema.get_all_operations():
            try_out(found.ok(), mode)

    await asyncio.to_thread(explore)


def try_out(
    operation: schemathesis.APIOperation[Any, Any, Any, Any], mode: schemathesis.GenerationMode
) -> None:
    if mode.is_negative and not (operation.body or operation.query):
        return  # every path is a string, so none of them is wrong

    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def one(case: schemathesis.Case) -> None:
        case.validate_response(case.call(timeout=20), checks=CHECKS)

    one()


async def test_it_is_read_with_a_key_where_keys_are_set(serve: Serve, settings: Make) -> None:
    given = settings()
    locked = given.environment.model_copy(update={"api_keys": (SecretStr("key-0123456789"),)})
    service = await serve(given.model_copy(update={"environment": locked}))
    assert (await service.http.get("/openapi.json")).status_code == 401
    key = {"authorization": "Bearer key-0123456789"}
    assert "/v1/models" in (await service.http.get("/openapi.json", headers=key)).json()["paths"]
