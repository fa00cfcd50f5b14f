"""Cooldowns that hosts requested, and rejected keys and models, shared between replicas.

Nothing else is shared this way. These come from the host and hold for every replica, while other
failures may be local (a name server, a proxy) and must not take a provider from the others.
Providers' results are shared through the rows of the log.
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
"""A hint that was absent at the last exchange is at most this old, whatever the clocks say."""


class Hints(Protocol):
    """The part of the log that carries hints between replicas."""

    async def hint(self, name: str, detail: Mapping[str, object]) -> None: ...

    async def hints(self) -> dict[str, HintRow]: ...

    def now(self) -> float: ...


class CooldownSync:
    """One replica's side of the exchange. Hints from before a restart are read again after it.

    A hint applies only to the exact provider it was written for: one whose host or key has been
    corrected is called at once.
    """

    def __init__(self) -> None:
        self._me = uuid.uuid4().hex
        self._seen: dict[str, float] | None = None
        self._taken: dict[str, tuple[float, Breaker]] = {}

    async def exchange(self, routing: RoutingState, log: Hints, settings: Settings) -> None:
        """Publish the cooldowns that hosts requested here, then adopt those of other replicas.
        Raises StorageError; the next exchange then publishes them."""
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
        """A hint's age in seconds. The clocks of two machines differ, so the writer's is a last
        resort."""
        age_s = max(0.0, now - at)
        new = self._seen is not None and self._seen.get(name) != at
        return min(age_s, NEWS_S) if new else age_s
