"""`POST /v1/responses`: OpenAI's Responses API, without its store.

Each request contains its whole conversation: earlier responses come back as items.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api.errors import RefusedError, invalid
from api.listing import resolve
from api.openapi import STREAMED, Documented, RouterObject, body_of, errors
from api.parsing import MAX_CHAT_BYTES, read_json
from api.replies import reply
from api.response_tools import (
    MORE_TOOLS,
    SEARCH,
    Tools,
    brought,
    found_by_search,
    function_name,
    objects,
)
from api.responses_answer import ResponseEvents
from api.translation import Translation, list_at, object_at, parts_at, read, text_at, unsupported
from api.wire import MAX_TOKENS, Whole, Wire
from graph.router import Router
from providers.conversation import MAX_MESSAGES
from providers.fields import asks_nothing
from providers.tool_offers import MAX_TOOLS

NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}
STORED = {
    "previous_response_id": "send the conversation itself as `input`",
    "conversation": "send the conversation itself as `input`",
    "prompt": "send the prompt itself as `input`",
    "background": "wait for the answer, or use /v1/batches",
}
"""Parameters that need a store, and what to do instead."""

NOTED = frozenset({"include", "truncation", "max_tool_calls", "context_management",
                   "prompt_cache_options", "client_metadata"})  # fmt: skip
"""Cannot change the meaning of the answer: ignored, with a note."""

DROPPED_ITEMS = ("web_search_call", "image_generation_call", "local_shell_call",
                 "code_interpreter_call", "tool_search", "compaction", "context_compaction",
                 "ghost_snapshot")  # fmt: skip
"""Actions of OpenAI's servers, and marks of coding agents, in an earlier turn."""
LOGPROBS = "message.output_text.logprobs"
"""Their names in `include`."""

REPEATED = ("instructions", "max_output_tokens", "metadata", "parallel_tool_calls",
            "prompt_cache_key", "reasoning", "safety_identifier", "temperature", "text", "top_p",
            "user")  # fmt: skip
"""Fields of the request that a response repeats."""


class ResponsesRequest(Wire):
    """OpenAI's request for a response, as far as it is supported here."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(default="auto", max_length=256, description="As in a chat completion.")
    input: str | list[dict[str, object]] = Field(
        description="A text, or the whole conversation as items: messages, calls and outputs of "
        "functions, reasoning.",
    )
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Whole | None = Field(default=None, ge=1, le=MAX_TOKENS)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_logprobs: Whole | None = Field(default=None, ge=0)
    tools: list[dict[str, object]] | None = Field(default=None, max_length=MAX_TOOLS)
    tool_choice: str | dict[str, object] | None = None
    parallel_tool_calls: bool | None = None
    text: dict[str, object] | None = None
    reasoning: dict[str, object] | None = None
    stream_options: dict[str, object] | None = Field(default=None, description="Ignored.")
    store: bool | None = Field(default=None, description="Ignored: nothing is stored.")
    metadata: dict[str, str] | None = Field(default=None, description="Ignored, and sent back.")


Json = dict[str, object]


class ResponseBody(Documented):
    """The response, with the items of its answer."""

    id: str
    object: Literal["response"]
    status: Literal["completed", "incomplete"]
    model: str
    output: list[Json]
    usage: Json
    router: RouterObject


def responses_routes(router: Router, *, keep_alive_s: float) -> APIRouter:
    routes = APIRouter()

    @routes.post(
        "/v1/responses",
        operation_id="createResponse",
        response_model=ResponseBody,
        responses=STREAMED | errors(400, 404, 408, 413, 429, 503),
        openapi_extra=body_of(ResponsesRequest),
    )
    async def create_response(request: Request) -> Response:
        """Answer a conversation in the Responses API's format, in one piece or as server-sent
        events."""
        body = await read_json(request, MAX_CHAT_BYTES)
        passes = router.settings.passes()
        found, tools = translated(body)
        asked, request_id = found.asked(passes), request.state.request_id
        target = resolve(router.settings, asked.model)
        events = ResponseEvents(request_id, asked, repeated(body, found), tools.known)
        return reply(router, asked, target, events, request, keep_alive_s)

    return routes


def repeated(body: dict[str, object], found: Translation) -> dict[str, object]:
    """The fields of the request that a response repeats, with the tools that were passed on."""
    echo = {name: body[name] for name in REPEATED if body.get(name) is not None}
    blank = {"type": "function", "strict": None, "parameters": None}
    tools = [{**blank, **function} for function in found.functions]
    chosen = body.get("tool_choice")
    return {
        "parallel_tool_calls": True,
        "text": {"format": {"type": "text"}},
        **echo,
        "tools": tools,
        "tool_choice": (tools and chosen) or "auto",
    }


def translated(body: dict[str, object]) -> tuple[Translation, Tools]:
    """The same request as a chat completion's, and its tools; raises RefusedError (400) that names
    what is unsupported."""
    request = read(ResponsesRequest, body)
    given = request.model_extra or {}
    extra = {name: value for name, value in given.items() if not asks_nothing(value)}
    for name, hint in STORED.items():
        if extra.pop(name, None):
            message = f"`{name}` is not supported here, as nothing is stored: {hint}"
            raise invalid(message, name, "unsupported_parameter")
    chat = {name: value for name, value in extra.items() if name not in NOTED}
    same = {"model", "stream", "temperature", "top_p", "metadata"}
    chat |= request.model_dump(include=same, exclude_none=True)
    found = Translation(chat, NAMES, [name for name in extra if name in NOTED])
    if request.max_output_tokens is not None:
        chat["max_tokens"] = request.max_output_tokens
    include = extra.get("include")
    if request.top_logprobs or (isinstance(include, list) and LOGPROBS in include):
        chat |= {"logprobs": True, "top_logprobs": request.top_logprobs or 0}
    _wishes(request, chat)
    tools = _tools(request, found)
    if request.instructions:
        found.say({"role": "system", "content": request.instructions}, "instructions")
    if isinstance(request.input, str):
        found.say({"role": "user", "content": request.input}, "input")
    else:
        _Items(found, searches=tools.searches()).read(request.input)
    return found, tools


def _wishes(request: ResponsesRequest, chat: dict[str, object]) -> None:
    """The reasoning effort, and the answer's format."""
    text, reasoning = request.text or {}, request.reasoning or {}
    if effort := reasoning.get("effort"):
        chat["reasoning_effort"] = effort
    if verbosity := text.get("verbosity"):
        chat["verbosity"] = verbosity
    form = object_at(text.get("format") or {"type": "text"}, "text.format")
    if form.get("type") == "json_schema":
        schema = {name: value for name, value in form.items() if name != "type"}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form.get("type") != "text":
        chat["response_format"] = form


