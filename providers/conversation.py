"""Reads messages as clients of OpenAI's API really send them.

Replayed replies of any server are accepted: null or missing content, names, ids, annotations, cache
marks, reasoning, the older `function_call` and its result. Parts of a message that no host
understands are dropped; anything that would change the answer but cannot be passed on is refused by
name. A call without an id gets one, and a result without an id belongs to the next call without a
result.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence

from config.errors import UsageError
from providers.fields import check_json
from providers.messages import AudioPart, FilePart, ImagePart, Message, Part, TextPart, ToolCall

MAX_MESSAGES = 2048
MAX_PARTS = 256
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})
_DROPPED_PARTS = frozenset({"thinking", "redacted_thinking", "reasoning", "tool_use", "tool_call"})
"""Reasoning of another model, and calls that are also in `tool_calls`."""
_NO_NAME = re.compile(r"[\s<|\\/>]")
"""Characters that OpenAI does not accept in a name."""
_PARTS = _TEXT_PARTS | _DROPPED_PARTS | {"image_url", "input_image", "image", "input_audio", "file"}


def conversation(raw: object) -> list[Message]:
    """The messages; raises UsageError that names the first mistake in them."""
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        raise UsageError("`messages` must be a list of messages", "messages")
    if not raw:
        raise UsageError("`messages` must hold at least 1 message", "messages")
    if len(raw) > MAX_MESSAGES:
        raise UsageError(f"`messages` may hold at most {MAX_MESSAGES} messages", "messages")
    found = [_message(message, f"messages[{place}]") for place, message in enumerate(raw)]
    _pair(found, raw)
    if not any(m["content"] or m.get("tool_calls") for m in found):
        raise UsageError("the messages are empty; send some text", "messages")
    if found[-1]["role"] == "user" and not _says_something(found[-1]):
        where = f"messages[{len(found) - 1}].content"
        raise UsageError("the last message is empty; send some text", where)
    return found


def _message(raw: object, where: str) -> Message:
    if not isinstance(raw, Mapping):
        raise UsageError(f"`{where}` must be an object with `role` and `content`", where)
    given = raw.get("role")
    role = _ROLES.get(given) if isinstance(given, str) else None
    if role is None:
        known = ", ".join(sorted(_ROLES))
        raise UsageError(
            f"`{where}.role`: {repr(given)[:60]} is unknown; known are {known}",
            f"{where}.role",
        )
    message = Message(role=role, content=_content(raw, role, where))  # type: ignore[typeddict-item]
    if isinstance(name := raw.get("name"), str) and name and role != "tool":
        message["name"] = _NO_NAME.sub("_", name)
    if role == "assistant" and (calls := raw.get("tool_calls") or _uses(raw.get("content"))):
        message["tool_calls"] = _calls(calls, f"{where}.tool_calls")
    elif role == "assistant" and raw.get("function_call"):
        message["tool_calls"] = [_call({"function": raw["function_call"]}, where, "function_call")]
    if "tool_calls" in message and isinstance(thoughts := raw.get("reasoning_content"), str):
        message["reasoning_content"] = thoughts
    if role == "tool":
        called = raw.get("tool_call_id")
        message["tool_call_id"] = called if isinstance(called, str) else ""
    return message


def _pair(found: Sequence[Message], raw: Sequence[object]) -> None:
    """Give each call an id, and each result that of its call; raises UsageError for a result
    without a call.

    The same messages always get the same ids.
    """
    pending: list[ToolCall] = []
    made_up: set[str] = set()
    for place, message in enumerate(found):
        if calls := message.get("tool_calls"):
            for at, call in enumerate(calls):
                if not call["id"]:
                    call["id"] = f"call_{place}x{at}"
                    made_up.add(call["id"])
            pending = list(calls)
        elif message["role"] == "tool":
            given = raw[place]
            name = given.get("name") if isinstance(given, Mapping) else None
            call_of = _answered(message["tool_call_id"], name, pending, made_up)
            if call_of is not None:
                pending.remove(call_of)
                message["tool_call_id"] = call_of["id"]
            elif not message["tool_call_id"]:
                where = f"messages[{place}].tool_call_id"
                raise UsageError(f"`{where}` is missing, and no call before it is open", where)


def _answered(
    given: str, name: object, pending: Sequence[ToolCall], made_up: Collection[str]
) -> ToolCall | None:
    """The open call that a result belongs to: by its id, else by its tool's name, else the next
    one.

    An unknown id may be the caller's own for a call that came without one.
    """
    if same := next((call for call in pending if call["id"] == given), None):
        return same
    open_calls = [call for call in pending if not given or call["id"] in made_up]
    named = (call for call in open_calls if call["function"]["name"] == name)
    return next(named, open_calls[0] if open_calls else None)


def _content(raw: Mapping[str, object], role: str, where: str) -> str | list[Part]:
    content = raw.get("content")
    if isinstance(content, str):
        return content
    if content is None:
        refused = raw.get("refusal")
        return refused if role == "assistant" and isinstance(refused, str) else ""
    check_json(content, f"{where}.content")
    if role == "tool" and not _is_parts(content):
        return json.dumps(content, ensure_ascii=False)
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, list):
        raise UsageError(f"`{where}.content` must be a text or a list of parts", f"{where}.content")
    if len(content) > MAX_PARTS:
        raise UsageError(f"`{where}.content` may hold at most {MAX_PARTS} parts", where)
    read = (_part(part, f"{where}.content[{place}]") for place, part in enumerate(content))
    parts = [part for part in read if part is not None]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts if part["type"] == "text")
    return parts


def _is_parts(content: object) -> bool:
    """Whether it is a list of parts, or one part; a tool's result may be any other JSON value."""
    parts = content if isinstance(content, list) else [content]
    return bool(parts) and all(isinstance(p, Mapping) and p.get("type") in _PARTS for p in parts)


