"""`POST /v1/completions`: OpenAI's legacy completions. The prompt becomes a user's message."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Request
from pydantic import BeforeValidator, ConfigDict, Field
from starlette.responses import Response

from api.chat import DONE, KEEP_ALIVE
from api.errors import Problem, invalid
from api.listing import resolve
from api.openapi import STREAMED, Documented, RouterObject, Usage, body_of, errors
from api.outcome import finish_reason, router_object, usage
from api.parsing import MAX_CHAT_BYTES, Asked, read_json
from api.replies import reply
from api.translation import Translation, read
from api.wire import MAX_TOKENS, StreamOptions, Whole, Wire, whole
from graph.router import Router
from providers.base import Logprob
from race.events import CallPiece
from race.state import Answer

One = Annotated[Literal[1], BeforeValidator(whole)]


class CompletionRequest(Wire):
    """OpenAI's legacy request, as far as it is supported here."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(default="auto", max_length=256, description="As in a chat completion.")
    prompt: str | list[str] = Field(description="A text, or a list of one.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Whole | None = Field(default=None, ge=1, le=MAX_TOKENS)
    n: One | None = None
    best_of: One | None = None
    logprobs: Literal[0] | None = None


class TextChoice(Documented):
    index: int
    text: str
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: None


class TextCompletion(Documented):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage
    router: RouterObject


def completions_routes(router: Router, *, keep_alive_s: float) -> APIRouter:
    routes = APIRouter()

    @routes.post(
        "/v1/completions",
        operation_id="createCompletion",
        response_model=TextCompletion,
        responses=STREAMED | errors(400, 404, 408, 413, 429, 503),
        openapi_extra=body_of(CompletionRequest),
    )
    async def create_completion(request: Request) -> Response:
        """Answer a prompt in the legacy format, in one piece or as server-sent events."""
        body = await read_json(request, MAX_CHAT_BYTES)
        asked = translated(body).asked(router.settings.passes())
        target, request_id = resolve(router.settings, asked.model), request.state.request_id
        chunks = TextChunks(request_id, asked)
        return reply(router, asked, target, chunks, request, keep_alive_s)

    return routes


def translated(body: dict[str, object]) -> Translation:
    """The same request as a chat completion's; raises RefusedError (400) that names what is
    wrong."""
    request = read(CompletionRequest, body)
    prompt = request.prompt
    if isinstance(prompt, list):
        if len(prompt) != 1:
            raise invalid("`prompt`: send one prompt per request", "prompt", "invalid_value")
        prompt = prompt[0]
    own = {"prompt", "n", "best_of", "logprobs"}
    chat = {name: value for name, value in body.items() if name not in own}
    found = Translation(chat, {"messages": "prompt"})
    found.say({"role": "user", "content": prompt}, "prompt")
    return found


class TextChunks:
    """The events of one streamed completion: text only."""

    keep_alive = KEEP_ALIVE

    def __init__(self, request_id: str, asked: Asked) -> None:
        self._asked = asked
        self._envelope = {
            "id": f"cmpl-{request_id}",
            "object": "text_completion",
            "created": int(time.time()),
        }

    def whole(self, answer: Answer) -> bytes:
        body = self._body(str(answer.provider), _choice(answer.text, finish_reason(answer)))
        return orjson.dumps(body | self._known(answer))

    def start(self, speaker: str) -> bytes:
        return b""

    def text(self, text: str, speaker: str, chances: Sequence[Logprob] = ()) -> bytes:
        return _event(self._body(speaker, _choice(text, None)))

    def reasoning(self, text: str, speaker: str) -> bytes:
        """The legacy format has no place for reasoning or tool calls."""
        return b""

    def calls(self, pieces: Sequence[CallPiece], speaker: str) -> bytes:
        return b""

    def end(self, answer: Answer) -> bytes:
        """Everything from the finish chunk to `[DONE]`; usage is in one chunk only."""
        speaker, known = str(answer.provider), self._known(answer)
        last = self._body(speaker, _choice("", finish_reason(answer)))
        if not self._asked.include_usage:
            return _event(last | known) + DONE
        counted = {**self._body(speaker), **known}
        return _event({**last, "router": known["router"]}) + _event(counted) + DONE

    def failed(self, problem: Problem) -> bytes:
        """The end of a stream that was not completed: no finish_reason and no `[DONE]` follow."""
        return _event(problem.body())

    def _body(self, speaker: str, *choices: dict[str, object]) -> dict[str, object]:
        return {**self._envelope, "model": speaker, "choices": choices}

    def _known(self, answer: Answer) -> dict[str, object]:
        return {
            "usage": usage(answer, self._asked.prompt),
            "router": router_object(answer, self._asked.ignored),
        }


def _choice(text: str, reason: str | None) -> dict[str, object]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}


def _event(data: dict[str, object]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"
