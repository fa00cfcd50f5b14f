"""An answer in the format of OpenAI's Responses API: a response, or its events.

https://platform.openai.com/docs/api-reference/responses-streaming gives the order of the events.
Items have the same ids in both forms, derived from the request's id and the item's position.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Required, TypedDict

import orjson

from api.chat import KEEP_ALIVE
from api.errors import Problem
from api.messages_answer import is_json
from api.outcome import finish_reason, router_object, tokens
from api.parsing import Asked
from api.response_tools import Tool, input_of, search_of
from providers.base import Logprob
from race.events import CallPiece
from race.state import Answer

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Finish reasons of an incomplete answer, and OpenAI's term for each."""

FAILED = {429: "rate_limit_exceeded", 400: "invalid_prompt"}
"""OpenAI's codes for a failed response, by status; any other is `server_error`."""

PREFIXES = {
    "reasoning": "rs",
    "message": "msg",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "tool_search_call": "tsc",
}


class Part(TypedDict, total=False):
    """A part of a message, or of a reasoning summary."""

    type: Required[str]
    text: Required[str]
    annotations: list[object]
    logprobs: list[Mapping[str, object]]


class Item(TypedDict, total=False):
    """An item of a response: reasoning, a message, or a tool call."""

    id: Required[str]
    type: Required[str]
    status: Required[str]
    summary: list[Part]
    role: str
    content: list[Part]
    call_id: str
    name: str
    namespace: str
    arguments: object
    input: str
    execution: str


class Fresh(TypedDict, total=False):
    """The initial fields of an item of each kind."""

    summary: list[Part]
    role: str
    content: list[Part]
    call_id: str
    name: str
    namespace: str
    arguments: object
    input: str
    execution: str


@dataclass(slots=True)
class Call:
    """An open tool call: its item, and what came of its arguments."""

    item: Item
    arguments: str = ""