def _part(raw: object, where: str) -> Part | None:
    if isinstance(raw, str):
        return TextPart(type="text", text=raw)
    kind = raw.get("type", "text" if "text" in raw else None) if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(kind, str):
        raise UsageError(f"`{where}.type` is missing", f"{where}.type")
    if kind in _TEXT_PARTS:
        text = raw.get("text", raw.get("refusal"))
        if text is None:
            return None
        if not isinstance(text, str):
            raise UsageError(f"`{where}.text` must be a text", f"{where}.text")
        return TextPart(type="text", text=text)
    if kind in _DROPPED_PARTS:
        return None
    held = raw.get(kind)
    if kind == "image_url":
        return _image(held, where)
    if kind in ("input_image", "image"):
        return _image(_other_image(raw), where)
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


def _other_image(raw: Mapping[str, object]) -> object:
    """The address in a picture in the form of OpenAI's Responses, Anthropic's Messages or
    LangChain."""
    source = raw.get("source")
    held = source if isinstance(source, Mapping) else raw
    if isinstance(data := held.get("data", held.get("base64")), str):
        return f"data:{held.get('media_type', held.get('mime_type'))};base64,{data}"
    return held.get("image_url", held.get("url"))


def _calls(raw: object, where: str) -> list[ToolCall]:
    if not isinstance(raw, list):
        raise UsageError(f"`{where}` must be a list", where)
    return [_call(call, f"{where}[{place}]") for place, call in enumerate(raw)]


def _uses(content: object) -> list[dict[str, object]]:
    """The calls that are only among an assistant's parts, as Anthropic writes them."""
    parts = content if isinstance(content, list) else []
    return [
        {"id": part.get("id"), "function": {"name": part["name"], "arguments": part.get("input")}}
        for part in parts
        if isinstance(part, Mapping) and part.get("type") == "tool_use" and part.get("name")
    ]


def _call(raw: object, where: str, member: str = "function") -> ToolCall:
    """One call; its id is empty if it has none. `member` is the key of its function."""
    function = raw.get("function") if isinstance(raw, Mapping) else None
    if isinstance(raw, Mapping) and isinstance(custom := raw.get("custom"), Mapping):
        function = {"name": custom.get("name"), "arguments": {"input": custom.get("input")}}
    if not isinstance(raw, Mapping) or not isinstance(function, Mapping):
        raise UsageError(f"`{where}.{member}` is missing", f"{where}.{member}")
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or not name:
        raise UsageError(f"`{where}.{member}.name` is missing", f"{where}.{member}.name")
    if not isinstance(arguments, str):
        check_json(arguments, f"{where}.{member}.arguments")
        arguments = json.dumps({} if arguments is None else arguments)
    called = raw.get("id")
    return ToolCall(
        id=called if isinstance(called, str) else "",
        type="function",
        function={"name": name, "arguments": arguments or "{}"},
    )


def _says_something(message: Message) -> bool:
    content = message["content"]
    return bool(content.strip()) if isinstance(content, str) else bool(content)
