"""A file of prompts cut into blocks, which other processes read and answer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TypedDict

from cli.batch_file import Item, Known, Prompts, item_of, not_blank

MOST_BLOCKS = 2_000
"""A longer file has longer blocks: each of them costs the cluster some milliseconds."""
LEAST_LINES = 16
MOST_BYTES = 2**20
"""A block ends with the line that passes this."""


class Block(TypedDict):
    """Where some lines lie in the file, in plain values."""

    offset: int
    size: int  # bytes
    first_line: int  # its number in the file, from 1
    first: int  # its place in the file, blank lines not counted, from 0
    count: int  # lines that are not blank
    skip: list[int]
    """Places that have a result already."""


def cut(prompts: Prompts, known: Known) -> Iterator[Block]:
    """The blocks that have anything to answer; takes the results of all others out of `known`."""
    lines = max(LEAST_LINES, prompts.count // MOST_BLOCKS)
    offset, first_line, first = 0, 1, 0
    for raw in _pieces(prompts, lines):
        text = _lines_of(raw, offset)
        items = [item_of(n, s, jsonl=prompts.jsonl) for n, s in not_blank(text, first_line)]
        skip = [p for p, item in enumerate(items, first) if known.take(item) is not None]
        if len(skip) < len(items):
            yield {
                "offset": offset,
                "size": len(raw),
                "first_line": first_line,
                "first": first,
                "count": len(items),
                "skip": skip,
            }
        offset, first_line, first = offset + len(raw), first_line + len(text), first + len(items)


def items_in(block: Block, raw: bytes, *, jsonl: bool) -> Iterator[tuple[int, Item]]:
    """The items that are to be answered, each with its place."""
    skip = frozenset(block["skip"])
    lines = not_blank(_lines_of(raw, block["offset"]), block["first_line"])
    for place, (number, line) in enumerate(lines, block["first"]):
        if place not in skip:
            yield place, item_of(number, line, jsonl=jsonl)


def _pieces(prompts: Prompts, lines: int) -> Iterator[bytes]:
    """The file's bytes, some lines at a time."""
    held, count = bytearray(), 0
    with prompts.path.open("rb") as file:
        for raw in file:
            held += raw
            count += 1
            if count == lines or len(held) >= MOST_BYTES:
                yield bytes(held)
                held, count = bytearray(), 0
    if held:
        yield bytes(held)


def _lines_of(raw: bytes, offset: int) -> list[str]:
    """As text mode reads them from the whole file: its mark of UTF-8 left out, `\\r` an end too."""
    encoding = "utf-8" if offset else "utf-8-sig"
    return list(io.TextIOWrapper(io.BytesIO(raw), encoding=encoding))