def _tools(request: ResponsesRequest, found: Translation) -> Tools:
    tools = Tools()
    for place, tool in enumerate(request.tools or []):
        tools.add(tool, f"tools[{place}]")
    for where, tool in brought(request.input):
        tools.add_again(tool, where)
    found.ignored += tools.ignored
    if tools.functions:
        if request.parallel_tool_calls is not None:
            found.body["parallel_tool_calls"] = request.parallel_tool_calls
        if (choice := request.tool_choice) is not None:
            found.body["tool_choice"] = _choice(choice, tools)
    found.functions = tools.functions
    return tools


def _choice(choice: str | dict[str, object], tools: Tools) -> str | dict[str, object]:
    if isinstance(choice, str):
        return choice
    match choice.get("type"):
        case "function" | "custom":
            name = text_at(choice.get("name"), "tool_choice.name")
            function = {"name": function_name(choice.get("namespace"), name)}
            return {"type": "function", "function": function}
        case "allowed_tools":
            tools.only([one for _, one in objects(choice.get("tools"), "tool_choice.tools")])
            return text_at(choice.get("mode"), "tool_choice.mode")
    raise unsupported("tool_choice.type", choice.get("type"))


class _Items:
    """The conversation's items as messages: consecutive reasoning, text and function calls of an
    assistant are one turn."""

    def __init__(self, found: Translation, *, searches: bool) -> None:
        """`searches`: the caller carries out searches for tools, so the model is shown them."""
        self._found = found
        self._searches = searches
        self._turn: dict[str, object] | None = None
        self._calls: list[dict[str, object]] = []
        """The calls of the current turn."""

    def read(self, items: Sequence[dict[str, object]]) -> None:
        if len(items) > MAX_MESSAGES:
            raise invalid(f"`input` may hold at most {MAX_MESSAGES} items", "input")
        for place, item in enumerate(items):
            self._item(item, f"input[{place}]")

    def _item(self, item: dict[str, object], where: str) -> None:
        kind = item.get("type") or "message"
        match kind:
            case "message":
                self._message(item, where)
            case "reasoning":
                if thoughts := _thoughts(item, where):
                    turn = self._assistant(where)
                    turn["reasoning_content"] = f"{turn.get('reasoning_content', '')}{thoughts}"
            case "function_call":
                self._call(item, where)
            case "custom_tool_call":
                arguments = json.dumps({"input": item.get("input")}, ensure_ascii=False)
                self._call({**item, "arguments": arguments}, where)
            case "tool_search_call" if self._searches:
                arguments = json.dumps(item.get("arguments"), ensure_ascii=False)
                self._call({**item, "name": SEARCH, "arguments": arguments}, where)
            case "function_call_output" | "custom_tool_call_output":
                self._output(item, _content(item.get("output"), f"{where}.output"), where)
            case "tool_search_output" if self._searches:
                self._output(item, found_by_search(item, where), where)
            case _ if kind in MORE_TOOLS:
                pass  # read with the other tools
            case "item_reference":
                raise _unknown_item(where)
            case _ if not str(kind).startswith(DROPPED_ITEMS):
                raise unsupported(f"{where}.type", kind)

    def _message(self, item: dict[str, object], where: str) -> None:
        content = _content(item.get("content"), f"{where}.content")
        role = text_at(item.get("role"), f"{where}.role")
        if role != "assistant":
            self._say({"role": role, "content": content}, where)
            return
        turn = self._assistant(where, "content" if self._has_said() else None)
        turn["content"] = content

    def _call(self, item: dict[str, object], where: str) -> None:
        self._assistant(where).setdefault("tool_calls", self._calls)
        self._calls.append(_call(item, where))

    def _output(
        self, item: dict[str, object], content: str | list[dict[str, object]], where: str
    ) -> None:
        called = text_at(item.get("call_id"), f"{where}.call_id")
        self._say({"role": "tool", "tool_call_id": called, "content": content or ""}, where)

    def _has_said(self) -> bool:
        return self._turn is not None and (
            self._turn["content"] is not None or "tool_calls" in self._turn
        )

    def _assistant(self, where: str, fresh: str | None = None) -> dict[str, object]:
        """The assistant's current turn, or a new one."""
        if self._turn is None or fresh:
            turn: dict[str, object] = {"role": "assistant", "content": None}
            self._say(turn, where)
            self._turn, self._calls = turn, []
        return self._turn

    def _say(self, message: dict[str, object], where: str) -> None:
        self._turn = None
        self._found.say(message, where)


