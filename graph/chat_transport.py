"""How `ChatRouter` reaches the router: in this process, or over HTTP."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from typing import Any, Protocol, TypedDict

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from config.errors import NoAnswerError
from graph.asked import target_of
from graph.langchain_messages import (
    ABOUT,
    Chunks,
    about,
    logprobs_of,
    message_of,
    usage_from,
    usage_of,
)
from graph.router import Router
from race.events import CallPiece, Event
from race.state import Answer, Options, Wishes
from race.wishes import AUTO, wishes_of

Payload = Mapping[str, Any]
"""A chat completion request in OpenAI's form."""

_OWN = {"max_tokens", "max_completion_tokens", "temperature", "top_p", "stop"}
_NOT_EXTRA = _OWN | {"model", "messages", "stream", "stream_options", "models", "provider"}


class Transport(Protocol):
    """One question at a time, in one piece or streamed, with and without an event loop."""

    def whole(self, payload: Payload) -> AIMessage: ...

    async def awhole(self, payload: Payload) -> AIMessage: ...

    def pieces(self, payload: Payload) -> Iterator[AIMessageChunk]: ...

    def apieces(self, payload: Payload) -> AsyncIterator[AIMessageChunk]: ...

    def close(self) -> None:
        """Release the transport's own resources; a router is closed by its owner."""
        ...

    async def aclose(self) -> None: ...


class _Arguments(TypedDict):
    """The arguments of `Router.answer` and `Router.stream`."""

    messages: Sequence[Mapping[str, object]]
    category: str | None
    provider: str | None
    options: Options
    wishes: Wishes


