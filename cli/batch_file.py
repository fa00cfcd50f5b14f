"""The files of `--batch`: prompts in, results out, read and written incrementally, nothing lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import orjson

from api.bulk import failed
from config.errors import StorageError, UsageError

Line = dict[str, object]


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the input; `problem` is why it cannot be processed."""

    line: int  # in the input file, from 1
    prompt: str = ""
    id: str | None = None
    category: str | None = None
    request: Mapping[str, object] | None = None
    """The whole line, if it has OpenAI's batch format."""
    problem: str | None = None

    @property
    def key(self) -> bytes:
        """What identifies the line in an earlier result."""
        if self.request is not None:
            return _digest("openai", self.request.get("custom_id"), None)
        return _digest("prompt", self.id, self.prompt)


class Prompts:
    """The non-blank lines of a file, iterated as often as needed; never all in memory.

    One prompt on each line; JSONL if the first of them is a JSON object: `prompt` with optional
    `id` and `category`, or OpenAI's `custom_id`, `method`, `url` and `body`.
    """

    def __init__(self, path: Path) -> None:
        """Raises UsageError if the file cannot be read or is empty."""
        self.path = path
        self.count, self.jsonl = 0, False
        try:
            for _, line in self._lines():
                self.count += 1
                if self.count == 1:
                    self.jsonl = isinstance(_parse(line), dict)
        except FileNotFoundError:
            raise UsageError(f"there is no file {path}", "batch") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read as UTF-8 text: {error}", "batch") from error
        if not self.count:
            raise UsageError(f"{path} contains no prompt; write one per line", "batch")

    def __iter__(self) -> Iterator[Item]:
        for number, line in self._lines():
            yield item_of(number, line, jsonl=self.jsonl)

    def _lines(self) -> Iterator[tuple[int, str]]:
        with self.path.open(encoding="utf-8-sig") as file:
            yield from not_blank(file, 1)


def not_blank(lines: Iterable[str], first: int) -> Iterator[tuple[int, str]]:
    """Each with its number, the first of all lines being `first`."""
    for number, line in enumerate(lines, first):
        if stripped := line.strip():
            yield number, stripped


