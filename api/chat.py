"""`POST /v1/chat/completions`: the route, and an answer as OpenAI's completion or its chunks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.errors import Problem
from api.listing import resolve
from api.openapi import STREAMED, Completion, body_of, errors
from api.outcome import finish_reason, router_object, usage
from api.parsing import MAX_CHAT_BYTES, Asked, parse, read_json
from api.replies import reply
from api.wire import ChatRequest
from graph.router import Router
from providers.base import Logprob
from race.events import CallPiece
from race.state import Answer

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": the answer is under way\n\n"


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


def message_of(answer: Answer, *, older_functions: bool = False) -> dict[str, object]:
    """The assistant's message, which may be sent back unchanged.

    `older_functions`: the first call becomes a `function_call`; that form has no room for others.
    """
    message: dict[str, object] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool_calls and older_functions:
        called = answer.tool_calls[0]["function"]
        message |= {"content": answer.text or None, "function_call": called}
    elif answer.tool_calls:
        message |= {"content": answer.text or None, "tool_calls": answer.tool_calls}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    return message


def logprobs(content: Sequence[Logprob]) -> dict[str, object] | None:
    """A choice's `logprobs`; null if there are none."""
    return {"content": content, "refusal": None} if content else None


def completion(answer: Answer, asked: Asked) -> bytes:
    """The body of an answer that is not streamed."""
    choice = {
        "index": 0,
        "message": message_of(answer, older_functions=asked.older_functions),
        "logprobs": logprobs(answer.logprobs),
        "finish_reason": _reason(answer, asked),
    }
    return orjson.dumps(
        {
            "id": f"chatcmpl-{answer.request_id}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": answer.provider,
            "choices": [choice],
            "usage": usage(answer, asked.prompt),
            "router": router_object(answer, asked.ignored),
        }
    )


def _reason(answer: Answer, asked: Asked) -> str:
    reason = finish_reason(answer)
    return "function_call" if reason == "tool_calls" and asked.older_functions else reason


class Chunks:
    """The events of one streamed completion. Their common part is serialised once."""

    keep_alive = KEEP_ALIVE

    def __init__(self, request_id: str, asked: Asked) -> None:
        self._asked = asked
        self._called: set[int] = set()
        self._id = f"chatcmpl-{request_id}"
        self._created = int(time.time())
        self._speaker: str | None = None
        self._head = b""
        self._tail = b'},"logprobs":null,"finish_reason":null}]}\n\n'
        if asked.include_usage:
            self._tail = self._tail.replace(b"]}\n\n", b'],"usage":null}\n\n')

    def whole(self, answer: Answer) -> bytes:
        return completion(answer, self._asked)

    def start(self, speaker: str) -> bytes:
        """The first chunk."""
        self._spoken_by(speaker)
        return self._head + b'"role":"assistant","content":""' + self._tail

    def text(self, text: str, speaker: str, chances: Sequence[Logprob] = ()) -> bytes:
        """A piece of the answer; `model` names its provider. `chances`: log probabilities of its
        tokens."""
        if speaker != self._speaker:
            self._spoken_by(speaker)
        tail = self._tail
        if chances:
            known = orjson.dumps(logprobs(chances))
            tail = tail.replace(b'"logprobs":null', b'"logprobs":' + known, 1)
        return self._head + b'"content":' + orjson.dumps(text) + tail

    def reasoning(self, text: str, speaker: str) -> bytes:
        """A piece of the model's reasoning."""
        if speaker != self._speaker:
            self._spoken_by(speaker)
        return self._head + b'"reasoning_content":' + orjson.dumps(text) + self._tail

    def calls(self, pieces: Sequence[CallPiece], speaker: str) -> bytes:
        """Fragments of tool calls."""
        if speaker != self._speaker:
            self._spoken_by(speaker)
        if self._asked.older_functions:
            return self._older_call(pieces)
        return self._head + b'"tool_calls":' + orjson.dumps(self._pieces(pieces)) + self._tail

    def _older_call(self, pieces: Sequence[CallPiece]) -> bytes:
        """Fragments of the first call, as OpenAI streamed a `function_call`."""
        parts = []
        for piece in pieces:
            if not self._called:
                self._called.add(piece["index"])
                function = {"name": piece["name"], "arguments": piece["arguments"]}
            elif piece["index"] in self._called:
                function = {"arguments": piece["arguments"]}
            else:
                continue
            parts.append(self._head + b'"function_call":' + orjson.dumps(function) + self._tail)
        return b"".join(parts)

    def _pieces(self, pieces: Sequence[CallPiece]) -> list[dict[str, object]]:
        """As OpenAI streams them: id, type and name once, with the call's first fragment."""
        found = []
        for piece in pieces:
            function = {"arguments": piece["arguments"]}
            delta: dict[str, object] = {"index": piece["index"], "function": function}
            if piece["index"] not in self._called:
                self._called.add(piece["index"])
                function["name"] = piece["name"]
                delta |= {"id": piece["id"], "type": "function"}
            found.append(delta)
        return found

    def end(self, answer: Answer) -> bytes:
        """Everything from the finish chunk to `[DONE]`.

        Usage is in one chunk only, since clients add it up: in the finish chunk or, if the caller
        requested it, in OpenAI's chunk without choices.
        """
        router = router_object(answer, self._asked.ignored)
        tokens, apart = usage(answer, self._asked.prompt), self._asked.include_usage
        choice = {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": _reason(answer, self._asked),
        }
        finish = self._envelope(answer, [choice], None if apart else tokens, router)
        if not apart:
            return finish + DONE
        return finish + self._envelope(answer, [], tokens, router) + DONE

    def failed(self, problem: Problem) -> bytes:
        """The end of a stream that was not completed: no finish_reason and no `[DONE]` follow."""
        return b"data: " + orjson.dumps(problem.body()) + b"\n\n"

    def _spoken_by(self, speaker: str) -> None:
        self._speaker = speaker
        shared = orjson.dumps(
            {
                "id": self._id,
                "object": "chat.completion.chunk",
                "created": self._created,
                "model": speaker,
            }
        )
        self._head = b"data: " + shared[:-1] + b',"choices":[{"index":0,"delta":{'

    def _envelope(
        self,
        answer: Answer,
        choices: list[dict[str, object]],
        tokens: dict[str, object] | None,
        router: dict[str, object],
    ) -> bytes:
        chunk = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": answer.provider,
            "choices": choices,
            "usage": tokens,
            "router": router,
        }
        return b"data: " + orjson.dumps(chunk) + b"\n\n"
