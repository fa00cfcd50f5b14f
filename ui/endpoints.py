"""The page's functions for programs: named, typed endpoints for `gradio_client`.

client = gradio_client.Client("http://127.0.0.1:7860")
client.predict("Why is the sky blue?", api_name="/ask")["text"]
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import wraps
from typing import ParamSpec, TypeVar

import gradio as gr
from gradio.events import api

from config.errors import RouterError
from ui.boards.models import look_up
from ui.chat_service import ChatService

P = ParamSpec("P")
T = TypeVar("T")

Record = dict[str, object]

MOST_ROWS = 1_000
"""Requests that one call of `/interactions` returns at most."""


def add_endpoints(service: ChatService, *, write: bool) -> None:
    """Register the endpoints on the page that is being built; those that change need `write`."""
    for endpoint in _reading(service):
        api(refusing(endpoint), api_name=endpoint.__name__, concurrency_limit=None)
    if write:
        for endpoint in _changing(service):
            api(refusing(endpoint), api_name=endpoint.__name__, concurrency_limit=None)


def refusing(endpoint: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """An expected error reaches the client as its sentence."""

    @wraps(endpoint)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await endpoint(*args, **kwargs)
        except RouterError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return call


def _reading(service: ChatService) -> list[Callable[..., Awaitable[object]]]:
    router = service.router

    async def ask(prompt: str, category: str | None = None, provider: str | None = None) -> Record:
        """The whole answer: text, category, provider, role, attempts, cost_usd, request_id."""
        return _record((await router.answer(prompt, None, category, provider)).as_dict())

    async def route(prompt: str) -> Record:
        """The dry run: category, probabilities, evidence, order. Calls no model."""
        return _record(await asyncio.to_thread(router.route, prompt))

    async def priorities() -> Record:
        """By category, the declared and the learned order with the figures behind it."""
        return _record(await router.priorities())

    async def interactions(limit: int = 20, category: str | None = None) -> list[Record]:
        """The newest requests with their attempts, newest first."""
        rows = await router.interactions(min(max(limit, 1), MOST_ROWS), category)
        return [_record(row) for row in rows]

    async def providers() -> Record:
        """Each provider with its breaker's state and why it is not available, if it is not."""
        return _record(router.health()["providers"])

    async def retrieve(question: str, k: int = 5) -> list[Record]:
        """The best passages of the knowledge base: text, source, title, score, similarity."""
        found = await router.retrieve(question, min(max(k, 1), 20))
        return [asdict(passage) for passage in found]

    async def documents() -> list[Record]:
        """What is in the knowledge base."""
        return [asdict(d) for d in await router.services.knowledge.documents()]

    async def feedback(request_id: str, liked: bool | None) -> None:
        """What the reader thinks of an answer; None takes it back."""
        await router.feedback(request_id, liked)

    return [ask, route, priorities, interactions, providers, retrieve, documents, feedback]


def _changing(service: ChatService) -> list[Callable[..., Awaitable[object]]]:
    async def search(category: str) -> Record:
        """Candidates for a category with the evidence for each; asks the model sources."""
        return _record(await look_up(service, category, write=True))

    async def undo() -> str:
        """Take back the last change that the application made to its configuration."""
        return await service.router.discovery.undo()

    return [search, undo]


def _record(value: object) -> Record:
    """The same as JSON has it: a database's keys and tuples are no strings and lists."""
    record: Record = json.loads(json.dumps(value))
    return record
