"""LangChain's messages as OpenAI's, and the router's answers as LangChain's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    InvalidToolCall,
    ToolCall,
    convert_to_openai_messages,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call

from race.events import CallPiece
from race.state import Answer

ABOUT = ("request_id", "category", "confidence", "provider", "role", "cost_usd", "why", "note")
"""Members of the `router` object in a message's `response_metadata`."""


def openai_messages(messages: Sequence[BaseMessage]) -> list[dict[str, object]]:
    """The messages as OpenAI's clients send them, including names, pictures, calls and results."""
    return [made for message in messages for made in _openai(message)]


def _openai(message: BaseMessage) -> list[dict[str, Any]]:
    """One LangChain message; including calls that LangChain's own conversion leaves out: those of
    the older functions, and those whose arguments were not JSON, since their results follow
    anyway."""
    made: list[dict[str, Any]] = convert_to_openai_messages([message])
    if not isinstance(message, AIMessage):
        return made
    if older := message.additional_kwargs.get("function_call"):
        made[-1].setdefault("function_call", older)
    if message.invalid_tool_calls:
        calls = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": call["args"]},
            }
            for call in message.invalid_tool_calls
            if call["name"]
        ]
        made[-1]["tool_calls"] = [*made[-1].get("tool_calls", []), *calls]
    return made


def about(answer: Answer) -> dict[str, object]:
    """An answer's `router` object, as far as messages include it."""
    return {name: getattr(answer, name) for name in ABOUT}


def logprobs_of(content: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """For a message's metadata, as OpenAI's own client has them; empty if there are none."""
    return {"logprobs": {"content": list(content), "refusal": None}} if content else {}


def message_of(
    message: Mapping[str, Any], metadata: dict[str, object], usage: UsageMetadata | None
) -> AIMessage:
    """An assistant's message in OpenAI's form as a LangChain message."""
    calls, invalid = _calls(message.get("tool_calls") or [])
    reasoning = message.get("reasoning_content")
    return AIMessage(
        content=message.get("content") or "",
        tool_calls=calls,
        invalid_tool_calls=invalid,
        usage_metadata=usage,
        response_metadata=metadata,
        additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
    )


def usage_of(
    tokens_in: int | None, tokens_out: int | None, cached: int = 0, thoughts: int = 0
) -> UsageMetadata | None:
    """None if nobody counted; details only if the provider reported some."""
    if tokens_in is None or tokens_out is None:
        return None
    usage = UsageMetadata(
        input_tokens=tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out
    )
    if cached:
        usage["input_token_details"] = {"cache_read": cached}
    if thoughts:
        usage["output_token_details"] = {"reasoning": thoughts}
    return usage


def usage_from(usage: Mapping[str, Any]) -> UsageMetadata | None:
    """The same from OpenAI's `usage`."""
    return usage_of(
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0,
        (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0,
    )


def _calls(raw: Sequence[Mapping[str, object]]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    calls: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in raw:
        given = dict(call)
        try:
            if found := parse_tool_call(given, return_id=True):
                calls.append(cast(ToolCall, found))
        except Exception as error:  # LangChain's OutputParserException, and json's
            invalid.append(make_invalid_tool_call(given, str(error)))
    return calls, invalid


class Chunks:
    """The pieces of one streamed answer as LangChain's chunks."""

    def __init__(self, answer_id: str) -> None:
        self._id = answer_id
        self._known: set[int] = set()

    def text(self, text: str) -> AIMessageChunk:
        return AIMessageChunk(content=text, id=self._id)

    def reasoning(self, text: str) -> AIMessageChunk:
        thoughts = {"reasoning_content": text}
        return AIMessageChunk(content="", id=self._id, additional_kwargs=thoughts)

    def calls(self, pieces: Sequence[CallPiece]) -> AIMessageChunk:
        """Chunks are added up, so a call's id and name must come only once."""
        chunks = []
        for piece in pieces:
            first = piece["index"] not in self._known
            self._known.add(piece["index"])
            chunks.append(
                tool_call_chunk(
                    name=piece["name"] if first else None,
                    args=piece["arguments"],
                    id=piece["id"] if first else None,
                    index=piece["index"],
                )
            )
        return AIMessageChunk(content="", id=self._id, tool_call_chunks=chunks)

    def last(self, metadata: dict[str, object], usage: UsageMetadata | None) -> AIMessageChunk:
        return AIMessageChunk(
            content="",
            id=self._id,
            response_metadata=metadata,
            usage_metadata=usage,
            chunk_position="last",
        )
