"""What replicas tell each other of their providers: a breaker that opened, or closed again."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from typing import Any, Protocol

from config.models import Settings
from graph.board import Board

PREFIX = "breaker:"


class Hints(Protocol):
    """The part of the log that carries notes between replicas."""

    async def hint(self, name: str, detail: Mapping[str, object]) -> None: ...

    async def hints(self) -> dict[str, dict[str, Any]]: ...


class Gossip:
    """One replica's side of it. What was said before a restart is heard again after it.

    A note counts only for the very provider that it was written of: one whose host or key was
    mended is asked at once.
    """

    def __init__(self) -> None:
        self._me = uuid.uuid4().hex
        self._heard: dict[str, float] = {}

    async def exchange(self, board: Board, log: Hints, settings: Settings) -> None:
        """Say what changed here, then take over what the others saw. Raises StorageError."""
        now = time.monotonic()
        for name in board.take_changed():
            told = board.breakers[name].snapshot(now)
            if told["state"] != "half_open":  # which is how it will be there too, in its own time
                mine = {"by": self._me, "of": identity(settings, name)}
                await log.hint(PREFIX + name, {**told, **mine})
        notes = await log.hints()
        for name in board.breakers:
            note = notes.get(PREFIX + name)
            if note and self._is_news(name, note) and note["of"] == identity(settings, name):
                board.hear(name, note, age_s=max(0.0, time.time() - note["at"]))

    def _is_news(self, name: str, note: dict[str, Any]) -> bool:
        known, self._heard[name] = self._heard.get(name), float(note["at"])
        return str(note["by"]) != self._me and known != self._heard[name]


def identity(settings: Settings, name: str) -> str:
    """Changes whenever another model, another host or another key stands behind the name."""
    provider = settings.provider(name)
    host = settings.hosts[provider.host]
    key = host.key.get_secret_value() if host.key else ""
    said = f"{provider.resolved_model}|{host.url}|{key}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]
