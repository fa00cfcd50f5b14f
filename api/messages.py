"""`POST /v1/messages`: Anthropic's dialect, as far as its clients and coding agents use it.

Cache marks have no effect on an answer and are dropped. Reasoning comes as `thinking` blocks and is
accepted back with its turn.
"""

from __future__ import annotations

import json
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api.errors import NO_THREADS, invalid
from api.listing import resolve
from api.messages_answer import MessageEvents
from api.openapi import STREAMED, AnthropicError, Documented, RouterObject, body_of, errors
from api.parsing import MAX_CHAT_BYTES, Asked, read_json
from api.replies import reply
from api.translation import (
    Translation,
    data_url,
    object_at,
    parts_at,
    read,
    text_at,
    unsupported,
)
from api.wire import MAX_TOKENS, Whole, Wire, whole
from graph.router import Router
from providers.base import estimate_tokens
from providers.conversation import MAX_MESSAGES
from providers.fields import asks_nothing
from providers.tool_offers import MAX_TOOLS

NAMES = {
    "stop": "stop_sequences",
    "response_format": "output_config.format",
    "reasoning_effort": "output_config.effort",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
}
NOTED = frozenset({"context_management", "betas", "inference_geo", "speed", "cache_control",
                   "diagnostics"})  # fmt: skip
"""Features of Anthropic's own service: ignored, with a note."""

DROPPED_TOOLS = ("web_search", "web_fetch", "tool_search", "advisor", "memory")
"""Tools of Anthropic's servers that coding agents always send: left out, with a note."""

DROPPED_BLOCKS = frozenset({"redacted_thinking", "server_tool_use", "web_search_tool_result",
                            "web_fetch_tool_result", "tool_search_tool_result",
                            "container_upload", "tool_addition",
                            "tool_removal", "mcp_tool_use", "mcp_tool_result",
                            "code_execution_tool_result", "bash_code_execution_tool_result",
                            "text_editor_code_execution_tool_result", "compaction"})  # fmt: skip
"""Actions of Anthropic's servers in an earlier turn, and marks of tools that come and go: those
that may be called now are in `tools`."""

EFFORTS = ((2_048, "low"), (8_192, "medium"))
"""A thinking budget of at most so many tokens maps to this effort; a larger one to `high`."""

CHOICES = {"auto": "auto", "any": "required", "none": "none"}


class MessagesRequest(Wire):
    """Anthropic's request, as far as it is supported here."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(default="auto", max_length=256, description="As in a chat completion.")
    messages: list[dict[str, object]] = Field(
        max_length=MAX_MESSAGES, description="Texts, pictures, tool calls and their results."
    )
    system: str | list[dict[str, object]] | None = None
    max_tokens: Whole | None = Field(default=None, ge=1, le=MAX_TOKENS)
    stream: bool | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: Whole | None = Field(default=None, description="For hosts that list it in `passes`.")
    stop_sequences: list[str] | None = None
    tools: list[dict[str, object]] | None = Field(default=None, max_length=MAX_TOOLS)
    tool_choice: dict[str, object] | None = None
    thinking: dict[str, object] | None = None
    output_config: dict[str, object] | None = None
    output_format: dict[str, object] | None = None
    metadata: dict[str, object] | None = Field(default=None, description="Ignored.")


class Said(Documented):
    """The answer's message."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, object]]
    stop_reason: Literal["end_turn", "max_tokens", "tool_use", "refusal"]
    stop_sequence: None
    usage: dict[str, int]
    router: RouterObject


class Counted(Documented):
    input_tokens: int
    """An estimate: providers count differently."""


def messages_routes(router: Router, *, keep_alive_s: float) -> APIRouter:
    routes = APIRouter()

    async def asked_of(request: Request) -> Asked:
        body = await read_json(request, MAX_CHAT_BYTES)
        passes = router.settings.passes()
        return translated(body, passes).asked(passes)

    @routes.post(
        "/v1/messages",
        operation_id="createMessage",
        response_model=Said,
        responses=STREAMED | errors(400, 404, 408, 413, 429, 503, body=AnthropicError),
        openapi_extra=body_of(MessagesRequest),
    )
    async def create_message(request: Request) -> Response:
        """Answer a conversation in Anthropic's format, in one piece or as server-sent events."""
        asked, request_id = await asked_of(request), request.state.request_id
        target = resolve(router.settings, asked.model)
        events = MessageEvents(request_id, asked)
        return reply(router, asked, target, events, request, keep_alive_s)

    @routes.post(
        "/v1/messages/count_tokens",
        operation_id="countMessageTokens",
        responses=errors(400, 404, 408, 413, 429, body=AnthropicError),
        openapi_extra=body_of(MessagesRequest),
    )
    async def count_tokens(request: Request) -> Counted:
        """Estimate the number of tokens in the request; calls no provider."""
        asked = await asked_of(request)
        resolve(router.settings, asked.model)
        tools = (asked.options.get("extra") or {}).get("tools")
        text = asked.prompt + (json.dumps(tools) if tools else "")
        return Counted(input_tokens=estimate_tokens(text))

    return routes


