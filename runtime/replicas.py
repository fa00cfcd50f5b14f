"""What the replicas of one log publish once a second, each in a hint of its own: that they are
running, where their page is, and which provider holds which conversation's prompt cache.

So a conversation stays where its cache is, whichever replica has its next turn, and the day's
budget is divided among those that spend it (`race/budget.py`).
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from config.models import Settings
from race.routing_state import RoutingState
from telemetry.records import HintRow

PREFIX = "replica:"
PRESENT_S = 4.0
"""A replica whose hint is older than this, by the database's clock, counts as gone."""
PAGE_S = 20.0
"""A replica whose hint is older than this is no longer forwarded to: longer, since one that ended
is noticed by its refused connections, and one that is only slow still has the sessions."""
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


class Pages:
    """Where the replicas' pages are, since a browser stays with the one that its page is from."""

    def __init__(self) -> None:
        self.own: str | None = None
        """This service's name, the same in all its workers; None if others do not reach it."""
        self.others: dict[str, str] = {}
        """The addresses of the other services that are running, by name."""
        self.published: str | None = None
        """The address that this process publishes."""

    def serve_at(self, url: str, *, publish: bool) -> None:
        """This service is reached at `url`; one of its workers publishes that."""
        self.own = name_of(url)
        self.published = url if publish else None

    def leave(self) -> None:
        """This service is about to end: the others are to forward nothing more."""
        self.published = None

    def hear(self, urls: Collection[str]) -> None:
        """The addresses of all that are running."""
        named = {name_of(url): url for url in urls}
        self.others = {name: url for name, url in named.items() if name != self.own}


def name_of(url: str) -> str:
    """A service's name, which reveals no address to a browser."""
    return hashlib.blake2b(url.encode(), digest_size=8).hexdigest()


class Replicas:
    """One replica's side of the exchange."""

    def __init__(self, pages: Pages, clock: Callable[[], float] = time.monotonic) -> None:
        self._pages = pages
        self._name = PREFIX + uuid.uuid4().hex
        self._clock = clock
        self._renew_at = 0.0
        self._said: set[tuple[str, str, int]] = set()
        self._seen: dict[str, float] = {}
        self._url: str | None = None
        self._first = True

    async def exchange(self, routing: RoutingState, log: Notes, settings: Settings) -> None:
        """Write this replica's hint if necessary, then read those of the others. Raises
        StorageError."""
        await self._write(routing, log, settings)
        now, sharers = log.now(), 1
        urls: list[str] = []
        for name, note in (await log.hints()).items():
            if not name.startswith(PREFIX) or name == self._name:
                continue
            sharers += note["at"] > now - PRESENT_S
            if note["at"] > now - PAGE_S and (url := note.get("page")):
                urls.append(url)
            if self._seen.get(name) != note["at"]:
                self._seen[name] = note["at"]
                routing.conversations.hear(note.get("held") or {}, max(0.0, now - note["at"]))
        routing.sharers = sharers
        self._pages.hear(urls)

    async def _write(self, routing: RoutingState, log: Notes, settings: Settings) -> None:
        """Nothing is written without a limit to share, a page to find or conversations to
        report."""
        held = routing.conversations.news(NEWS_S)
        budget = settings.budget
        url = self._pages.published
        known = budget.daily_usd is not None or bool(budget.providers) or url is not None
        said = {(key, provider, length) for key, (provider, _, length, _) in held.items()}
        news = url != self._url or not said <= self._said
        if not (news or (known and self._clock() >= self._renew_at)):
            return
        stale = (PREFIX, log.now() - KEPT_S) if self._first else None
        await log.hint(self._name, {"held": held, "page": url}, stale=stale)
        self._said, self._url, self._first = said, url, False
        self._renew_at = self._clock() + RENEW_S
