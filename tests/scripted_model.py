"""What a scripted model with tools answers: it follows the request's tools and schemas, always the
same way, so that other people's suites find in it what they expect of a capable model.

It calls a tool when the choice says so, and else each tool whose name or subject the last user's
message speaks of, unless the tools' results are in already. Arguments come from the tool's own
schema: numbers, quoted words and names of the prompt where their types fit. A response format is
kept likewise. Pictures are acknowledged by their number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

PIECE = 7
"""Characters of arguments in one delta of a stream."""
_SUBJECTS = re.compile(r"[A-Za-z]{4,}")
_QUOTED = re.compile(r"[\"'`“‘]([^\"'`”’]{1,80})[\"'`”’]")
_NAMES = re.compile(r"(?:[A-Z][\w.-]+)(?:,? [A-Z][\w.-]+)*")


@dataclass(frozen=True)
class Called:
    """One call of a tool; `arguments` is JSON as the model writes it."""

    id: str
    name: str
    arguments: str

    def whole(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}

    def deltas(self, index: int) -> Iterator[dict[str, Any]]:
        """The pieces of a stream: id and name first, then the arguments."""
        head = self.whole()
        head["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": index, **head}]}
        for begin in range(0, len(self.arguments), PIECE):
            piece = {"arguments": self.arguments[begin : begin + PIECE]}
            yield {"tool_calls": [{"index": index, "function": piece}]}


@dataclass(frozen=True)
class Said:
    """An answer: text, or calls of tools."""

    text: str = ""
    calls: tuple[Called, ...] = ()


def answer(body: dict[str, Any]) -> Said | None:
    """The answer to a request for a tool, a format or a look at pictures; None to others."""
    messages, asked = body["messages"], _asked(body["messages"])
    if (forced := _forced(body)) is not None:
        return Said(calls=_calls(forced, asked, len(messages)))
    if messages[-1]["role"] == "tool":
        results = [_text(m) for m in messages if m["role"] == "tool"]
        said = f"The tools say: {'; '.join(results)}"
        return _formatted(body, said) or Said(said)
    if chosen := _chosen(body, asked):
        return Said(calls=_calls(chosen, asked, len(messages)))
    if (formatted := _formatted(body, asked)) is not None:
        return formatted
    pictures = sum(_pictures(m) for m in messages)
    return Said(f"I see {pictures} picture(s).") if pictures else None


def _asked(messages: list[dict[str, Any]]) -> str:
    return next((_text(m) for m in reversed(messages) if m["role"] == "user"), "")


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content if part.get("type") == "text")


def _pictures(message: dict[str, Any]) -> int:
    content = message.get("content") or ""
    return 0 if isinstance(content, str) else sum(p.get("type") == "image_url" for p in content)


def _forced(body: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The tools that the choice demands."""
    choice, tools = body.get("tool_choice"), body.get("tools") or []
    if isinstance(choice, dict):
        name = choice["function"]["name"]
        return [tool for tool in tools if tool["function"]["name"] == name]
    if choice == "required":
        return _mentioned(tools, _asked(body["messages"])) or tools[:1]
    return None


def _chosen(body: dict[str, Any], asked: str) -> list[dict[str, Any]]:
    if body.get("tool_choice") == "none":
        return []
    found = _mentioned(body.get("tools") or [], asked)
    return found[:1] if body.get("parallel_tool_calls") is False else found


def _mentioned(tools: list[dict[str, Any]], asked: str) -> list[dict[str, Any]]:
    named = [tool for tool in tools if tool["function"]["name"] in asked]
    longest = [
        tool
        for tool in named
        if not any(
            tool["function"]["name"] in other["function"]["name"]
            for other in named
            if other is not tool
        )
    ]
    if longest:
        return longest
    words = {word.lower() for word in _SUBJECTS.findall(asked)}
    return [
        tool
        for tool in tools
        if words
        & {w.lower() for w in _SUBJECTS.findall(tool["function"]["name"].replace("_", " "))}
    ]


def _calls(tools: list[dict[str, Any]], asked: str, turn: int) -> tuple[Called, ...]:
    return tuple(
        Called(
            f"call_{turn}_{index}",
            tool["function"]["name"],
            json.dumps(
                value_of(tool["function"].get("parameters") or {}, asked), ensure_ascii=False
            ),
        )
        for index, tool in enumerate(tools)
    )


def _formatted(body: dict[str, Any], asked: str) -> Said | None:
    """The answer in the format that the request asks for, if it asks for one."""
    form = body.get("response_format") or {}
    match form.get("type"):
        case "json_schema":
            schema = form["json_schema"].get("schema") or {}
            return Said(json.dumps(value_of(schema, asked), ensure_ascii=False))
        case "json_object":
            keys = _QUOTED.findall(asked) or ["answer"]
            return Said(json.dumps({key: f"about {key}" for key in keys}))
    return None


def value_of(schema: dict[str, Any], asked: str) -> Any:
    """A value that the schema allows, from the prompt's own numbers and words where they fit."""
    return _Values(schema, asked).of(schema, "")


class _Values:
    def __init__(self, root: dict[str, Any], asked: str) -> None:
        self._root, self._asked = root, asked
        self._numbers = iter(re.findall(r"-?\d+(?:\.\d+)?", asked))
        self._quoted = iter(_QUOTED.findall(asked))

    def of(self, schema: dict[str, Any], name: str) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            said = [v for v in schema["enum"] if str(v).lower() in self._asked.lower()]
            return (said or schema["enum"])[0]
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((k for k in kind if k != "null"), "null")
        if kind == "object" or "properties" in schema:
            return self._object(schema)
        match kind:
            case "array":
                return [self.of(schema.get("items") or {}, name)]
            case "integer":
                return int(float(next(self._numbers, "1")))
            case "number":
                return float(next(self._numbers, "1"))
            case "boolean":
                return True
            case "null":
                return None
        return self._words(name)

    def _object(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Its required members, and those that the prompt names."""
        members = schema.get("properties") or {}
        wanted = schema.get("required") or []
        lower = self._asked.lower()
        return {
            name: self.of(member, name)
            for name, member in members.items()
            if name in wanted or name.lower() in lower
        }

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while True:
            if "$ref" in schema:
                found: Any = self._root
                for step in schema["$ref"].removeprefix("#/").split("/"):
                    found = found[step]
                schema = found
            elif options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
                schema = next((o for o in options if o.get("type") != "null"), options[0])
            else:
                return schema

    def _words(self, name: str) -> str:
        if (quoted := next(self._quoted, None)) is not None:
            return quoted
        names = [n for n in _NAMES.findall(self._asked) if self._asked.find(n) > 0]
        return names[0] if names else f"{name or 'text'} of: {self._asked[:60]}"
