"""JSON, tool calls and their results, as people read them.

What is shown has the same signs as what a model wrote, on other lines: no number is rounded, and no
key that occurs twice is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

MOST_CHARS = 200_000
"""A longer text is shown as it stands."""
DEEPEST = 40
"""Levels: what is nested deeper would be mostly margin."""
LONG = 24
"""Lines; more are folded."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_BLOCK = re.compile(r"^([ \t]*)(```+)json[ \t]*\n(.*?)\n[ \t]*\2[ \t]*$", re.S | re.M | re.I)
_TICKS = re.compile("`+")


def indented(text: str) -> str | None:
    """The same JSON with a value a line; None for what is no object or list, or too much of one."""
    text = text.strip()
    if len(text) > MOST_CHARS or text[:1] not in ("{", "["):
        return None
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    tokens = _TOKEN.findall(text)
    depth = deepest = 0
    for sign in tokens:
        depth += (sign in "{[") - (sign in "}]")
        deepest = max(deepest, depth)
    return "".join(_lines(tokens)) if deepest <= DEEPEST else None


def _lines(tokens: list[str]) -> Iterator[str]:
    depth, before = 0, ""
    for sign in tokens:
        if sign in "}]":
            depth -= 1
            if before not in "{[":
                yield "\n" + "  " * depth
        elif before and before in "{[,":
            yield "\n" + "  " * depth
        yield ": " if sign == ":" else sign
        depth += sign in "{["
        before = sign


def fenced(text: str, kind: str = "") -> str:
    """A block of code in Markdown that the text itself cannot end."""
    ticks = "`" * max(3, *(len(found) + 1 for found in _TICKS.findall(text) or [""]))
    return f"{ticks}{kind}\n{text}\n{ticks}"


def block(text: str, what: str = "JSON") -> str:
    """JSON in Markdown, folded where it is long; a text that is none stands as it is."""
    shown = indented(text)
    if shown is None:
        return fenced(text)
    lines = shown.count("\n") + 1
    whole = fenced(shown, "json")
    if lines <= LONG:
        return whole
    return f"<details><summary>{what}, {lines} lines</summary>\n\n{whole}\n\n</details>"


def parts(text: str) -> Iterator[tuple[bool, str]]:
    """An answer in pieces: (True, Markdown of JSON) and (False, what its model wrote)."""
    if indented(text) is not None:
        yield True, block(text)
        return
    end = 0
    for found in _BLOCK.finditer(text):
        if indented(found[3]) is None:
            continue
        yield False, text[end : found.start()]
        yield True, block(found[3])
        end = found.end()
    yield False, text[end:]
