"""An answer in OpenAI's shapes: a completion, or the chunks of one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from providers.base import Logprob
from providers.messages import ToolCall, written
from providers.prices import estimate_tokens
from race.events import CallPiece
from race.state import Answer

FINISHED = frozenset({"stop", "length", "content_filter", "tool_calls"})
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": the answer is under way\n\n"


def router_object(answer: Answer, ignored: Sequence[str] = ()) -> dict[str, Any]:
    """The `router` object; `ignored` are the request's fields that were left out."""
    attempts = [{k: v for k, v in row.items() if k != "text"} for row in answer.attempts]
    return {
        "request_id": answer.request_id,
        "category": answer.category,
        "confidence": answer.confidence,
        "provider": answer.provider,
        "role": answer.role,
        "attempts": attempts,
        "cost_usd": answer.cost_usd,
        "latency_ms": answer.latency_ms,
        "ttft_ms": answer.ttft_ms,
        "why": answer.why,
        "note": _note(answer.note, ignored),
        "sources": answer.sources,
        "grounded": answer.grounded,
    }


def _note(note: str | None, ignored: Sequence[str]) -> str | None:
    left_out = f"ignored: {', '.join(ignored)}" if ignored else None
    return "; ".join(filter(None, (note, left_out))) or None


def usage(answer: Answer, prompt: str) -> dict[str, int]:
    """Tokens of the prompt and of the text that the caller has; estimated where nobody counted
    them. What a switch in the middle of a stream does to it: docs/race.md."""
    tokens_in, tokens_out = answer.tokens_in, answer.tokens_out
    if tokens_in is None:
        tokens_in = estimate_tokens(prompt)
    if tokens_out is None:
        calls = answer.tool_calls
        said = written({"role": "assistant", "content": answer.text, "tool_calls": calls})
        tokens_out = estimate_tokens(said)
    total = tokens_in + tokens_out
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": total}


def finish_reason(answer: Answer) -> str:
    """OpenAI's word; a host's own word for a plain end is `stop`."""
    reason = answer.finish_reason
    if answer.tool_calls and reason != "length":
        return "tool_calls"
    return reason if reason is not None and reason in FINISHED else "stop"


def message_of(answer: Answer) -> dict[str, Any]:
    """The assistant's message; it may be sent back as it is."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None}
    if answer.tool_calls:
        message |= {"content": answer.text or None, "tool_calls": answer.tool_calls}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    return message


def logprobs(content: Sequence[Logprob]) -> dict[str, Any] | None:
    """A choice's `logprobs`; null where there are none."""
    return {"content": content, "refusal": None} if content else None


def completion(answer: Answer, prompt: str, ignored: Sequence[str] = ()) -> bytes:
    """The body of an answer that was not streamed."""
    choice = {
        "index": 0,
        "message": message_of(answer),
        "logprobs": logprobs(answer.logprobs),
        "finish_reason": finish_reason(answer),
    }
    return orjson.dumps(
        {
            "id": f"chatcmpl-{answer.request_id}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": answer.provider,
            "choices": [choice],
            "usage": usage(answer, prompt),
            "router": router_object(answer, ignored),
        }
    )


class Chunks:
    """The events of one streamed completion. What is the same in each is written once."""

    def __init__(
        self, request_id: str, *, include_usage: bool, ignored: Sequence[str] = ()
    ) -> None:
        self._ignored = ignored
        self._called: set[int] = set()
        self._id = f"chatcmpl-{request_id}"
        self._created = int(time.time())
        self._include_usage = include_usage
        self._speaker: str | None = None
        self._head = b""
        self._tail = b'},"logprobs":null,"finish_reason":null}]}\n\n'
        if include_usage:
            self._tail = self._tail.replace(b"]}\n\n", b'],"usage":null}\n\n')

    def role(self, speaker: str) -> bytes:
        """The first chunk."""
        self._spoken_by(speaker)
        return self._head + b'"role":"assistant","content":""' + self._tail

    def text(self, text: str, speaker: str, chances: Sequence[Logprob] = ()) -> bytes:
        """A piece of the answer; `model` names who says it. `chances`: of its tokens."""
        if speaker != self._speaker:
            self._spoken_by(speaker)
        tail = self._tail
        if chances:
            known = orjson.dumps(logprobs(chances))
            tail = tail.replace(b'"logprobs":null', b'"logprobs":' + known, 1)
        return self._head + b'"content":' + orjson.dumps(text) + tail

    def reasoning(self, text: str, speaker: str) -> bytes:
        """A piece of the model's thoughts."""
        if speaker != self._speaker:
            self._spoken_by(speaker)
        return self._head + b'"reasoning_content":' + orjson.dumps(text) + self._tail

    def calls(self, pieces: Sequence[CallPiece], speaker: str) -> bytes:
        """Pieces of calls of tools."""
        if speaker != self._speaker:
            self._spoken_by(speaker)
        return self._head + b'"tool_calls":' + orjson.dumps(self._pieces(pieces)) + self._tail

    def whole_calls(self, calls: Sequence[ToolCall], speaker: str) -> bytes:
        """Calls of tools that are known whole."""
        pieces = [
            CallPiece(
                index=index,
                id=call["id"],
                name=call["function"]["name"],
                arguments=call["function"]["arguments"],
            )
            for index, call in enumerate(calls)
        ]
        return self.calls(pieces, speaker) if pieces else b""

    def _pieces(self, pieces: Sequence[CallPiece]) -> list[dict[str, Any]]:
        """As OpenAI streams them: id, type and name once, with the call's first piece."""
        found = []
        for piece in pieces:
            function = {"arguments": piece["arguments"]}
            delta: dict[str, Any] = {"index": piece["index"], "function": function}
            if piece["index"] not in self._called:
                self._called.add(piece["index"])
                function["name"] = piece["name"]
                delta |= {"id": piece["id"], "type": "function"}
            found.append(delta)
        return found

    def end(self, answer: Answer, prompt: str) -> bytes:
        """Everything from the finish chunk to `[DONE]`.

        Usage is in one chunk alone, since clients add it up: in the finish chunk, or, where the
        caller asked for it, in OpenAI's chunk without choices.
        """
        router, tokens = router_object(answer, self._ignored), usage(answer, prompt)
        choice = {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": finish_reason(answer),
        }
        finish = self._envelope(answer, [choice], None if self._include_usage else tokens, router)
        if not self._include_usage:
            return finish + DONE
        return finish + self._envelope(answer, [], tokens, router) + DONE

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
        choices: list[dict[str, Any]],
        tokens: dict[str, int] | None,
        router: dict[str, Any],
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
