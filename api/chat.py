"""`POST /v1/chat/completions`: the route."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.completion import Chunks
from api.listing import resolve
from api.openapi import STREAMED, Completion, body_of, errors
from api.parsing import MAX_CHAT_BYTES, parse, read_json
from api.replies import reply
from api.wire import ChatRequest
from graph.router import Router


def chat_routes(router: Router, *, keep_alive_s: float) -> APIRouter:
    """`keep_alive_s`: how long a stream may be silent with `deliver: complete`."""
    routes = APIRouter()

    @routes.post(
        "/v1/chat/completions",
        operation_id="createChatCompletion",
        response_model=Completion,
        responses=STREAMED | errors(400, 404, 408, 413, 429, 503),
        openapi_extra=body_of(ChatRequest),
    )
    async def create_chat_completion(request: Request) -> Response:
        """Answer a conversation, in one piece or as server-sent events."""
        settings = router.settings
        asked = parse(await read_json(request, MAX_CHAT_BYTES), settings.passes())
        target = resolve(settings, asked.model, asked.wishes)
        request_id = request.state.request_id
        chunks = Chunks(request_id, asked)
        return reply(router, asked, target, chunks, request, keep_alive_s)

    @routes.post(
        "/router/route",
        operation_id="routeChatCompletion",
        responses=errors(400, 404, 408, 413, 429),
        openapi_extra=body_of(ChatRequest),
    )
    async def route_chat_completion(request: Request) -> dict[str, object]:
        """The dry run: where this conversation would go, and why. Calls no model."""
        asked = parse(await read_json(request, MAX_CHAT_BYTES), router.settings.passes())
        target = resolve(router.settings, asked.model, asked.wishes)
        route = await asyncio.to_thread(
            router.route,
            category=target.category,
            provider=target.provider,
            messages=asked.messages,
            options=asked.options,
            wishes=target.wishes(asked.wishes),
        )
        return dict(route)

    return routes
