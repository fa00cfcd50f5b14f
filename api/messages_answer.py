"""An answer in Anthropic's format: a message, or its events.

https://docs.claude.com/en/api/messages-streaming gives the order of the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from api.errors import Problem
from api.outcome import finish_reason, router_object, tokens
from api.parsing import Asked
from providers.base import Logprob, estimate_tokens
from providers.messages import ToolCall
from race.events import CallPiece
from race.state import Answer

STOPPED = {
    "stop": "end_turn",
    "length": "max_tokens",
    "content_filter": "refusal",
    "tool_calls": "tool_use",
}
SIGNATURE = "unsigned"
"""Anthropic signs its models' reasoning; others have nothing to sign, but clients expect a text."""


def message(answer: Answer, asked: Asked) -> bytes:
    """The body of an answer that is not streamed."""
    blocks: list[dict[str, object]] = []
    if answer.reasoning:
        thoughts = answer.reasoning
        blocks.append({"type": "thinking", "thinking": thoughts, "signature": SIGNATURE})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    blocks += [_tool_use(call) for call in answer.tool_calls]
    envelope = _envelope(answer.request_id, str(answer.provider), 0)
    envelope |= {
        "content": blocks,
        "stop_reason": _stop_reason(answer),
        "usage": _usage(answer, asked),
        "router": router_object(answer, asked.ignored),
    }
    return orjson.dumps(envelope)


class MessageEvents:
    """The events of one streamed message."""

    keep_alive = b'event: ping\ndata: {"type":"ping"}\n\n'

    def __init__(self, request_id: str, asked: Asked) -> None:
        self._request_id = request_id
        self._asked = asked
        self._blocks = 0
        """Number of content blocks started so far."""
        self._writing: str | None = None
        """The kind of the block that text or reasoning is being written to."""
        self._calls: dict[int, _Call] = {}
        """Tool calls whose block is open, by the provider's index."""

    def whole(self, answer: Answer) -> bytes:
        return message(answer, self._asked)

    def start(self, speaker: str) -> bytes:
        about = estimate_tokens(self._asked.prompt)
        begun = _envelope(self._request_id, speaker, about)
        return _event({"type": "message_start", "message": begun})

    def text(self, text: str, speaker: str, chances: Sequence[Logprob] = ()) -> bytes:
        """A piece of the answer; Anthropic's format has no place for log probabilities."""
        if not text:
            return b""
        begun = self._written_to("text", {"type": "text", "text": ""})
        return begun + self._delta(self._blocks - 1, {"type": "text_delta", "text": text})

    def reasoning(self, text: str, speaker: str) -> bytes:
        """A piece of the model's reasoning."""
        block = {"type": "thinking", "thinking": "", "signature": ""}
        begun = self._written_to("thinking", block)
        return begun + self._delta(self._blocks - 1, {"type": "thinking_delta", "thinking": text})

    def calls(self, pieces: Sequence[CallPiece], speaker: str) -> bytes:
        """Fragments of tool calls, each call in a block of its own."""
        return b"".join(self._piece(piece) for piece in pieces)

    def end(self, answer: Answer) -> bytes:
        """The events after the last block."""
        counted = _usage(answer, self._asked)
        delta = {"stop_reason": _stop_reason(answer), "stop_sequence": None}
        ending = {
            "type": "message_delta",
            "delta": delta,
            "usage": counted,
            "router": router_object(answer, self._asked.ignored),
        }
        closed = self._close() + self._close_calls(unfinished=True)
        return closed + _event(ending) + _event({"type": "message_stop"})

    def failed(self, problem: Problem) -> bytes:
        """The end of a stream that was not completed: no `message_stop` follows."""
        return _event(problem.anthropic(self._request_id))

    def _piece(self, piece: CallPiece) -> bytes:
        begun = b""
        call = self._calls.get(piece["index"])
        if call is None:
            begun = self._close() + self._close_calls(unfinished=False)
            call = self._calls[piece["index"]] = _Call(self._blocks)
            block = {"type": "tool_use", "id": piece["id"], "name": piece["name"], "input": {}}
            begun += self._begin(block)
        if not piece["arguments"]:
            return begun
        call.arguments += piece["arguments"]
        delta = {"type": "input_json_delta", "partial_json": piece["arguments"]}
        return begun + self._delta(call.block, delta)

    def _written_to(self, kind: str, block: Mapping[str, object]) -> bytes:
        """The events that open a block of this kind, unless it is open."""
        if self._writing == kind:
            return b""
        closed = self._close() + self._close_calls(unfinished=False)
        self._writing = kind
        return closed + self._begin(block)

    def _begin(self, block: Mapping[str, object]) -> bytes:
        index, self._blocks = self._blocks, self._blocks + 1
        return _event({"type": "content_block_start", "index": index, "content_block": block})

    def _close(self) -> bytes:
        """The end of the open block of text or reasoning, if there is one."""
        if self._writing is None:
            return b""
        signed = b""
        if self._writing == "thinking":
            delta = {"type": "signature_delta", "signature": SIGNATURE}
            signed = self._delta(self._blocks - 1, delta)
        self._writing = None
        return signed + _stop(self._blocks - 1)

    def _close_calls(self, *, unfinished: bool) -> bytes:
        """The ends of the open calls whose arguments are complete, or of all of them.

        A host may interleave the fragments of several calls; their blocks are then open together.
        """
        done = [i for i, call in self._calls.items() if unfinished or call.is_whole()]
        return b"".join(_stop(self._calls.pop(index).block) for index in done)

    def _delta(self, index: int, delta: Mapping[str, object]) -> bytes:
        return _event({"type": "content_block_delta", "index": index, "delta": delta})


class _Call:
    def __init__(self, block: int) -> None:
        self.block = block
        self.arguments = ""

    def is_whole(self) -> bool:
        return is_json(self.arguments)


def is_json(text: str) -> bool:
    """Whether the arguments are complete; nothing can be added to a JSON object."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _tool_use(call: ToolCall) -> dict[str, object]:
    function = call["function"]
    return {
        "type": "tool_use",
        "id": call["id"],
        "name": function["name"],
        "input": _object(function["arguments"]),
    }


def _object(arguments: str) -> dict[str, object]:
    """The arguments as an object; anything else that the model wrote is under `arguments`."""
    if not arguments.strip():
        return {}
    read = orjson.loads(arguments) if is_json(arguments) else arguments
    return read if isinstance(read, dict) else {"arguments": read}


def _envelope(request_id: str, speaker: str, tokens_in: int) -> dict[str, object]:
    return {
        "id": f"msg_{request_id}",
        "type": "message",
        "role": "assistant",
        "model": speaker,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _counted(tokens_in, 0),
    }


def _stop_reason(answer: Answer) -> str:
    return STOPPED[finish_reason(answer)]


def _usage(answer: Answer, asked: Asked) -> dict[str, object]:
    counted = tokens(answer, asked.prompt)
    return _counted(counted.prompt - counted.cached, counted.completion, counted.cached)


def _counted(tokens_in: int, tokens_out: int, cached: int = 0) -> dict[str, object]:
    """`tokens_in`: of the prompt without its cached part, as Anthropic counts."""
    read = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": cached}
    return {"input_tokens": tokens_in, "output_tokens": tokens_out, **read}


def _stop(index: int) -> bytes:
    return _event({"type": "content_block_stop", "index": index})


def _event(data: Mapping[str, object]) -> bytes:
    return b"event: " + str(data["type"]).encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