def _unknown_item(where: str) -> RefusedError:
    message = (
        f"`{where}` refers to a stored item, and nothing is stored here: send the item itself "
        "(clients do with `store: false`)"
    )
    return invalid(message, where, "unsupported_value")


def _thoughts(item: dict[str, object], where: str) -> str:
    """The text of a reasoning item: the reasoning itself, else its summary."""
    for name in ("content", "summary"):
        parts = list_at(item.get(name) or [], f"{where}.{name}")
        said = [part.get("text") for part in parts if isinstance(part, dict)]
        if text := "\n".join(text for text in said if isinstance(text, str)):
            return text
    return ""


def _call(item: dict[str, object], where: str) -> dict[str, object]:
    function = {name: text_at(item.get(name), f"{where}.{name}") for name in ("name", "arguments")}
    function["name"] = function_name(item.get("namespace"), function["name"])
    called = text_at(item.get("call_id"), f"{where}.call_id")
    return {"id": called, "type": "function", "function": function}


def _content(content: object, where: str) -> str | list[dict[str, object]]:
    if isinstance(content, str):
        return content
    parts = enumerate(parts_at(content, where))
    return [_part(object_at(part, f"{where}[{n}]"), f"{where}[{n}]") for n, part in parts]


def _part(part: dict[str, object], where: str) -> dict[str, object]:
    kind = part.get("type")
    match kind:
        case "input_text" | "output_text" | "text" | "refusal":
            text = part.get("text", part.get("refusal"))
            return {"type": "text", "text": text_at(text, f"{where}.text")}
        case "input_image":
            if part.get("file_id"):
                raise unsupported(f"{where}.file_id", part["file_id"])
            url = text_at(part.get("image_url"), f"{where}.image_url")
            detail = {"detail": part["detail"]} if part.get("detail") else {}
            return {"type": "image_url", "image_url": {"url": url, **detail}}
        case "input_file":
            if not part.get("file_data"):
                raise invalid(f"`{where}.file_data` is missing", f"{where}.file_data")
            file = {name: part[name] for name in ("filename", "file_data") if name in part}
            return {"type": "file", "file": file}
        case "input_audio":
            return {"type": "input_audio", "input_audio": part.get("input_audio")}
    raise unsupported(f"{where}.type", kind)
