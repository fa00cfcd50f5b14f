"""The files of `--batch`: prompts in, results out, nothing lost between the two."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from config.errors import StorageError, UsageError

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt; `problem` says why the line cannot be asked."""

    line: int  # in the input file, from 1
    prompt: str
    id: str | None = None
    category: str | None = None
    problem: str | None = None


def read_items(path: Path) -> list[Item]:
    """One prompt a line; JSONL if the first line that is not blank is a JSON object."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", "batch") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 text: {error}", "batch") from error
    lines = [(n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise UsageError(f"{path} holds no prompt; write one a line", "batch")
    jsonl = lines[0][1].startswith("{") and isinstance(_parse(lines[0][1]), dict)
    return [_item(n, line) if jsonl else Item(n, line) for n, line in lines]


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _item(number: int, line: str) -> Item:
    value = _parse(line)
    if not isinstance(value, dict):
        return Item(number, line, problem=f"line {number} is not a JSON object")
    prompt, category = value.get("prompt"), value.get("category")
    name = None if value.get("id") is None else str(value["id"])
    if not isinstance(prompt, str) or not prompt.strip():
        return Item(number, "", name, problem=f"line {number} has no `prompt` text")
    if category is not None and not isinstance(category, str):
        return Item(number, prompt, name, problem=f"line {number}: `category` is not text")
    return Item(number, prompt, name, category)


def read_results(out: Path) -> list[Line]:
    """What earlier runs wrote, a cut one included; lines that are no result are passed over."""
    found: dict[int, Line] = {}
    for path in (out, _partial(out)):
        if not path.exists():
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            value = _parse(line)
            if not isinstance(value, dict) or not isinstance(value.get("line"), int):
                continue
            if value["line"] not in found or not value.get("error"):
                found[value["line"]] = value
    return list(found.values())


class Results:
    """Writes each result as soon as all before it are there, and replaces the output at the end.

    Until then everything stands in `<out>.partial`, so that a run that is killed loses nothing
    that was there before, and `--resume` finds what it had done.
    """

    def __init__(self, out: Path, items: list[Item], known: list[Line]) -> None:
        self.out = out
        self.items = items
        self.done: dict[int, Line] = {}
        earlier: dict[tuple[str | None, str], list[Line]] = {}
        for line in known:
            if not line.get("error"):
                earlier.setdefault((line.get("id"), str(line.get("prompt"))), []).append(line)
        for item in items:
            if answered := earlier.get((item.id, item.prompt)):
                self.done[item.line] = {**answered.pop(0), "line": item.line}
        self._waiting = [item.line for item in items][::-1]
        try:
            self._file: TextIO = _partial(out).open("w", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{out} cannot be written: {error.strerror}") from error
        self._flush()

    @property
    def todo(self) -> list[Item]:
        return [item for item in self.items if item.line not in self.done]

    def add(self, item: Item, line: Line) -> None:
        self.done[item.line] = line
        self._flush()

    def close(self) -> None:
        """Write what is done but stood behind a gap, and put the file in its place."""
        for number in reversed(self._waiting):
            if number in self.done:
                self._write(self.done[number])
        self._waiting.clear()
        self._file.close()
        os.replace(_partial(self.out), self.out)

    def _flush(self) -> None:
        while self._waiting and self._waiting[-1] in self.done:
            self._write(self.done[self._waiting.pop()])

    def _write(self, line: Line) -> None:
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(f"{self.out} cannot be written: {error.strerror}") from error


def _partial(out: Path) -> Path:
    return out.with_name(out.name + ".partial")