def translated(body: dict[str, object], passes: frozenset[str] = frozenset()) -> Translation:
    """The same request as a chat completion's; raises RefusedError (400) that names what is
    unsupported."""
    request = read(MessagesRequest, body)
    given = request.model_extra or {}
    extra = {name: value for name, value in given.items() if not asks_nothing(value)}
    if "thread" in extra:
        said = "`thread` is not supported here, as nothing is stored: send all messages"
        raise invalid(said, "thread", NO_THREADS)
    chat = {name: value for name, value in extra.items() if name not in NOTED}
    same = {"model", "max_tokens", "stream", "temperature", "top_p", "metadata"}
    chat |= request.model_dump(include=same, exclude_none=True)
    found = Translation(chat, NAMES, [name for name in extra if name in NOTED])
    if request.stop_sequences:
        chat["stop"] = request.stop_sequences
    if request.top_k is not None and "top_k" in passes:
        chat["top_k"] = request.top_k
    elif request.top_k is not None:
        found.ignored.append("top_k")
    _wishes(request, chat)
    _tools(request, found)
    if request.system:
        found.say({"role": "system", "content": _parts(request.system, "system")}, "system")
    for place, message in enumerate(request.messages):
        _message(message, f"messages[{place}]", found)
    return found


def _wishes(request: MessagesRequest, chat: dict[str, object]) -> None:
    """The reasoning effort, and the answer's format."""
    config = request.output_config or {}
    thinking = request.thinking or {}
    if effort := config.get("effort"):
        chat["reasoning_effort"] = effort
    elif type(budget := whole(thinking.get("budget_tokens"))) is int:
        chat["reasoning_effort"] = next((e for most, e in EFFORTS if budget <= most), "high")
    form = config.get("format") or request.output_format
    if form:
        schema = object_at(form, "output_config.format")
        named = {"name": "output", "schema": schema.get("schema")}
        chat["response_format"] = {"type": schema.get("type"), "json_schema": named}


def _tools(request: MessagesRequest, found: Translation) -> None:
    for place, tool in enumerate(request.tools or []):
        where, kind = f"tools[{place}]", tool.get("type") or "custom"
        if kind == "custom":
            found.functions.append(_function(tool, where))
        elif str(kind).startswith(DROPPED_TOOLS):
            found.ignored.append(f"{where} ({str(kind)[:60]})")
        else:
            raise unsupported(f"{where}.type", kind)
    if not found.functions:
        return
    choice = request.tool_choice or {}
    if choice.get("disable_parallel_tool_use"):
        found.body["parallel_tool_calls"] = False
    if (kind := choice.get("type")) == "tool":
        function = {"name": text_at(choice.get("name"), "tool_choice.name")}
        found.body["tool_choice"] = {"type": "function", "function": function}
    elif kind is not None:
        if (meant := CHOICES.get(str(kind))) is None:
            raise unsupported("tool_choice.type", kind)
        found.body["tool_choice"] = meant


def _function(tool: dict[str, object], where: str) -> dict[str, object]:
    schema = object_at(tool.get("input_schema"), f"{where}.input_schema")
    kept = ("name", "description", "strict")
    return {"parameters": schema} | {name: tool[name] for name in kept if name in tool}


def _message(message: dict[str, object], where: str, found: Translation) -> None:
    match message.get("role"):
        case "user":
            _user(message.get("content"), where, found)
        case "assistant":
            found.say(_assistant(message.get("content"), where), where)
        case "system":
            if content := _parts(message.get("content"), f"{where}.content"):
                found.say({"role": "system", "content": content}, where)
        case other:
            raise unsupported(f"{where}.role", other)


def _user(content: object, where: str, found: Translation) -> None:
    """A user's turn; tool results in it become separate turns, in order."""
    if isinstance(content, str):
        found.say({"role": "user", "content": content}, where)
        return
    said: list[dict[str, object]] = []
    for place, block in enumerate(parts_at(content, f"{where}.content")):
        at = f"{where}.content[{place}]"
        if object_at(block, at).get("type") == "tool_result":
            if said:
                found.say({"role": "user", "content": said}, where)
                said = []
            found.say(_result(block, at), at)
        elif (part := _part(block, at)) is not None:
            said.append(part)
    if said or not content:
        found.say({"role": "user", "content": said}, where)


