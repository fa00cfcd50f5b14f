"""`POST /v1/embeddings`: embeddings from the model that retrieval uses."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from api.connection import Presence
from api.errors import RefusedError, invalid
from api.listing import resolve
from api.openapi import Documented, body_of, errors
from api.parsing import MAX_CHAT_BYTES, read_json
from api.translation import read
from api.wire import Whole, Wire
from config.errors import StorageError
from config.models import Settings
from graph.asked import Target
from graph.router import Router
from vectorstore.embeddings import DIMENSIONS, MEND, MODEL, Embedder

MOST_TEXTS = 2048
AT_ONCE = 8
"""Texts embedded between two checks that the client is still connected: 0.2 s at most."""

TOKENS = (
    "`input`: token ids are not accepted, as each model has its own; send texts"
    " (LangChain: check_embedding_ctx_length=False)"
)


class EmbeddingsRequest(Wire):
    """OpenAI's request for embeddings."""

    model: str = Field(default=MODEL, max_length=256, description=f"`{MODEL}` or `auto`.")
    input: str | list[Any] = Field(
        description="One or several texts, each of at most 512 tokens; the rest is truncated.",
    )
    dimensions: Whole | None = Field(
        default=None,
        ge=1,
        le=DIMENSIONS,
        description="The first so many dimensions, normalised; the model was trained for all.",
    )
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = Field(default=None, description="Ignored.")


class Embedding(Documented):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Documented):
    prompt_tokens: int
    total_tokens: int


class Embeddings(Documented):
    object: Literal["list"]
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage


def embeddings_routes(router: Router) -> APIRouter:
    routes = APIRouter()
    turn = asyncio.Semaphore(1)  # one request at a time: races have priority on the cores

    @routes.post(
        "/v1/embeddings",
        operation_id="createEmbeddings",
        response_model=Embeddings,
        responses=errors(400, 404, 408, 413, 429, 503),
        openapi_extra=body_of(EmbeddingsRequest),
    )
    async def create_embeddings(request: Request) -> Embeddings | Response:
        """Embed texts; calls no provider."""
        asked = read(EmbeddingsRequest, await read_json(request, MAX_CHAT_BYTES))
        _check_model(router.settings, asked.model)
        texts = _texts(asked.input)
        embedder = router.services.embedder
        if embedder is None:
            raise StorageError(f"the files of the model {MODEL} are not installed: run `{MEND}`")
        async with turn, Presence(request.receive):
            return await _embedded(embedder, texts, asked)
        return Response(status_code=499)  # the client left

    return routes


async def _embedded(embedder: Embedder, texts: list[str], asked: EmbeddingsRequest) -> Embeddings:
    rows: list[np.ndarray] = []
    tokens = 0
    for begin in range(0, len(texts), AT_ONCE):
        some = texts[begin : begin + AT_ONCE]
        tokens += await asyncio.to_thread(embedder.count, some)
        rows.extend(await asyncio.to_thread(embedder.embed, some))
    data = [
        Embedding(object="embedding", index=place, embedding=_written(row, asked))
        for place, row in enumerate(rows)
    ]
    used = EmbeddingUsage(prompt_tokens=tokens, total_tokens=tokens)
    return Embeddings(object="list", model=MODEL, data=data, usage=used)


def _written(row: np.ndarray, asked: EmbeddingsRequest) -> list[float] | str:
    if asked.dimensions is not None:
        row = row[: asked.dimensions]
        row = row / max(float(np.linalg.norm(row)), 1e-12)
    if asked.encoding_format == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    return [float(value) for value in row]


def _texts(given: str | list[Any]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not 1 <= len(texts) <= MOST_TEXTS:
        raise invalid(f"`input` takes 1 to {MOST_TEXTS} texts", "input", "invalid_value")
    for place, text in enumerate(texts):
        if isinstance(text, int | list):
            raise invalid(TOKENS, "input", "unsupported_value")
        if not isinstance(text, str) or not text:
            where = "input" if isinstance(given, str) else f"input[{place}]"
            raise invalid(f"`{where}` must be a text, and not empty", where, "invalid_value")
    return texts


def _check_model(settings: Settings, model: str) -> None:
    """RefusedError (400, 404) unless it is the model, `auto` or an alias of them."""
    if model != MODEL and resolve(settings, model) != Target():
        raise _no_embeddings(model)


def _no_embeddings(model: str) -> RefusedError:
    message = f"`model`: {model[:80]!r} does not provide embeddings here; {MODEL!r} does"
    return invalid(message, "model", "unsupported_value")
