"""Edits a YAML text in place: everything that an edit does not name stays byte for byte.

Dumping a loaded document, even in ruamel's round-trip mode, re-flows long lists, re-aligns values
and attaches the comment above the next section to an entry appended before it. So the document is
only composed here to locate its nodes, and the text is spliced at those positions. The caller
compares the values before and after (`plain`), so an edit that unusual YAML (aliases, tags) led
astray is refused instead of written.
"""

from __future__ import annotations

import json
import re

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]
"""The path from the root to a node: mapping keys and list indices."""

_FLOW_LIMIT = 88
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*(:[A-Za-z0-9_./+-]+)*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_SPECIAL = re.compile(r'["\\\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]')
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_ALIAS = re.compile(r"\s*:\s*\*[^\s,\]}]+")


def plain(text: str) -> object:
    """The document's values as plain Python objects."""
    return YAML(typ="safe", pure=True).load(text)


def insert_item(text: str, path: Path, value: object, index: int | None = None) -> str:
    """Insert `value` into the list at `path` before `index` (None: at the end).

    Raises LookupError if `path` does not lead to a list.
    """
    node = _find(text, path)
    if not isinstance(node, SequenceNode):
        raise LookupError(path)
    items: list[Node] = node.value
    at = len(items) if index is None else max(0, min(index, len(items)))
    if node.flow_style or not items:
        return _insert_flow(text, node, _flow(value), at)
    dash = _dash(text, items[max(0, at - 1)])
    column = dash - _line_start(text, dash)
    offset = max(2, items[0].start_mark.column - column) if _same_line(text, items[0]) else 2
    lines = _block(value)
    block = ["-".ljust(offset) + lines[0], *(" " * offset + line for line in lines[1:])]
    if at == 0:
        return _insert_lines(text, _line_start(text, dash), block, column)
    if at > 1 and _blank_above(text, _line_start(text, _dash(text, items[at - 1]))):
        block.insert(0, "")
    return _insert_lines(text, _line_end(text, _end(text, items[at - 1])), block, column)


def remove_item(text: str, path: Path, index: int) -> str:
    """Remove the item at `index` from the list at `path`, with the comments on its own lines.

    Raises LookupError if there is no such item.
    """
    node = _find(text, path)
    if not isinstance(node, SequenceNode) or index >= len(node.value):
        raise LookupError((*path, index))
    items: list[Node] = node.value
    if node.flow_style:
        return _remove_flow(text, node, [(i.start_mark.index, _end(text, i)) for i in items], index)
    start = _line_start(text, _dash(text, items[index]))
    end = _line_end(text, _end(text, items[index]))
    if _blank_above(text, start):
        start = _line_start(text, start - 1)
    return text[:start] + text[end:]


def set_key(text: str, path: Path, key: str, value: object) -> str:
    """Set `key` of the mapping at `path`; None removes the key.

    Raises LookupError if `path` does not lead to a mapping, or the key cannot be removed.
    """
    node = _find(text, path)
    if not isinstance(node, MappingNode):
        raise LookupError(path)
    pairs: list[tuple[ScalarNode, Node]] = node.value
    index = next((i for i, (k, _) in enumerate(pairs) if k.value == key), None)
    if index is not None and value is not None:
        start, end = pairs[index][1].start_mark.index, _end(text, pairs[index][1])
        return text[:start] + _flow(value) + text[end:]
    if value is None:
        return text if index is None else _remove_key(text, node, index)
    if node.flow_style:
        return _insert_flow(text, node, f"{key}: {_flow(value)}", len(pairs))
    column = pairs[0][0].start_mark.column
    line = f"{key}: {_flow(value)}"
    return _insert_lines(text, _line_end(text, _end(text, node)), [line], column)


def _remove_key(text: str, node: MappingNode, index: int) -> str:
    pairs: list[tuple[ScalarNode, Node]] = node.value
    spans = [(k.start_mark.index, _end(text, v)) for k, v in pairs]
    if node.flow_style:
        return _remove_flow(text, node, spans, index)
    start = _line_start(text, spans[index][0])
    if text[start : spans[index][0]].strip():
        raise LookupError(
            pairs[index][0].value
        )  # the key shares its line with the list item's dash
    return text[:start] + text[_line_end(text, spans[index][1]) :]


