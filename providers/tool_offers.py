"""A request's tools in OpenAI's current form, whatever form it used.

Older functions, flat tools (as OpenAI's Responses and Anthropic's Messages write them), and a
choice by a bare name or from a list of allowed tools are translated. Tools that no caller here
could execute, such as `custom` and hosted ones, are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from config.errors import UsageError
from providers.fields import check_json

MAX_TOOLS = 512
FIELDS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")
"""The fields that this module reads."""

_NAME = re.compile(r"[a-zA-Z0-9_.:-]{1,128}")
_CHOICES = {"none": "none", "auto": "auto", "required": "required", "any": "required"}
_SCHEMAS = ("parameters", "input_schema")

Tool = Mapping[str, object]


def tool_offers(request: Mapping[str, object]) -> dict[str, object]:
    """`tools`, `tool_choice` and `parallel_tool_calls` as sent to a provider; empty if no tool is
    offered. Tools already in OpenAI's form are passed on unchanged.

    Raises UsageError that names the field. Applying it to its own result changes nothing.
    """
    tools, older = request.get("tools"), request.get("functions")
    if tools and older:
        raise UsageError("give `tools` or the older `functions`, not both", "functions")
    where = "functions" if older else "tools"
    read = [_tool(one, f"{where}[{at}]") for at, one in enumerate(_list(tools or older, where))]
    field = "tool_choice" if request.get("tool_choice") else "function_call"
    read, choice = _chosen(request.get(field), read, field)
    if not read:
        return {}
    found: dict[str, object] = {"tools": read}
    if choice is not None:
        found["tool_choice"] = choice
    parallel = request.get("parallel_tool_calls")
    if parallel is not None and not isinstance(parallel, bool):
        raise UsageError("`parallel_tool_calls` must be true or false", "parallel_tool_calls")
    if older:
        parallel = False  # the older form has room for one call
    return found if parallel is None else {**found, "parallel_tool_calls": parallel}


def _list(given: object, where: str) -> Sequence[object]:
    if not given:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise UsageError(f"`{where}` must be a list", where)
    if len(given) > MAX_TOOLS:
        raise UsageError(f"`{where}` may hold at most {MAX_TOOLS}", where)
    return given


def _tool(given: object, where: str) -> Tool:
    if not isinstance(given, Mapping):
        raise UsageError(f"`{where}` must be an object", where)
    check_json(given, where)
    kind, older = given.get("type"), where.startswith("functions")
    flat = older or not isinstance(given.get("function"), Mapping)
    if kind not in (None, "function") or (kind is None and flat and not (older or _bare(given))):
        said = repr(kind)[:60]
        message = f"`{where}.type`: {said} is not supported here; it can be 'function'"
        raise UsageError(message, f"{where}.type", "unsupported_value")
    function = _function(given) if flat else given["function"]
    tool: Tool = {"type": "function", "function": function} if flat else given
    _check(function, where if flat else f"{where}.function")
    return tool if kind or flat else {**given, "type": "function"}


def _bare(given: Tool) -> bool:
    """A tool without a type, as Anthropic writes it."""
    return "name" in given and any(name in given for name in _SCHEMAS)


def _function(given: Tool) -> dict[str, object]:
    parameters = next((given[name] for name in _SCHEMAS if given.get(name) is not None), None)
    kept = {name: given.get(name) for name in ("name", "description", "strict")}
    found = {**kept, "parameters": parameters}
    return {name: value for name, value in found.items() if value is not None}


def _check(function: Tool, where: str) -> None:
    name, parameters = function.get("name"), function.get("parameters")
    if not name:
        raise UsageError(f"`{where}.name` is missing", f"{where}.name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        said = "up to 128 letters, digits and `_.:-`"
        raise UsageError(
            f"`{where}.name`: {str(name)[:60]!r} is not a valid name ({said})", f"{where}.name"
        )
    if parameters is not None and not isinstance(parameters, Mapping):
        raise UsageError(f"`{where}.parameters` must be an object", f"{where}.parameters")
    if not isinstance(function.get("description") or "", str):
        raise UsageError(f"`{where}.description` must be a text", f"{where}.description")


def _chosen(given: object, tools: list[Tool], field: str) -> tuple[list[Tool], object]:
    """The tools that may be called, and the choice among them."""
    if not given:
        return tools, None
    kind = given.get("type") if isinstance(given, Mapping) else given
    if kind == "allowed_tools" and isinstance(given, Mapping):
        return _allowed(given, tools, field)
    if isinstance(kind, str) and kind in _CHOICES:
        choice: object = _CHOICES[kind]
        if choice == "required" and not tools:
            raise UsageError(f"`{field}` goes with `tools` only", field)
        return tools, choice
    name = _name(given)
    if name is None:
        said = repr(kind if isinstance(given, Mapping) and kind else given)[:60]
        known = "'none', 'auto', 'required' or a function"
        message = f"`{field}`: {said} is not supported here; it can be {known}"
        raise UsageError(message, field, "unsupported_value")
    _offered(name, tools, field)
    return tools, {"type": "function", "function": {"name": name}}


def _allowed(given: Tool, tools: list[Tool], field: str) -> tuple[list[Tool], object]:
    """A choice from some of the tools: the others are not offered."""
    inner = given.get("allowed_tools")
    inner = inner if isinstance(inner, Mapping) else given
    names = [_name(one) for one in _list(inner.get("tools"), f"{field}.tools")]
    for name in names:
        if name is None:
            message = f"`{field}`: only functions can be allowed here"
            raise UsageError(message, field, "unsupported_value")
        _offered(name, tools, field)
    if not names:
        raise UsageError(f"`{field}` allows no tools; name some", field)
    mode = inner.get("mode") or "auto"
    if mode not in _CHOICES:
        raise UsageError(f"`{field}.mode`: {mode!r:.60} can be 'auto' or 'required'", field)
    return [tool for tool in tools if _name(tool) in names], _CHOICES[mode]


def _offered(name: str, tools: Sequence[Tool], field: str) -> None:
    if not tools:
        raise UsageError(f"`{field}` goes with `tools` only", field)
    if name not in {_name(tool) for tool in tools}:
        raise UsageError(f"`{field}` names {name[:60]!r}, a tool that is not in `tools`", field)


def _name(choice: object) -> str | None:
    """The function that a choice names, nested, flat or bare; None if it names none."""
    if isinstance(choice, Mapping):
        if choice.get("type") not in (None, "function", "tool"):
            return None
        inner = choice.get("function")
        choice = (inner if isinstance(inner, Mapping) else choice).get("name")
    return choice if isinstance(choice, str) and choice else None
