"""What the calls of a trial came to, kept on disk so that no call is paid twice after a restart."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path


class Journal:
    """One trial's finished calls; a line that a crash cut short is left out. Blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, dict[str, object]] = {}
        with suppress(OSError):
            for line in path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError):
                    row = json.loads(line)
                    self._known[row["call"]] = row["reply"]

    def get(self, call: str) -> dict[str, object] | None:
        return self._known.get(call)

    def put(self, call: str, reply: dict[str, object]) -> None:
        """Written through at once; a file that cannot be written costs a call after a crash."""
        self._known[call] = reply
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"call": call, "reply": reply}) + "\n")

    def remove(self) -> None:
        self._known.clear()
        self._path.unlink(missing_ok=True)


def call_id(host: str, model: str, prompt: str, max_tokens: int) -> str:
    digest = hashlib.sha256(prompt.encode()).hexdigest()[:24]
    return f"{host}/{model}/{digest}/{max_tokens}"
