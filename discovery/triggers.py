"""What starts a search for a better model automatically."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from discovery.candidates import Candidate
from discovery.search import Search
from discovery.sources.cache import read_entries, write_entries
from discovery.trial import ENOUGH
from routing.ranking.standings import Standing

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Trigger:
    """A search that is due; `thread` identifies its cause, so that it runs only once."""

    category: str
    candidate: str | None
    """None: the best."""
    why: str
    thread: str


def fallen(
    category: str, entries: Sequence[Standing], below: float | None, now: float
) -> Trigger | None:
    """A category whose first model's mean reward is below the bound, at most once a day."""
    if below is None or not entries:
        return None
    first = min(entries, key=lambda standing: standing.position)
    if first.n < ENOUGH or first.mean >= below:
        return None
    why = f"the mean reward of {first.provider} is {first.mean:.3f} after {first.n} calls"
    day = datetime.fromtimestamp(now, UTC).date().isoformat()
    return Trigger(category, None, f"{why}, below {below:g}", f"{category}-below-{day}")


class Arrivals:
    """Models that a source did not have the day before, according to a file of the data folder. A
    source's first answer does not count as new."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "scout" / "seen.json"

    async def look(self, search: Search, category: str) -> Trigger | None:
        """Query the sources, at most once a day; returns the best new model if it can be tried and
        its licence asks no questions."""
        entries = await asyncio.to_thread(read_entries, self.path)
        known, at = _known(entries.get(category))
        now = search.clock()
        if now - at < DAY_S:
            return None
        result = await search.search(category, refresh=True)
        new = {c.key for c in result.candidates if _is_new(c, known)}
        for source, count in result.asked.items():
            if count:
                known.setdefault(source, set())
        for candidate in result.candidates:
            for source in candidate.sources:
                known.setdefault(source, set()).add(candidate.key)
        remembered = {source: sorted(keys) for source, keys in known.items()}
        entries[category] = {"at": now, "sources": remembered}
        await asyncio.to_thread(write_entries, self.path, entries)
        best = result.best({c.key for c in result.candidates if c.key not in new or c.questions})
        if best is None:
            return None
        why = f"{best.name} is new at {', '.join(best.sources)}"
        return Trigger(category, best.key, why, f"{category}-new-{best.key}"[:80])


def _is_new(candidate: Candidate, known: Mapping[str, set[str]]) -> bool:
    """A known model that a host now serves counts as new too."""
    return any(candidate.key not in known[s] for s in candidate.sources if s in known)


def _known(stored: object) -> tuple[dict[str, set[str]], float]:
    """The models that each source has named, and when they were asked, in Unix time."""
    if not isinstance(stored, Mapping):
        return {}, 0.0
    sources, at = stored.get("sources"), stored.get("at")
    if not isinstance(sources, Mapping) or not isinstance(at, int | float):
        return {}, 0.0
    return {str(s): {str(key) for key in keys} for s, keys in sources.items()}, float(at)


async def due(search: Search, standings: Callable[[str], Sequence[Standing]]) -> list[Trigger]:
    """The searches that are now due by configuration; a failed source fails alone."""
    wanted, found = search.settings.scout, []
    arrivals = Arrivals(search.settings.data_dir)
    for category in search.settings.categories:
        trigger = fallen(category, standings(category), wanted.below, search.clock())
        if trigger is None and wanted.new_entries:
            trigger = await arrivals.look(search, category)
        if trigger is not None:
            found.append(trigger)
    return found
