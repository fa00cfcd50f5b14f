"""What the sources said lately, and what was refused, in two files of the data folder.

Both are conveniences: one that is missing, broken or of another version is as good as empty.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from discovery.sources.source import Answer

FRESH_S = 6 * 3600.0
REFUSED_S = {"worse": 30 * 86_400.0, "refused": 30 * 86_400.0, "unusable": 86_400.0}
"""How long a refusal is remembered, by its outcome: what did not answer may do so tomorrow."""
_VERSION = 1


class AnswerCache:
    """The last good answer of each remote source for each category."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "discovery-cache.json"

    def get(self, source: str, category: str) -> Answer | None:
        stored = read_entries(self.path).get(f"{source}/{category}")
        try:
            return Answer.model_validate(stored) if stored else None
        except ValidationError:
            return None

    def put(self, category: str, answers: Iterable[Answer]) -> None:
        content = read_entries(self.path)
        for answer in answers:
            content[f"{answer.source}/{category}"] = answer.model_dump(mode="json")
        write_entries(self.path, content)


class Refusals:
    """Which model was refused for which category, so that the next search tries another one."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "discovery-refused.json"

    def add(self, category: str, key: str, outcome: str, reason: str, now: float) -> None:
        """Remember a refusal, if its outcome is one to remember."""
        if outcome in REFUSED_S:
            content = read_entries(self.path)
            content[f"{category}/{key}"] = {"until": now + REFUSED_S[outcome], "reason": reason}
            write_entries(self.path, content)

    def get(self, category: str, key: str, now: float) -> str | None:
        """Why it was refused lately; None if it was not."""
        stored = read_entries(self.path).get(f"{category}/{key}")
        if not isinstance(stored, dict) or not isinstance(stored.get("until"), int | float):
            return None
        return str(stored.get("reason")) if now < stored["until"] else None


def read_entries(path: Path) -> dict[str, Any]:
    """What `write_entries` wrote; nothing where that is missing, broken or of another version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        return {}
    entries = content.get("entries")
    return entries if isinstance(entries, dict) else {}


def write_entries(path: Path, entries: dict[str, Any]) -> None:
    """Atomic; a folder that cannot be written costs the next search its speed, and no more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"version": _VERSION, "entries": entries}, file)
        os.replace(name, path)
    except OSError:
        return