def _parse(line: str) -> object:
    """The line's JSON; None if it is invalid, such as `NaN` or half of a surrogate pair."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None


def item_of(number: int, line: str, *, jsonl: bool) -> Item:
    """What a line asks, in a file of prompts or of JSON."""
    if not jsonl:
        return Item(number, line)
    value = _parse(line)
    if not isinstance(value, dict):
        return Item(number, line, problem=f"line {number} is not a JSON object")
    if "custom_id" in value and "prompt" not in value:
        return Item(number, request=value)
    prompt, category = value.get("prompt"), value.get("category")
    name = None if value.get("id") is None else str(value["id"])
    if not isinstance(prompt, str) or not prompt.strip():
        return Item(number, "", name, problem=f"line {number} has no `prompt` text")
    if category is not None and not isinstance(category, str):
        return Item(number, prompt, name, problem=f"line {number}: `category` is not text")
    return Item(number, prompt, name, category)


def is_error(line: Mapping[str, object]) -> bool:
    """A result that `--resume` retries."""
    return failed(line) if "custom_id" in line else bool(line.get("error"))


def key_of(result: Mapping[str, object]) -> bytes:
    """The `key` of the item that this is the result of."""
    if "custom_id" in result:
        return _digest("openai", result["custom_id"], None)
    return _digest("prompt", result.get("id"), result.get("prompt"))


class Known:
    """What earlier runs answered, including killed ones: an index on disk over their files.

    Lines that are not results, and errors, are ignored.
    """

    def __init__(self, out: Path, *, resume: bool) -> None:
        files = [path for path in (out, _set_aside(out)) if path.exists()] if resume else []
        self._open = [path.open("rb") for path in files]
        self._index = sqlite3.connect("")  # a temporary file that SQLite deletes when it is closed
        self._index.execute("CREATE TABLE known(line PRIMARY KEY, key, file, at, taken)")
        self._index.execute("CREATE INDEX by_key ON known(key, taken)")
        for number, file in enumerate(self._open):
            at = 0
            for raw in file:
                self._note(raw, number, at)
                at += len(raw)

    def _note(self, raw: bytes, file: int, at: int) -> None:
        value = _parse(raw.decode("utf-8", "replace"))
        if not isinstance(value, dict) or is_error(value):
            return
        line = value.get("line")
        if "custom_id" in value:
            line = str(value["custom_id"])
        elif not isinstance(line, int):
            return
        row = (line, key_of(value), file, at)
        self._index.execute("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, 0)", row)

    def take(self, item: Item) -> Line | None:
        """The result of the same line, returned once; None if there is none."""
        found = self._index.execute(
            "SELECT rowid, file, at FROM known WHERE key = ? AND taken = 0 ORDER BY rowid LIMIT 1",
            (item.key,),
        ).fetchone()
        if found is None:
            return None
        self._index.execute("UPDATE known SET taken = 1 WHERE rowid = ?", (found[0],))
        line = self._read(*found[1:])
        return line if item.request is not None else {**line, "line": item.line}

    def rewind(self) -> None:
        """As if nothing had been taken."""
        self._index.execute("UPDATE known SET taken = 0")

    def rest(self) -> Iterator[Line]:
        """The results that were not taken, in the order of the files."""
        for file, at in self._index.execute(
            "SELECT file, at FROM known WHERE taken = 0 ORDER BY file, at"
        ):
            yield self._read(file, at)

    def close(self) -> None:
        self._index.close()
        for file in self._open:
            file.close()

    def _read(self, file: int, at: int) -> Line:
        self._open[file].seek(at)
        value = _parse(self._open[file].readline().decode("utf-8", "replace"))
        assert isinstance(value, dict)
        return value


class Results:
    """Writes each result once all earlier ones are there, and replaces the output at the end.

    Until then everything is in `<out>.partial`, so that a killed run loses nothing that existed
    before, and `--resume` finds its results. Answers that a run replaces without having read them
    stay in `<out>.bak`.
    """

    def __init__(self, out: Path, *, resume: bool) -> None:
        self.out = out
        self._resume = resume
        self.written = 0
        """Number of lines in the file, in the order of the input."""
        self._waiting: dict[int, Line] = {}
        try:
            self._file: TextIO = _partial(out).open("w", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{out} cannot be written: {error.strerror}") from error

    def add(self, place: int, line: Line) -> None:
        """Add the result of the input line at position `place`, from 0, not counting blank
        lines."""
        self._waiting[place] = line
        while (following := self._waiting.pop(self.written, None)) is not None:
            self._write(following)
            self.written += 1

    def close(self, rest: Iterable[Line] = ()) -> None:
        """Write the results behind a gap, and `rest`; then move the file into place."""
        for place in sorted(self._waiting):
            self._write(self._waiting[place])
        for line in rest:
            self._write(line)
        self._file.close()
        if not self._resume and self.out.exists():
            os.replace(self.out, backup(self.out))
        os.replace(_partial(self.out), self.out)
        _before(self.out).unlink(missing_ok=True)

    def _write(self, line: Line) -> None:
        try:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(f"{self.out} cannot be written: {error.strerror}") from error


def _set_aside(out: Path) -> Path:
    """Collect the results of killed runs in a file that this run does not write."""
    before = _before(out)
    if _partial(out).exists():
        with _partial(out).open("rb") as cut, before.open("ab") as kept:
            shutil.copyfileobj(cut, kept)
            kept.write(b"\n")  # a line that was cut off must not be the beginning of another
        _partial(out).unlink()
    return before


def backup(out: Path) -> Path:
    """Where a run that does not resume keeps the results that it replaces."""
    return out.with_name(out.name + ".bak")


def _partial(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def _before(out: Path) -> Path:
    return out.with_name(out.name + ".before")


def _digest(kind: str, name: object, text: object) -> bytes:
    return hashlib.blake2b(json.dumps([kind, name, text]).encode(), digest_size=16).digest()
