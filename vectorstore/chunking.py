"""Splits a document into chunks that can be found and understood on their own.

A chunk has about `TARGET` characters. It never crosses a heading; the headings above it are part of
its title, so that "It was built in 1889" keeps its subject. A table or a fenced code block stays
whole unless it exceeds `HARD_LIMIT`; then it is split between lines, and a table's header is
repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vectorstore.keywords import words

TARGET = 800
HARD_LIMIT = 4_000
SLACK = 1.5
"""A section of up to SLACK * TARGET characters stays whole, to avoid a tail of one sentence."""
TITLE_LENGTH = 80
"""A first line that is longer than this, or ends like a sentence, is not a title."""

_FENCE = re.compile(r"^\s{0,3}(```+|~~~+)")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*\s*$")
_RULE = re.compile(r"^([=*~^\-#\"'+])\1{2,}\s*$")
_TABLE_ROW = re.compile(r"^\s*\|.*\|\s*$")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n(?=\s*(?:[-*•]|\d+[.)])\s)")


@dataclass(frozen=True, slots=True)
class Chunk:
    """`title` is the document's title and the headings above the text, joined by " > "."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class _Section:
    headings: tuple[str, ...]
    blocks: tuple[str, ...]


def chunk(text: str, title: str) -> list[Chunk]:
    """The chunks of a document in Markdown or plain text, in order; none if it has no text."""
    chunks = []
    for section in _sections(text):
        path = [title] if title else []
        path += [h for h in section.headings if h and not _says(title, h)]
        chunks += [Chunk(" > ".join(path), piece) for piece in _pack(section.blocks)]
    return chunks


def _says(title: str, heading: str) -> bool:
    """Whether a heading is redundant: "Iris - Flowers of Europe" already contains "Iris"."""
    return f" {' '.join(words(heading))} " in f" {' '.join(words(title))} "


def first_heading(text: str) -> str | None:
    """The document's own title: its first heading, or a first line that stands alone."""
    section = next(_sections(text), None)
    if section is not None and section.headings:
        return section.headings[0]
    line, _, rest = text.strip().partition("\n")
    line = line.strip()
    alone = rest.startswith("\n") or not rest.split("\n", 1)[0].strip()
    if rest.strip() and alone and len(line) <= TITLE_LENGTH and line[-1:].isalnum():
        return line
    return None