class InProcess:
    """A router of this process. Without an event loop it uses the router's own."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def whole(self, payload: Payload) -> AIMessage:
        return self._router.run(lambda: self.awhole(payload))

    async def awhole(self, payload: Payload) -> AIMessage:
        answer = await self._router.answer(**self._arguments(payload))
        message = {
            "content": answer.text,
            "tool_calls": answer.tool_calls,
            "reasoning_content": answer.reasoning,
        }
        return message_of(message, _metadata(answer), _usage(answer))

    def pieces(self, payload: Payload) -> Iterator[AIMessageChunk]:
        """Read on the router's loop, passed on by a queue; closing it ends the upstream calls."""
        ready: queue.SimpleQueue[AIMessageChunk | BaseException | None] = queue.SimpleQueue()

        async def read() -> None:
            async with aclosing(self._read(payload)) as chunks:
                async for chunk in chunks:
                    ready.put(chunk)

        reading = self._router.start_task(read)
        reading.add_done_callback(lambda done: ready.put(_failure(done)))
        try:
            while (piece := ready.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            reading.cancel()

    async def apieces(self, payload: Payload) -> AsyncIterator[AIMessageChunk]:
        async with aclosing(self._read(payload)) as chunks:
            async for chunk in chunks:
                yield chunk

    def close(self) -> None:
        """Nothing: the router is closed by its owner."""

    async def aclose(self) -> None:
        """Nothing: the router is closed by its owner."""

    async def _read(self, payload: Payload) -> AsyncGenerator[AIMessageChunk]:
        events = self._router.stream(**self._arguments(payload), rewindable=False)
        made: Chunks | None = None
        async with aclosing(events):
            async for event in events:
                made = made or Chunks(f"lc_{event['request_id']}")
                if (chunk := _chunk(event, made)) is not None:
                    yield chunk

    def _arguments(self, payload: Payload) -> _Arguments:
        wishes = wishes_of(payload.get("provider"), payload.get("models"))
        target = target_of(self._router.settings, payload.get("model") or AUTO, wishes)
        options = Options()
        for name in ("max_tokens", "temperature", "top_p"):
            if payload.get(name) is not None:
                options[name] = payload[name]
        if limit := payload.get("max_completion_tokens"):
            options["max_tokens"] = limit
        if stop := payload.get("stop"):
            options["stop"] = [stop] if isinstance(stop, str) else list(stop)
        extra = {n: v for n, v in payload.items() if n not in _NOT_EXTRA and v is not None}
        if extra:
            options["extra"] = extra
        return {
            "messages": payload["messages"],
            "category": target.category,
            "provider": target.provider,
            "options": options,
            "wishes": target.wishes(wishes),
        }


def _chunk(event: Event, made: Chunks) -> AIMessageChunk | None:
    if event["type"] == "token":
        return made.text(event["text"])
    if event["type"] == "tool_calls":
        return made.calls(event["calls"])
    if event["type"] == "reasoning":
        return made.reasoning(event["text"])
    if event["type"] == "answered":
        answer = Answer.from_dict(event["answer"])
        if not answer.success:
            raise NoAnswerError(answer.error or "nobody answered", answer)
        return made.last(_metadata(answer), _usage(answer))
    return None


def _failure(done: Future[None]) -> BaseException | None:
    return asyncio.CancelledError() if done.cancelled() else done.exception()


def _metadata(answer: Answer) -> dict[str, object]:
    reason = "tool_calls" if answer.tool_calls else answer.finish_reason or "stop"
    facts = {**about(answer), **logprobs_of(answer.logprobs)}
    return {"model_name": answer.provider, "finish_reason": reason, **facts}


def _usage(answer: Answer) -> UsageMetadata | None:
    return usage_of(
        answer.tokens_in, answer.tokens_out, answer.tokens_cached, answer.tokens_reasoning
    )


class OverHttp:
    """A running service, through OpenAI's own client."""

    def __init__(
        self, base_url: str, api_key: str | None, *, timeout_s: float | None, max_retries: int
    ) -> None:
        import openai

        url = base_url.rstrip("/")
        url, key = url if url.endswith("/v1") else f"{url}/v1", api_key or "none"
        self._sync = openai.OpenAI(
            base_url=url, api_key=key, timeout=timeout_s, max_retries=max_retries
        )
        self._async = openai.AsyncOpenAI(
            base_url=url, api_key=key, timeout=timeout_s, max_retries=max_retries
        )

    def whole(self, payload: Payload) -> AIMessage:
        return _read_whole(self._sync.chat.completions.create(**_sent(payload)).model_dump())

    async def awhole(self, payload: Payload) -> AIMessage:
        done = await self._async.chat.completions.create(**_sent(payload))
        return _read_whole(done.model_dump())

    def pieces(self, payload: Payload) -> Iterator[AIMessageChunk]:
        reader = _ChunkReader()
        with self._sync.chat.completions.create(**_sent(payload), stream=True) as stream:
            for chunk in stream:
                yield from reader.read(chunk.model_dump())
        yield reader.last()

    async def apieces(self, payload: Payload) -> AsyncIterator[AIMessageChunk]:
        reader = _ChunkReader()
        async with await self._async.chat.completions.create(
            **_sent(payload), stream=True
        ) as stream:
            async for chunk in stream:
                for piece in reader.read(chunk.model_dump()):
                    yield piece
        yield reader.last()

    def close(self) -> None:
        self._sync.close()

    async def aclose(self) -> None:
        self._sync.close()
        await self._async.close()


_KNOWN_TO_CLIENT = _OWN | {
    "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "seed",
    "presence_penalty", "frequency_penalty", "logit_bias", "reasoning_effort", "verbosity",
    "logprobs", "top_logprobs",
}  # fmt: skip


def _sent(payload: Payload) -> dict[str, Any]:
    """The client's arguments; fields unknown to it are added to the body."""
    given = {name: value for name, value in payload.items() if value is not None}
    known = {name: value for name, value in given.items() if name in _KNOWN_TO_CLIENT}
    return {**known, "extra_body": {n: v for n, v in given.items() if n not in known}}


def _read_whole(done: Payload) -> AIMessage:
    choice, router = done["choices"][0], done.get("router") or {}
    metadata = _http_metadata(done.get("model"), choice.get("finish_reason"), router)
    metadata |= logprobs_of(_chances(choice))
    return message_of(choice["message"], metadata, usage_from(done.get("usage") or {}))


def _http_metadata(
    model: object, reason: object, router: Mapping[str, object]
) -> dict[str, object]:
    said = {name: router.get(name) for name in ABOUT} if router else {}
    return {"model_name": model, "finish_reason": reason, **said}


def _chances(choice: Payload) -> list[dict[str, object]]:
    """The log probabilities of a choice's tokens."""
    return (choice.get("logprobs") or {}).get("content") or []


class _ChunkReader:
    """OpenAI's chunks as LangChain's; what comes only once is kept for the last."""

    def __init__(self) -> None:
        self._chunks = Chunks("")
        self._begun = False
        self._metadata: dict[str, object] = {}
        self._chances: list[dict[str, object]] = []
        self._usage: Payload = {}

    def read(self, chunk: Payload) -> Iterator[AIMessageChunk]:
        if not self._begun:
            self._begun, self._chunks = True, Chunks(f"lc_{chunk.get('id')}")
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            self._chances += _chances(choice)
            if thoughts := delta.get("reasoning_content"):
                yield self._chunks.reasoning(thoughts)
            if delta.get("content"):
                yield self._chunks.text(delta["content"])
            if delta.get("tool_calls"):
                yield self._chunks.calls([_piece(call) for call in delta["tool_calls"]])
            if reason := choice.get("finish_reason"):
                router = chunk.get("router") or {}
                self._metadata = _http_metadata(chunk.get("model"), reason, router)

    def last(self) -> AIMessageChunk:
        metadata = {**self._metadata, **logprobs_of(self._chances)}
        return self._chunks.last(metadata, usage_from(self._usage))


def _piece(call: Payload) -> CallPiece:
    function = call.get("function") or {}
    return {
        "index": call.get("index") or 0,
        "id": call.get("id") or "",
        "name": function.get("name") or "",
        "arguments": function.get("arguments") or "",
    }