def _find(text: str, path: Path) -> Node:
    node: Node | None = YAML().compose(text)
    for part in path:
        if isinstance(node, MappingNode):
            node = next((v for k, v in node.value if k.value == part), None)
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            node = None
    if node is None:
        raise LookupError(path)
    return node


def _end(text: str, node: Node) -> int:
    """Where the node's own text ends; a block node's end mark lies after any comments that
    follow."""
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        key, value = node.value[-1]
        if value.start_mark.index < key.start_mark.index:
            alias = _ALIAS.match(text, key.end_mark.index)
            return alias.end() if alias else int(key.end_mark.index)
        return max(_end(text, value), int(key.end_mark.index))
    if isinstance(node, SequenceNode) and not node.flow_style and node.value:
        return _end(text, node.value[-1])
    start, end = int(node.start_mark.index), int(node.end_mark.index)
    return start + len(text[start:end].rstrip())


def _insert_flow(text: str, node: Node, words: str, at: int) -> str:
    if not node.value:
        place = text.index("[" if isinstance(node, SequenceNode) else "{", node.start_mark.index)
        return text[: place + 1] + words + text[place + 1 :]
    last = node.value[at - 1 if at else 0]
    first = last[0] if isinstance(last, tuple) else last
    if at == 0:
        place = int(first.start_mark.index)
        return f"{text[:place]}{words}, {text[place:]}"
    place = _end(text, last[1] if isinstance(last, tuple) else last)
    return f"{text[:place]}, {words}{text[place:]}"


def _remove_flow(text: str, node: Node, spans: list[tuple[int, int]], index: int) -> str:
    if index > 0:
        start, end = spans[index - 1][1], spans[index][1]
    elif len(spans) > 1:
        start, end = spans[0][0], spans[1][0]
    else:
        start, end = spans[0][0], int(node.end_mark.index) - 1
    return text[:start] + text[end:]


def _insert_lines(text: str, place: int, lines: list[str], column: int) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    before = text[:place]
    if before and not before.endswith("\n"):
        before += newline
    block = "".join((" " * column + line).rstrip() + newline for line in lines)
    return before + block + text[place:]


def _dash(text: str, item: Node) -> int:
    return text.rindex("-", 0, int(item.start_mark.index))


def _same_line(text: str, item: Node) -> bool:
    return "\n" not in text[_dash(text, item) : int(item.start_mark.index)]


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    """The position just after the newline of the line that contains `index`."""
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


def _blank_above(text: str, line_start: int) -> bool:
    above = text[_line_start(text, line_start - 1) : line_start] if line_start else "#"
    return not above.strip()


def _flow(value: object) -> str:
    """The value on one line. Words that YAML could interpret as something else are quoted."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(str(k))}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, float):
        digits, exponent = f"{value!r}e".split("e")[:2]
        return digits + ("" if "." in digits else ".0") + (f"e{exponent}" if exponent else "")
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and value.lower() not in _WORDS):
        return (
            '"' + _SPECIAL.sub(lambda m: _ESCAPES.get(m[0]) or f"\\U{ord(m[0]):08x}", value) + '"'
        )
    return value if isinstance(value, str) else json.dumps(value)


def _block(value: object) -> list[str]:
    """The value as a block; small parts go on one line, as a person would write them."""
    if not isinstance(value, dict):
        return [_flow(value)]
    lines: list[str] = []
    for key, inner in value.items():
        line = f"{_flow(str(key))}: {_flow(inner)}"
        if len(line) <= _FLOW_LIMIT or not isinstance(inner, dict | list) or not inner:
            lines.append(line)
        elif isinstance(inner, dict):
            lines += [f"{_flow(str(key))}:", *("  " + below for below in _block(inner))]
        else:
            lines += [f"{_flow(str(key))}:", *("  - " + _flow(item) for item in inner)]
    return lines