def _result(block: dict[str, object], where: str) -> dict[str, object]:
    content = _parts(block.get("content") or "", f"{where}.content") or ""
    if block.get("is_error"):
        said = [{"type": "text", "text": content}] if isinstance(content, str) else content
        content = [{"type": "text", "text": "The tool failed:"}, *said]
    called = text_at(block.get("tool_use_id"), f"{where}.tool_use_id")
    return {"role": "tool", "tool_call_id": called, "content": content}


def _assistant(content: object, where: str) -> dict[str, object]:
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    said: list[dict[str, object]] = []
    thoughts: list[str] = []
    calls: list[dict[str, object]] = []
    for place, block in enumerate(parts_at(content, f"{where}.content")):
        at = f"{where}.content[{place}]"
        match object_at(block, at).get("type"):
            case "thinking":
                thoughts.append(text_at(block.get("thinking"), f"{at}.thinking"))
            case "tool_use":
                calls.append(_call(block, at))
            case _ if (part := _part(block, at)) is not None:
                said.append(part)
    message: dict[str, object] = {"role": "assistant", "content": said or None}
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    return message


def _call(block: dict[str, object], where: str) -> dict[str, object]:
    arguments = json.dumps(block.get("input") or {}, ensure_ascii=False)
    function = {"name": text_at(block.get("name"), f"{where}.name"), "arguments": arguments}
    called = text_at(block.get("id"), f"{where}.id")
    return {"id": called, "type": "function", "function": function}


def _parts(content: object, where: str) -> str | list[dict[str, object]]:
    if isinstance(content, str):
        return content
    blocks = enumerate(parts_at(content, where))
    read_ = (_part(object_at(b, f"{where}[{n}]"), f"{where}[{n}]") for n, b in blocks)
    return [part for part in read_ if part is not None]


def _part(block: dict[str, object], where: str) -> dict[str, object] | None:
    """A block as a part of a chat message; None for one without effect."""
    kind = str(block.get("type"))
    match kind:
        case "text":
            return {"type": "text", "text": text_at(block.get("text"), f"{where}.text")}
        case "image":
            url = _address(object_at(block.get("source"), f"{where}.source"), f"{where}.source")
            return {"type": "image_url", "image_url": {"url": url}}
        case "document":
            return _document(block, where)
        case "search_result":
            said = _text(block.get("content") or [], f"{where}.content")
            return _titled(block, ("title", "source"), said)
        case "tool_reference":
            name = text_at(block.get("tool_name"), f"{where}.tool_name")
            return {"type": "text", "text": f"You can call the tool {name} now."}
        case _ if kind in DROPPED_BLOCKS:
            return None
    raise unsupported(f"{where}.type", block.get("type"))


def _address(source: dict[str, object], where: str) -> str:
    match source.get("type"):
        case "base64":
            return data_url(source.get("media_type"), source.get("data"), where)
        case "url":
            return text_at(source.get("url"), f"{where}.url")
    raise unsupported(f"{where}.type", source.get("type"))


def _document(block: dict[str, object], where: str) -> dict[str, object]:
    source = object_at(block.get("source"), f"{where}.source")
    if source.get("type") == "text":
        said = text_at(source.get("data"), f"{where}.source.data")
        return _titled(block, ("title", "context"), said)
    if source.get("type") == "content":
        said = _text(source.get("content"), f"{where}.source.content")
        return _titled(block, ("title", "context"), said)
    if source.get("type") != "base64":
        raise unsupported(f"{where}.source.type", source.get("type"))
    name = block.get("title") or "document.pdf"
    return {"type": "file", "file": {"filename": name, "file_data": _address(source, where)}}


def _text(content: object, where: str) -> str:
    """The text of blocks that are all text."""
    said = _parts(content, where)
    if isinstance(said, str):
        return said
    for place, part in enumerate(said):
        if part["type"] != "text":
            raise unsupported(f"{where}[{place}].type", part["type"])
    return "\n".join(str(part["text"]) for part in said)


def _titled(block: dict[str, object], names: tuple[str, ...], said: str) -> dict[str, object]:
    """The text under what these members say of it, by which a question may name it."""
    heads = [str(block[name]) for name in names if block.get(name)]
    return {"type": "text", "text": "\n".join([*heads, said])}
