"""What the replicas of one log publish once a second, each in a hint of its own: that they are
running, and which provider holds which conversation's prompt cache.

So a conversation stays where its cache is, whichever replica has its next turn, and the day's
budget is divided among those that spend it (`race/budget.py`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Protocol

from config.models import Settings
from race.routing_state import RoutingState
from telemetry.records import HintRow

PREFIX = "replica:"
PRESENT_S = 4.0
"""A replica whose hint is older than this, by the database's clock, counts as gone."""
RENEW_S = 1.5
"""How often a hint is written that only reports that its replica is running."""
KEPT_S = 3_600.0
"""Seconds after which the hints of ended replicas are removed."""
NEWS_S = 5.0
"""How long a conversation stays in the hint: replicas that read once a second see it."""


class Notes(Protocol):
    """The part of the log that carries these hints."""

    async def hint(
        self, name: str, detail: Mapping[str, object], *, stale: tuple[str, float] | None = None
    ) -> None: ...

    async def hints(self) -> dict[str, HintRow]: ...

    def now(self) -> float: ...


class Replicas:
    """One replica's side of the exchange."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = PREFIX + uuid.uuid4().hex
        self._clock = clock
        self._renew_at = 0.0
        self._said: set[tuple[str, str, int]] = set()
        self._seen: dict[str, float] = {}
        self._first = True

    async def exchange(self, routing: RoutingState, log: Notes, settings: Settings) -> None:
        """Write this replica's hint if necessary, then read those of the others. Raises
        StorageError."""
        await self._write(routing, log, settings)
        now, sharers = log.now(), 1
        for name, note in (await log.hints()).items():
            if not name.startswith(PREFIX) or name == self._name:
                continue
            sharers += note["at"] > now - PRESENT_S
            if self._seen.get(name) != note["at"]:
                self._seen[name] = note["at"]
                routing.conversations.hear(note.get("held") or {}, max(0.0, now - note["at"]))
        routing.sharers = sharers

    async def _write(self, routing: RoutingState, log: Notes, settings: Settings) -> None:
        """Nothing is written without a limit to share or conversations to report."""
        held = routing.conversations.news(NEWS_S)
        budget = settings.budget
        limited = budget.daily_usd is not None or bool(budget.providers)
        said = {(key, provider, length) for key, (provider, _, length, _) in held.items()}
        if said <= self._said and not (limited and self._clock() >= self._renew_at):
            return
        stale = (PREFIX, log.now() - KEPT_S) if self._first else None
        await log.hint(self._name, {"held": held}, stale=stale)
        self._said, self._renew_at, self._first = said, self._clock() + RENEW_S, False
