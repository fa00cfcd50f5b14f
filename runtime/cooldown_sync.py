"""Cooldowns that hosts asked for, and keys and models that they refused, shared between replicas.

Only that. It is the host's own word and holds for every replica, while failures may be one
replica's own trouble, a name server or a proxy, and must not take a provider from the others. How
providers do is shared through the rows of the log.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Protocol

from config.models import Settings
from race.breaker import Breaker
from race.permits import Wait
from race.routing_state import RoutingState, identity
from telemetry.records import HintRow

PREFIX = "wait:"
NEWS_S = 2.0
"""A note that was not there at the last look is not older than this, whatever the clocks say."""


class Hints(Protocol):
    """The part of the log that carries notes between replicas."""

    async def hint(self, name: str, detail: Mapping[str, object]) -> None: ...

    async def hints(self) -> dict[str, HintRow]: ...

    def now(self) -> float: ...


class CooldownSync:
    """One replica's side of the exchange. Notes of before a restart are read again after it.

    A note counts only for the very provider that it was written of: one whose host or key was
    mended is asked at once.
    """

    def __init__(self) -> None:
        self._me = uuid.uuid4().hex
        self._seen: dict[str, float] | None = None
        self._taken: dict[str, tuple[float, Breaker]] = {}

    async def exchange(self, routing: RoutingState, log: Hints, settings: Settings) -> None:
        """Write down the cooldowns that hosts asked for here, then take over those of other
        replicas. Raises StorageError; the next exchange writes them down then."""
        for name, wait in routing.waits().items():
            mine = {"by": self._me, "of": identity(settings, name), **wait._asdict()}
            await log.hint(PREFIX + name, mine)
            routing.shared(name)
        notes = {key: note for key, note in (await log.hints()).items() if key.startswith(PREFIX)}
        for name, breaker in routing.breakers.items():
            note = notes.get(PREFIX + name)
            if note is None or note["by"] == self._me or note["of"] != identity(settings, name):
                continue
            if self._taken.get(name) != (note["at"], breaker):
                self._taken[name] = (note["at"], breaker)
                wait_s = note["wait_s"] - self._age_s(name, note["at"], log.now())
                if wait_s > 0:
                    routing.hear(name, Wait(wait_s, bool(note.get("misconfigured"))))
        self._seen = {key.removeprefix(PREFIX): note["at"] for key, note in notes.items()}

    def _age_s(self, name: str, at: float, now: float) -> float:
        """How old a note is. The clocks of two machines differ, so theirs is a last resort."""
        age_s = max(0.0, now - at)
        new = self._seen is not None and self._seen.get(name) != at
        return min(age_s, NEWS_S) if new else age_s
