"""The sources' recent answers and recent refusals, in two files of the data folder. Blocks.

Both are only caches: a file that is missing, broken or of another version counts as empty.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from discovery.sources.source import Answer

if TYPE_CHECKING:
    from discovery.candidates import Candidate

FRESH_S = 6 * 3600.0
REFUSED_S = {"worse": 30 * 86_400.0, "refused": 30 * 86_400.0, "unusable": 86_400.0}
"""How long a refusal is kept, by its outcome: a model that did not answer may do so tomorrow."""
_VERSION = 1
_CHANGING = threading.Lock()
"""Held from reading a file until it is written, since a process may run several searches."""


class AnswerCache:
    """The last good answer of each remote source for each category."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "discovery-cache.json"

    def of(self, category: str, sources: Iterable[str]) -> dict[str, Answer | None]:
        """By source; None for a source without an answer."""
        entries = read_entries(self.path)
        return {source: _answer(entries.get(f"{source}/{category}")) for source in sources}

    def put(self, category: str, answers: Iterable[Answer]) -> None:
        with _CHANGING:
            content = read_entries(self.path)
            for answer in answers:
                content[f"{answer.source}/{category}"] = answer.model_dump(mode="json")
            write_entries(self.path, content)


def _answer(stored: object) -> Answer | None:
    try:
        return Answer.model_validate(stored) if stored else None
    except ValidationError:
        return None


class Refusals:
    """Which model was refused for which category, so that the next search tries another one."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "discovery-refused.json"

    def add(self, category: str, key: str, outcome: str, reason: str, now: float) -> None:
        """Store a refusal, if its outcome is one that is kept."""
        if outcome in REFUSED_S:
            with _CHANGING:
                content = read_entries(self.path)
                content[f"{category}/{key}"] = {"until": now + REFUSED_S[outcome], "reason": reason}
                write_entries(self.path, content)

    def among(self, category: str, candidates: Iterable[Candidate], now: float) -> dict[str, str]:
        """Why those among them were recently refused, by key."""
        entries = read_entries(self.path)
        found = {c.key: _refusal(entries.get(f"{category}/{c.key}"), now) for c in candidates}
        return {key: reason for key, reason in found.items() if reason is not None}


def _refusal(stored: object, now: float) -> str | None:
    if not isinstance(stored, dict) or not isinstance(stored.get("until"), int | float):
        return None
    return str(stored.get("reason")) if now < stored["until"] else None


def read_entries(path: Path) -> dict[str, object]:
    """What `write_entries` wrote; empty if the file is missing, broken or of another version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        return {}
    entries = content.get("entries")
    return entries if isinstance(entries, dict) else {}


def write_entries(path: Path, entries: Mapping[str, object]) -> None:
    """Atomic; if the folder cannot be written, only the next search is slower."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"version": _VERSION, "entries": entries}, file)
        os.replace(name, path)
    except OSError:
        return
