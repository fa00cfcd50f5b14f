"""The tools of a Responses request as functions, and calls of them as items of the response.

Hosts know functions alone. A tool inside a namespace (so coding agents offer those of MCP servers)
becomes a function under both names; a custom tool one that takes its input as a text; a search for
tools that the caller carries out one with the caller's own parameters. What such a function is
called for goes back as an item of the tool's own kind, under its own names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from api.translation import list_at, object_at, text_at, unsupported

DROPPED_TOOLS = ("web_search", "local_shell", "image_generation")
"""Built-in tools that coding agents always send: left out, with a note."""
MORE_TOOLS = ("additional_tools", "tool_search_output")
"""Items in which newer coding agents bring tools, or again those of an earlier turn."""
SEARCH = "tool_search"

MAX_NAME = 64
"""The longest name of a function, in characters, that all hosts take."""
_ODD = re.compile(r"[^a-zA-Z0-9_-]")

Kind = Literal["function_call", "custom_tool_call", "tool_search_call"]
Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as its caller knows it, and as the items that call it say so."""

    kind: Kind
    name: str
    namespace: str | None = None


class Tools:
    """The tools that a request offers, each once."""

    def __init__(self) -> None:
        self.functions: list[Json] = []
        """As hosts know them, in OpenAI's form."""
        self.ignored: list[str] = []
        """The places of those that are left out, each with its kind."""
        self.known: dict[str, Tool] = {}
        """By the function's name, the tools that are not plain functions."""

    def add(self, tool: Json, where: str, namespace: str | None = None) -> None:
        """Offer a tool, or those of a namespace; raises RefusedError for an unknown kind."""
        kind = str(tool.get("type"))
        match kind:
            case "function":
                kept = ("description", "parameters", "strict")
                self._offer(tool, {name: tool[name] for name in kept if tool.get(name) is not None},
                            Tool("function_call", _name(tool, where), namespace))  # fmt: skip
            case "custom":
                self._offer(
                    tool, _of_text(tool), Tool("custom_tool_call", _name(tool, where), namespace)
                )
            case "namespace" if namespace is None:
                name = _name(tool, where)
                for place, inner in objects(tool.get("tools"), f"{where}.tools"):
                    self.add(inner, place, name)
            case "tool_search" if tool.get("execution") == "client":
                given = {
                    n: tool[n] for n in ("description", "parameters") if tool.get(n) is not None
                }
                self._offer(tool, given, Tool("tool_search_call", SEARCH))
            case _ if kind.startswith((*DROPPED_TOOLS, SEARCH)):
                self.ignored.append(f"{where} ({kind[:60]})")
            case _:
                raise unsupported(f"{where}.type", tool.get("type"))

    def add_again(self, tool: Json, where: str) -> None:
        """Offer what is not offered yet of a tool that a conversation brings, maybe once more."""
        fresh = Tools()
        fresh.add(tool, where)
        offered = {function["name"] for function in self.functions}
        self.functions += [one for one in fresh.functions if one["name"] not in offered]
        self.known = fresh.known | self.known
        self.ignored += fresh.ignored

    def only(self, allowed: Iterable[Json]) -> None:
        """Withdraw all others."""
        names = {function_name(one.get("namespace"), one.get("name")) for one in allowed}
        whole = {one.get("name") for one in allowed if one.get("type") == "namespace"}
        self.functions = [
            one
            for one in self.functions
            if one["name"] in names or self._namespace(str(one["name"])) in whole
        ]

    def searches(self) -> bool:
        """Whether the caller carries out searches for tools."""
        return any(tool.kind == "tool_search_call" for tool in self.known.values())

    def _namespace(self, name: str) -> str | None:
        return self.known[name].namespace if name in self.known else None

    def _offer(self, tool: Json, given: Json, called: Tool) -> None:
        name = function_name(called.namespace, called.name)
        self.functions.append({"name": name, **given})
        if called.kind != "function_call" or called.namespace is not None:
            self.known[name] = called


def function_name(namespace: object, name: object) -> str:
    """The function's name for a tool in a namespace: the same in every turn."""
    if not isinstance(namespace, str) or not namespace:
        return str(name)
    joined = f"{namespace.removesuffix('__')}__{name}"
    if len(joined) <= MAX_NAME and not _ODD.search(joined):
        return joined
    mark = hashlib.blake2b(joined.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{_ODD.sub('_', joined)[: MAX_NAME - len(mark) - 1]}_{mark}"


def objects(value: object, where: str) -> Iterator[tuple[str, Json]]:
    """The objects of a list, each with its place; raises RefusedError where it is none."""
    for number, one in enumerate(list_at([] if value is None else value, where)):
        yield f"{where}[{number}]", object_at(one, f"{where}[{number}]")


def brought(items: str | list[Json]) -> Iterator[tuple[str, Json]]:
    """The tools that the conversation itself brings, each with its place."""
    for place, item in enumerate([] if isinstance(items, str) else items):
        if item.get("type") in MORE_TOOLS:
            yield from objects(item.get("tools"), f"input[{place}].tools")


def input_of(arguments: str) -> str:
    """The input of a custom tool in the arguments of its function; all of them if there is none."""
    try:
        value = json.loads(arguments)
    except ValueError:
        return arguments
    given = value.get("input") if isinstance(value, dict) else None
    return given if isinstance(given, str) else arguments


def search_of(arguments: str) -> object:
    """The arguments of a search for tools, which its item holds as a value."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def found_by_search(item: Json, where: str) -> str:
    """What a search found, for the model that searched."""
    names = []
    for place, tool in objects(item.get("tools"), f"{where}.tools"):
        inner = [one for _, one in objects(tool.get("tools"), f"{place}.tools")]
        outer = tool.get("name") if tool.get("type") == "namespace" else None
        names += [function_name(outer, one.get("name")) for one in (inner or [tool])]
    return f"You can call these tools now: {', '.join(names)}." if names else "No tool was found."


def _name(tool: Json, where: str) -> str:
    return text_at(tool.get("name"), f"{where}.name")


def _of_text(tool: Json) -> Json:
    """A function that takes a text, for a custom tool; its format can only be described."""
    form = tool.get("format")
    said = str(tool.get("description") or "")
    if isinstance(form, dict) and form.get("type") == "grammar":
        said += (
            f"\n\n`input` must follow this {form.get('syntax')} grammar:\n{form.get('definition')}"
        )
    schema = {
        "type": "object",
        "properties": {"input": {"type": "string", "description": "The tool's input, as it is."}},
        "required": ["input"],
        "additionalProperties": False,
    }
    return {**({"description": said.strip()} if said else {}), "parameters": schema}