def _sections(text: str) -> Iterator[_Section]:
    """Split at headings: Markdown's `#`, and a line underlined (or framed) by punctuation."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n").split("\n")
    stack: list[tuple[int, str]] = []
    underlines: list[str] = []
    body: list[str] = []
    fence = ""
    at = 0
    while at < len(lines):
        line = lines[at]
        mark = _FENCE.match(line)
        if mark and (not fence or line.strip().startswith(fence)):
            fence = "" if fence else mark.group(1)
        found = None if fence or mark else _heading_at(lines, at, underlines)
        if found is None:
            body.append(line)
            at += 1
            continue
        level, heading, used = found
        blocks = tuple(_blocks(body))
        if blocks:
            yield _Section(tuple(h for _, h in stack), blocks)
        stack = [(n, h) for n, h in stack if n < level] + [(level, heading)]
        body = []
        at += used
    blocks = tuple(_blocks(body))
    if blocks:
        yield _Section(tuple(h for _, h in stack), blocks)


def _heading_at(lines: list[str], at: int, underlines: list[str]) -> tuple[int, str, int] | None:
    """(level, words, lines used) when a heading starts at this line."""
    if found := _HEADING.match(lines[at]):
        return (len(found.group(1)), found.group(2), 1) if found.group(2) else None
    line = lines[at].rstrip()
    rule = _RULE.match(lines[at + 1]) if at + 1 < len(lines) else None
    if not line or line[0].isspace() or rule is None or _RULE.match(line) or "|" in line:
        return None
    above = lines[at - 1].strip() if at else ""
    if (above and not _RULE.match(above)) or len(lines[at + 1].strip()) < min(len(line), 60) - 2:
        return None
    character = rule.group(1)
    if character not in underlines:
        underlines.append(character)
    return underlines.index(character) + 1, line.strip(), 2


def _blocks(lines: list[str]) -> Iterator[str]:
    """Paragraphs, tables and fenced code blocks, each as one string."""
    block: list[str] = []
    fence = ""
    for line in lines:
        mark = _FENCE.match(line)
        if fence:
            block.append(line)
            if mark and line.strip().startswith(fence):
                fence = ""
                yield "\n".join(block)
                block = []
            continue
        if mark:
            if block and not block[-1].rstrip().endswith(":"):
                yield "\n".join(block)
                block = []
            fence = mark.group(1)
            block.append(line)
        elif line.strip():
            if not block and _RULE.match(line):
                continue
            block.append(line.rstrip())
        elif block:
            yield "\n".join(block)
            block = []
    if block:
        yield "\n".join(block)


def _pack(blocks: tuple[str, ...]) -> list[str]:
    """Fill chunks evenly: a section of 1,300 characters makes two of 650, not 800 and 500."""
    size = sum(len(b) + 2 for b in blocks)
    if size <= TARGET * SLACK:
        return ["\n\n".join(blocks)]
    goal = size / max(2, round(size / TARGET))
    packed: list[str] = []
    held = ""
    for joiner, piece in [p for b in blocks for p in _pieces(b, goal)]:
        if held and len(held) + len(piece) / 2 > goal and not _belongs(held):
            packed.append(held)
            held = ""
        held += joiner + piece
    if packed and len(held) < TARGET / 4:
        packed[-1] += held
    else:
        packed.append(held)
    return [text.strip("\n") for text in packed]


def _belongs(text: str) -> bool:
    """Whether what follows was introduced: an example or a list stays with the colon before it."""
    return text.rstrip().endswith(":") and len(text) < TARGET * SLACK


def _pieces(block: str, goal: float) -> list[tuple[str, str]]:
    """A block as (joiner, text) pieces, each small enough for a chunk."""
    lines = block.split("\n")
    if _FENCE.search(block) or sum(bool(_TABLE_ROW.match(line)) for line in lines) > 1:
        if len(block) <= HARD_LIMIT:
            return [("\n\n", block)]
        return _cut_lines(lines, goal)
    if len(block) <= goal:
        return [("\n\n", block)]
    pieces = []
    joiner = "\n\n"
    for sentence in _split_keeping(block):
        for part in _cut_words(sentence, int(goal)) if len(sentence) > TARGET else [sentence]:
            pieces.append((joiner, part))
            joiner = ""
    return pieces


def _split_keeping(block: str) -> list[str]:
    """Sentences with their trailing white space, so that joining them restores the block."""
    pieces = []
    start = 0
    for end in _SENTENCE_END.finditer(block):
        pieces.append(block[start : end.end()])
        start = end.end()
    pieces.append(block[start:])
    return [p for p in pieces if p]


def _cut_words(sentence: str, goal: int) -> list[str]:
    """Split a sentence without an end, such as a transcript: after a space, or anywhere if
    necessary."""
    parts = []
    while len(sentence) > goal:
        end = sentence.rfind(" ", goal // 2, goal) + 1 or goal
        parts.append(sentence[:end])
        sentence = sentence[end:]
    return [*parts, sentence] if sentence else parts


def _cut_lines(lines: list[str], goal: float) -> list[tuple[str, str]]:
    """Split a table or code block beyond the hard limit between lines; a table's header is
    repeated."""
    is_table = len(lines) > 2 and bool(_TABLE_ROW.match(lines[0]))
    head = lines[:2] if is_table and set(lines[1]) <= set("|-: \t") else []
    parts: list[list[str]] = [[]]
    for line in lines[len(head) :]:
        if parts[-1] and sum(map(len, parts[-1])) + len(line) > goal:
            parts.append([])
        parts[-1].append(line[:HARD_LIMIT])
    return [("\n\n", "\n".join([*head, *part])) for part in parts]
