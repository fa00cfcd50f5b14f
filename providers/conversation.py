"""Reading messages as clients of OpenAI's API really send them.

Replayed replies of any server are taken: null or missing content, names, ids, annotations, cache
marks, thoughts. What a message may hold and nobody downstream knows is dropped; what would change
the answer and cannot be passed on is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from config.errors import UsageError
from providers.messages import AudioPart, FilePart, ImagePart, Message, Part, TextPart, ToolCall

MAX_MESSAGES = 2048
MAX_PARTS = 256
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})
_DROPPED_PARTS = frozenset({"thinking", "redacted_thinking", "reasoning", "tool_use", "tool_call"})
"""Thoughts of another model, and calls that stand in `tool_calls` as well."""


def conversation(raw: object) -> list[Message]:
    """The messages; UsageError names the first thing that is wrong in them."""
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        raise UsageError("`messages` must be a list of messages", "messages")
    if not raw:
        raise UsageError("`messages` must hold at least 1 message", "messages")
    if len(raw) > MAX_MESSAGES:
        raise UsageError(f"`messages` may hold at most {MAX_MESSAGES} messages", "messages")
    found = [_message(message, f"messages[{place}]") for place, message in enumerate(raw)]
    if not any(m["content"] or m.get("tool_calls") for m in found):
        raise UsageError("the messages are empty; send some text", "messages")
    if found[-1]["role"] == "user" and not _says_something(found[-1]):
        where = f"messages[{len(found) - 1}].content"
        raise UsageError("the last message is empty; send some text", where)
    return found


def _message(raw: object, where: str) -> Message:
    if not isinstance(raw, Mapping):
        raise UsageError(f"`{where}` must be an object with `role` and `content`", where)
    role = _ROLES.get(raw.get("role", ""))
    if role is None:
        given = repr(raw.get("role"))[:60]
        known = ", ".join(sorted(_ROLES))
        raise UsageError(
            f"`{where}.role`: {given} is not known here; there are {known}", f"{where}.role"
        )
    message = Message(role=role, content=_content(raw, role, where))  # type: ignore[typeddict-item]
    if isinstance(name := raw.get("name"), str) and name and role != "tool":
        message["name"] = name
    if role == "assistant" and raw.get("tool_calls"):
        message["tool_calls"] = _calls(raw["tool_calls"], f"{where}.tool_calls")
    if role == "tool":
        if not isinstance(called := raw.get("tool_call_id"), str) or not called:
            raise UsageError(f"`{where}.tool_call_id` is missing", f"{where}.tool_call_id")
        message["tool_call_id"] = called
    return message


def _content(raw: Mapping[str, Any], role: str, where: str) -> str | list[Part]:
    content = raw.get("content")
    if isinstance(content, str):
        return content
    if content is None:
        if role in ("user", "system") and not raw.get("name"):
            raise UsageError(f"`{where}.content` is missing", f"{where}.content")
        return ""
    if not isinstance(content, list):
        raise UsageError(f"`{where}.content` must be a text or a list", f"{where}.content")
    if len(content) > MAX_PARTS:
        raise UsageError(f"`{where}.content` may hold at most {MAX_PARTS} parts", where)
    read = (_part(part, f"{where}.content[{place}]") for place, part in enumerate(content))
    parts = [part for part in read if part is not None]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts if part["type"] == "text")
    return parts


def _part(raw: object, where: str) -> Part | None:
    if isinstance(raw, str):
        return TextPart(type="text", text=raw)
    kind = raw.get("type") if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(kind, str):
        raise UsageError(f"`{where}.type` is missing", f"{where}.type")
    if kind in _TEXT_PARTS:
        text = raw.get("text", raw.get("refusal"))
        if not isinstance(text, str):
            raise UsageError(f"`{where}.text` must be a text", f"{where}.text")
        return TextPart(type="text", text=text)
    if kind in _DROPPED_PARTS:
        return None
    held = raw.get(kind)
    if kind == "image_url":
        return _image(held, where)
    if kind == "input_audio" and isinstance(held, Mapping):
        return AudioPart(type="input_audio", input_audio=dict(held))
    if kind == "file" and isinstance(held, Mapping):
        return FilePart(type="file", file=dict(held))
    raise UsageError(f"`{where}.type`: {kind[:60]!r} is not supported here", f"{where}.type")


def _image(held: object, where: str) -> ImagePart:
    url = held if isinstance(held, str) else held.get("url") if isinstance(held, Mapping) else None
    if not isinstance(url, str) or not url.startswith(("data:", "https://", "http://")):
        raise UsageError(
            f"`{where}.image_url.url` must be a `data:` or an http address",
            f"{where}.image_url.url",
        )
    detail = held.get("detail") if isinstance(held, Mapping) else None
    if isinstance(detail, str):
        return ImagePart(type="image_url", image_url={"url": url, "detail": detail})
    return ImagePart(type="image_url", image_url={"url": url})


def _calls(raw: object, where: str) -> list[ToolCall]:
    if not isinstance(raw, list):
        raise UsageError(f"`{where}` must be a list", where)
    return [_call(call, f"{where}[{place}]") for place, call in enumerate(raw)]


def _call(raw: object, where: str) -> ToolCall:
    function = raw.get("function") if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(function, Mapping):
        raise UsageError(f"`{where}.function` is missing", f"{where}.function")
    name, arguments = function.get("name"), function.get("arguments", "")
    if not isinstance(name, str) or not name:
        raise UsageError(f"`{where}.function.name` is missing", f"{where}.function.name")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments)
    if not isinstance(called := raw.get("id"), str) or not called:
        raise UsageError(f"`{where}.id` is missing", f"{where}.id")
    return ToolCall(id=called, type="function", function={"name": name, "arguments": arguments})


def _says_something(message: Message) -> bool:
    content = message["content"]
    return bool(content.strip()) if isinstance(content, str) else bool(content)
