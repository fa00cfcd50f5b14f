"""The bytes of one streamed answer, as deltas: OpenAI's chat-completion dialect without its I/O.

ChatOpenAI validates every chunk through three layers of pydantic, which costs more than the rest
of a request together; this reads the few fields that an answer consists of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from providers.base import Delta, ProviderError, Usage
from providers.failures import Place, from_event
from providers.sse import EventReader, EventTooLargeError

MAX_ANSWER_CHARACTERS = 4 * 2**20
"""A longer answer, reasoning included, is taken for a runaway: `bad_reply`."""
MAX_WIRE_BYTES = 16 * MAX_ANSWER_CHARACTERS
"""The same bound for the stream around it; an event is seldom more than 300 bytes a token."""


class AnswerReader:
    """One answer being read. `over` after the end mark, `finished` after a finish_reason."""

    def __init__(self, place: Place) -> None:
        self.over = False
        self.finished = False
        self._place = place
        self._events = EventReader()
        self._finish_reason: str | None = None
        self._has_text = False
        self._characters = 0
        self._bytes = 0

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        """The deltas that this chunk completes; raises ProviderError.

        Text that came together is one delta: when the process is behind, it has less to do.
        """
        self._bytes += len(chunk)
        if self._bytes > MAX_WIRE_BYTES:
            raise self._too_large()
        text = ""
        try:
            for delta in self._read(chunk):
                if not (delta.reasoning or delta.finish_reason or delta.usage):
                    text += delta.text
                    continue
                if text:
                    yield Delta(text)
                    text = ""
                yield delta
        except ProviderError:
            if text:
                yield Delta(text)
            raise
        if text:
            yield Delta(text)

    def end(self) -> Iterator[Delta]:
        """Say that the body ended; raises ProviderError unless the answer is whole."""
        if not (self.over or self.finished):
            for name, data in self._events.close():
                if _parsed(data) is not None or data.strip() == b"[DONE]":
                    yield from self._event(name, data)
        if not (self.over or self.finished):
            raise self._place.error("connection", "cut its answer short: the stream has no end")
        self.check_content()

    def check_content(self) -> None:
        """Raise ProviderError if the finished answer says nothing."""
        if self._has_text:
            return
        if self._finish_reason == "length":
            what = "used up max_tokens before the answer began; raise max_tokens"
        else:
            what = "sent a complete but empty answer"
        raise self._place.error("bad_reply", what)

    def whole(self, body: bytes) -> Iterator[Delta]:
        """A JSON body that answers a streaming request all at once."""
        event = _parsed(body)
        if not isinstance(event, dict):
            raise self._place.error("bad_reply", "sent something that is no JSON object")
        yield from self._object(event)
        self.over = True
        self.check_content()

    def _read(self, chunk: bytes) -> Iterator[Delta]:
        try:
            for name, data in self._events.feed(chunk):
                yield from self._event(name, data)
        except EventTooLargeError:
            raise self._too_large() from None

    def _event(self, name: bytes, data: bytes) -> Iterator[Delta]:
        if self.over:
            return
        if data.startswith(b"[DONE]"):
            self.over = True
            return
        event = _parsed(data)
        if name == b"error":
            error = (
                event.get("error", event)
                if isinstance(event, dict)
                else data.decode("utf-8", "replace")
            )
            raise from_event(self._place, error)
        if not isinstance(event, dict):
            raise self._malformed()
        yield from self._object(event)

    def _object(self, event: dict[str, Any]) -> Iterator[Delta]:
        if event.get("error"):
            raise from_event(self._place, event["error"])
        usage = _usage(event.get("usage"))
        choices = event.get("choices")
        if not choices:
            if usage is not None:
                yield Delta(usage=usage)
            elif choices is None and "object" not in event and "id" not in event:
                raise self._place.error("bad_reply", "sent an event that is no part of an answer")
            return
        choice = choices[0] if isinstance(choices, list) else None
        if not isinstance(choice, dict):
            raise self._malformed()
        if choice.get("index"):
            return  # a second answer that nobody asked for
        message = choice.get("delta") or choice.get("message") or {}
        if not isinstance(message, dict):
            raise self._malformed()
        text = _text(message.get("content")) or _text(message.get("refusal"))
        reasoning = _text(message.get("reasoning_content")) or _text(message.get("reasoning"))
        finish_reason = _text(choice.get("finish_reason")) or None
        if finish_reason == "content_filter":
            raise self._place.error(
                "content_filter", "declined the prompt or its own answer by its content filter"
            )
        if reasoning:
            yield Delta(reasoning=reasoning)
        self._count(text, reasoning)
        if finish_reason is not None:
            self.finished, self._finish_reason = True, finish_reason
        if text or finish_reason or usage:
            yield Delta(text, "", finish_reason, usage)

    def _count(self, text: str, reasoning: str) -> None:
        self._characters += len(text) + len(reasoning)
        if self._characters > MAX_ANSWER_CHARACTERS:
            raise self._too_large()
        if not self._has_text and text.strip():
            self._has_text = True

    def _malformed(self) -> ProviderError:
        return self._place.error("bad_reply", "sent a malformed event in its stream")

    def _too_large(self) -> ProviderError:
        bound = f"{MAX_ANSWER_CHARACTERS // 2**20} MB"
        return self._place.error("bad_reply", f"sent an answer larger than {bound}")


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _text(value: object) -> str:
    """Content as a string; some hosts send a list of typed parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = (part.get("text") for part in value if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return ""


def _usage(value: object) -> Usage | None:
    if not isinstance(value, dict):
        return None
    tokens_in, tokens_out = value.get("prompt_tokens"), value.get("completion_tokens")
    if isinstance(tokens_in, int) and isinstance(tokens_out, int):
        return Usage(tokens_in, tokens_out)
    return None