class ResponseEvents:
    """The events of one response; its items are kept as they grow."""

    keep_alive = KEEP_ALIVE

    def __init__(
        self,
        request_id: str,
        asked: Asked,
        echo: Mapping[str, object],
        tools: Mapping[str, Tool] = MappingProxyType({}),
    ) -> None:
        """`echo`: the fields of the request that the response repeats; `tools`: by the function's
        name, those that are not plain functions."""
        self._request_id = request_id
        self._asked = asked
        self._echo = echo
        self._tools = tools
        self._created = int(time.time())
        self._number = 0
        self._items: list[Item] = []
        self._writing: Item | None = None
        """The item that text or reasoning is being written to."""
        self._calls: dict[int, Call] = {}
        """Open tool calls, by the provider's index."""

    def whole(self, answer: Answer) -> bytes:
        speaker = str(answer.provider)
        if answer.reasoning:
            self.reasoning(answer.reasoning, speaker)
        if answer.text or answer.logprobs:
            self.text(answer.text, speaker, answer.logprobs)
        for index, call in enumerate(answer.tool_calls):
            piece = CallPiece(index=index, id=call["id"], **call["function"])
            self.calls([piece], speaker)
        return orjson.dumps(self._ended(answer)[1])

    def start(self, speaker: str) -> bytes:
        response = self._response("in_progress", speaker)
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def text(self, text: str, speaker: str, chances: Sequence[Logprob] = ()) -> bytes:
        """A piece of the answer; its providers are named in the `router` object."""
        begun = self._written_to("message")
        item = self._items[-1]
        part = item["content"][0]
        part["text"] += text
        known = [{**chance, "bytes": chance["bytes"] or []} for chance in chances]
        part["logprobs"] += known
        delta = self._at(item, content_index=0, delta=text, logprobs=known)
        return begun + self._event("response.output_text.delta", **delta)

    def reasoning(self, text: str, speaker: str) -> bytes:
        """A piece of the model's reasoning, as a summary, which is where clients look for it."""
        begun = self._written_to("reasoning")
        item = self._items[-1]
        item["summary"][0]["text"] += text
        delta = self._at(item, summary_index=0, delta=text)
        return begun + self._event("response.reasoning_summary_text.delta", **delta)

    def calls(self, pieces: Sequence[CallPiece], speaker: str) -> bytes:
        """Fragments of tool calls, each call an item of its own."""
        return b"".join(self._piece(piece) for piece in pieces)

    def end(self, answer: Answer) -> bytes:
        closed, response = self._ended(answer)
        return closed + self._event(f"response.{response['status']}", response=response)

    def failed(self, problem: Problem) -> bytes:
        """The end of a stream that was not completed: open items stay incomplete."""
        error = {"code": problem.code, "message": problem.message, "param": problem.param}
        response = self._response("failed", "", self._items)
        code = FAILED.get(problem.status, "server_error")
        response["error"] = {"code": code, "message": problem.message}
        if problem.router is not None:
            response["router"] = problem.router
        said = self._event("error", **error)
        return said + self._event("response.failed", response=response)

    def _ended(self, answer: Answer) -> tuple[bytes, dict[str, object]]:
        """The ends of the open items, and the whole response."""
        reason = INCOMPLETE.get(finish_reason(answer))
        status = "incomplete" if reason else "completed"
        closed = self._close(status) + self._close_calls(status, unfinished=True)
        response = self._response(status, str(answer.provider), self._items)
        if reason:
            response["incomplete_details"] = {"reason": reason}
        response |= {
            "completed_at": int(time.time()) if status == "completed" else None,
            "usage": _usage(answer, self._asked),
            "router": router_object(answer, self._asked.ignored),
        }
        return closed, response

    def _piece(self, piece: CallPiece) -> bytes:
        call, begun = self._calls.get(piece["index"]), b""
        if call is None:
            begun = self._close() + self._close_calls() + self._begin_call(piece)
            call = self._calls[piece["index"]] = Call(self._items[-1])
        if not piece["arguments"]:
            return begun
        call.arguments += piece["arguments"]
        if call.item["type"] != "function_call":
            return begun  # what its function was given is not what the tool is given
        call.item["arguments"] = call.arguments
        delta = self._at(call.item, delta=piece["arguments"])
        return begun + self._event("response.function_call_arguments.delta", **delta)

    def _begin_call(self, piece: CallPiece) -> bytes:
        tool = self._tools.get(piece["name"]) or Tool("function_call", piece["name"])
        fresh: Fresh = {"call_id": piece["id"]}
        if tool.kind == "tool_search_call":
            fresh |= {"execution": "client", "arguments": {}}
        elif tool.kind == "custom_tool_call":
            fresh |= {"name": tool.name, "input": ""}
        else:
            fresh |= {"name": tool.name, "arguments": ""}
        if tool.namespace is not None:
            fresh["namespace"] = tool.namespace
        return self._begin(tool.kind, fresh)

    def _written_to(self, kind: str) -> bytes:
        """The events that open an item of this kind, unless it is open."""
        if self._writing is not None and self._writing["type"] == kind:
            return b""
        closed = self._close() + self._close_calls()
        if kind == "message":
            part: Part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            begun = self._begin(kind, {"role": "assistant", "content": []})
            added = "response.content_part.added"
            place = {"content_index": 0}
        else:
            part = {"type": "summary_text", "text": ""}
            begun = self._begin(kind, {"summary": []})
            added = "response.reasoning_summary_part.added"
            place = {"summary_index": 0}
        self._writing = item = self._items[-1]
        begun += self._event(added, **self._at(item, part=part, **place))
        (item["content"] if kind == "message" else item["summary"]).append(part)
        return closed + begun

    def _begin(self, kind: str, fresh: Fresh) -> bytes:
        place = len(self._items)
        name = f"{PREFIXES[kind]}_{self._request_id}_{place}"
        item: Item = {"id": name, "type": kind, "status": "in_progress", **fresh}
        self._items.append(item)
        return self._event("response.output_item.added", output_index=place, item=item)

    def _close(self, status: str = "completed") -> bytes:
        """The end of the open item of text or reasoning, if there is one."""
        item, self._writing = self._writing, None
        if item is None:
            return b""
        if item["type"] == "reasoning":
            part = item["summary"][0]
            said = self._at(item, summary_index=0)
            done = self._event("response.reasoning_summary_text.done", text=part["text"], **said)
            done += self._event("response.reasoning_summary_part.done", part=part, **said)
        else:
            part = item["content"][0]
            said = self._at(item, content_index=0)
            known = {"text": part["text"], "logprobs": part["logprobs"]}
            done = self._event("response.output_text.done", **known, **said)
            done += self._event("response.content_part.done", part=part, **said)
        return done + self._finish(item, status)

    def _close_calls(self, status: str = "completed", *, unfinished: bool = False) -> bytes:
        """The ends of the open calls whose arguments are complete, or of all of them."""
        done = [i for i, c in self._calls.items() if unfinished or is_json(c.arguments)]
        return b"".join(self._close_call(self._calls.pop(index), status) for index in done)

    def _close_call(self, call: Call, status: str) -> bytes:
        item, kind, done = call.item, "response.function_call_arguments", b""
        match item["type"]:
            case "tool_search_call":
                item["arguments"] = search_of(call.arguments)
                return self._finish(item, status)
            case "custom_tool_call":
                kind = "response.custom_tool_call_input"
                item["input"] = input_of(call.arguments)
                done = self._event(f"{kind}.delta", **self._at(item, delta=item["input"]))
                said = self._at(item, input=item["input"])
            case _:
                said = self._at(item, name=item["name"], arguments=item["arguments"])
        return done + self._event(f"{kind}.done", **said) + self._finish(item, status)

    def _finish(self, item: Item, status: str) -> bytes:
        item["status"] = status
        place = self._items.index(item)
        return self._event("response.output_item.done", output_index=place, item=item)

    def _at(self, item: Item, **more: object) -> dict[str, object]:
        return {"item_id": item["id"], "output_index": self._items.index(item), **more}

    def _response(
        self, status: str, speaker: str, output: Sequence[Item] = ()
    ) -> dict[str, object]:
        return {
            "id": f"resp_{self._request_id}",
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": speaker,
            "output": list(output),
            "usage": None,
            "background": False,
            "previous_response_id": None,
            "store": False,
            "truncation": "disabled",
            **self._echo,
        }

    def _event(self, kind: str, **data: object) -> bytes:
        event = {"type": kind, "sequence_number": self._number, **data}
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"


def _usage(answer: Answer, asked: Asked) -> dict[str, object]:
    counted = tokens(answer, asked.prompt)
    return {
        "input_tokens": counted.prompt,
        "input_tokens_details": {"cached_tokens": counted.cached, "cache_write_tokens": 0},
        "output_tokens": counted.completion,
        "output_tokens_details": {"reasoning_tokens": counted.reasoning},
        "total_tokens": counted.total,
    }
