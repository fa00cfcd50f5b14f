"""A model's Markdown as the chat shows it: without HTML, with its formulas, diagrams once they are
whole; and texts that are no Markdown at all."""

from __future__ import annotations

import re

_CODE = re.compile(
    r"(^[ \t]*(```+|~~~+).*?(?:^[ \t]*\2[ \t]*$|\Z))|(`+)(?!`).*?(?<!`)\3(?!`)", re.S | re.M
)
"""Fenced blocks and code spans: Markdown shows their content as it stands."""

_DIAGRAM = re.compile(r"\A([ \t]*(?:```+|~~~+)[ \t]*)mermaid\b")

_FORMULA = re.compile(r"(?<![\\$\w])\$(?=[^\s$])([^$\n]{1,300}?)(?<=[^\s\\])\$(?![\d$])")
"""As Pandoc reads it (User's Guide, tex_math_dollars): no space inside, no digit behind."""
_TEX = re.compile(r"[\\^_{}=]|\A[A-Za-z]'?\Z")
"""What a formula has and two prices in one line have not."""

_ESCAPED = {ord(sign): f"\\{sign}" for sign in "`*_{}<>#+-.!|~"} | {
    ord(sign): f"&#{ord(sign)};" for sign in "\\[]()$&"
}
"""Brackets are entities: after a backslash they would begin a formula."""


def shown(text: str, *, whole: bool = True) -> str:
    """A model's Markdown, in which what looks like a tag is shown as what it is.

    While it is not `whole` a diagram is shown as its source: half of one cannot be drawn.
    """
    parts: list[str] = []
    end = 0
    for code in _CODE.finditer(text):
        source = code.group() if whole else _DIAGRAM.sub(r"\1text", code.group())
        parts += [_prose(text[end : code.start()]), source]
        end = code.end()
    return "".join([*parts, _prose(text[end:])])


def _prose(text: str) -> str:
    return _FORMULA.sub(_formula, text.replace("<", "&lt;"))


def _formula(found: re.Match[str]) -> str:
    """In the signs that the chat takes for a formula; a lone dollar is mostly a price."""
    return f"\\({found[1]}\\)" if _TEX.search(found[1]) else found[0]


def plain(text: str) -> str:
    """A text that is no Markdown, for a place that shows Markdown."""
    return text.translate(_ESCAPED)
