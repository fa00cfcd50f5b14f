"""A conversation's messages in the form of OpenAI's chat API, in which requests travel.

The router passes them on unchanged. Only this module distinguishes text, pictures, files, tool
calls and their results.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Required

from typing_extensions import TypedDict

from config.hosts import Capability

Role = Literal["system", "user", "assistant", "tool"]


class TextPart(TypedDict):
    type: Literal["text"]
    text: str


class ImageUrl(TypedDict, total=False):
    url: Required[str]
    detail: str


class ImagePart(TypedDict):
    type: Literal["image_url"]
    image_url: ImageUrl


class AudioPart(TypedDict):
    type: Literal["input_audio"]
    input_audio: dict[str, object]


class FilePart(TypedDict):
    type: Literal["file"]
    file: dict[str, object]


Part = TextPart | ImagePart | AudioPart | FilePart


class Function(TypedDict):
    name: str
    arguments: str
    """JSON, as the model wrote it."""


class ToolCall(TypedDict):
    id: str
    type: Literal["function"]
    function: Function


class Message(TypedDict, total=False):
    """One turn. A tool's result has `tool_call_id`; an assistant's turn may consist of tool calls
    alone, then its content is empty."""

    role: Required[Role]
    content: Required[str | list[Part]]
    name: str
    tool_calls: list[ToolCall]
    tool_call_id: str
    reasoning_content: str
    """The reasoning that led to the turn's tool calls, for hosts that want it returned."""


_NEEDED: dict[str, Capability] = {"image_url": "images", "input_audio": "audio", "file": "files"}
_FORMS: tuple[Capability, ...] = ("json_schema", "json_object")
_WORDS = {"image_url": "a picture", "input_audio": "a recording", "file": "a file"}


def text_of(message: Message) -> str:
    """The text of a message; the texts of several parts are joined by line breaks."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def written(message: Message) -> str:
    """Everything a model reads of a message as text, including tool calls."""
    calls = message.get("tool_calls")
    if not calls:
        return text_of(message)
    said = (f"{c['function']['name']} {c['function']['arguments']}" for c in calls)
    return "\n".join([text_of(message), *said])


def needs(messages: Sequence[Message], options: Mapping[str, object]) -> frozenset[Capability]:
    """The capabilities that a model needs to answer these messages with these options.

    Vision is needed only for new pictures: earlier ones, before the assistant's last answer, were
    seen then, and a model without vision may answer the text that followed (`without_media`).
    """
    found: set[Capability] = set()
    if options.get("tools") or any(m["role"] == "tool" or m.get("tool_calls") for m in messages):
        found.add("tools")
    form = options.get("response_format")
    if isinstance(form, Mapping):
        found.update(kind for kind in _FORMS if form.get("type") == kind)
    if options.get("logprobs"):
        found.add("logprobs")
    for message in messages[_turn(messages) :]:
        found.update(_NEEDED[part["type"]] for part in _media(message))
    return frozenset(found)


def without_media(messages: Sequence[Message], lacking: Collection[str]) -> list[Message]:
    """The messages with a placeholder for each picture, recording or file of those kinds."""
    return [Message(**{**m, "content": _worded(m, lacking)}) if _media(m) else m for m in messages]


def placeholder(part: Part) -> str:
    """Text that stands for a picture, a recording or a file."""
    return f"[{_WORDS[part['type']]}]"


def _worded(message: Message, lacking: Collection[str]) -> list[Part]:
    content = message["content"]
    return [
        TextPart(type="text", text=placeholder(part))
        if _NEEDED.get(part["type"]) in lacking
        else part
        for part in ([] if isinstance(content, str) else content)
    ]


def _media(message: Message) -> list[Part]:
    content = message["content"]
    return [] if isinstance(content, str) else [p for p in content if p["type"] in _NEEDED]


def _turn(messages: Sequence[Message]) -> int:
    """Index where the turn to be answered begins: after the last answer without tool calls."""
    for place in range(len(messages) - 2, -1, -1):
        if messages[place]["role"] == "assistant" and not messages[place].get("tool_calls"):
            return place + 1
    return 0
