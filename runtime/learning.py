"""Learning from the whole of a long log, in the background.

If no snapshot fits, or a row came so late that the fold has let go of its surroundings, the log is
read again in the order of its rows: from its beginning, from the baseline of the pruned rows, or
from the newest kept state that is older than the row. Meanwhile requests are served with what is
known; rows written meanwhile are folded in at the end.

The result is stored in a file of the data folder, so that a long log does not slow down a start.
The file belongs to one log, one version of the code that made it and one set of ranking settings;
with any other it is ignored, and the order is learned from the log again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

import orjson
import structlog

import routing.ranking
from config.models import Settings
from race.routing_state import RoutingState, Rows, ranking_of
from routing.ranking.fold import Held, Key, from_json, held_from_json, held_to_json
from routing.ranking.ledger import Snapshot
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation, observations
from telemetry.log import InteractionLog
from telemetry.queries import Cursor

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Learned:
    """A fold at rest, and the position in the log up to which it has seen every commit."""

    held: Held
    cursor: Cursor


class SnapshotFile:
    """One file; if several processes of the data folder write it, the last one wins."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.data_dir / "ranking.json"
        self._made_by = fingerprint(settings)

    def load(self, log: str) -> Learned | None:
        """The snapshot for the log of that identity; None if it is missing, damaged, or from other
        code or settings."""
        try:
            found = orjson.loads(self._path.read_bytes())
            if found["made_by"] != self._made_by or found["log"] != log:
                return None
            cursor = Cursor(found["low"], found["seen"])
            return Learned(held_from_json(found["held"]), cursor)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("snapshot_unreadable", path=str(self._path), error=str(error))
            return None

    def save(self, log: str, learned: Learned) -> None:
        """Replace the file atomically; if it cannot be written, only the next start is slower."""
        body = {
            "made_by": self._made_by,
            "log": log,
            "low": int(learned.cursor),
            "seen": sorted(learned.cursor.seen),
            "held": held_to_json(learned.held),
        }
        fresh = self._path.with_suffix(f".{os.getpid()}.tmp")
        try:
            fresh.write_bytes(orjson.dumps(body))
            fresh.replace(self._path)
        except OSError as error:
            logger.warning("snapshot_not_kept", path=str(self._path), error=str(error))


def fingerprint(settings: Settings) -> str:
    """A hash of the ranking's code and its settings."""
    declared = {name: settings.order(name) for name in settings.categories}
    trials = {p.name: p.trial.share for p in settings.providers if p.trial}
    said = json.dumps([settings.ranking.model_dump(), declared, trials], sort_keys=True)
    return hashlib.sha256((_code() + said).encode()).hexdigest()


@cache
def _code() -> str:
    folder = Path(next(iter(routing.ranking.__path__)))
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


PIECE = 50
"""Rows folded before other tasks get a turn: 2 ms."""

REST_S = 0.004
"""The length of that turn. The fold uses a third of one core at most, so that requests are not
slowed."""

SAVE_S = 30.0
"""Between two snapshots."""

LONGEST_S = 600.0
"""The longest time between a request's start and the start of an attempt."""


class Learning:
    """One router's: loads the last snapshot, stores new ones, and reads the log again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file = SnapshotFile(settings)
        self._saved: int | None = None
        self._save_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def recall(self, log: Rows) -> tuple[Held, int] | None:
        """See `race.routing_state.Memory`."""
        log = cast(InteractionLog, log)
        identity, now = await log.identity(), await log.position()
        found = await asyncio.to_thread(self._file.load, identity)
        if found is None or int(found.cursor) > int(
            now
        ):  # of a server whose transaction count started over
            return None
        return found.held, found.cursor

    async def keep(self, routing: RoutingState, log: Rows, *, now: bool = False) -> None:
        """Store a snapshot if there is news and the last one is old enough. Raises StorageError."""
        log = cast(InteractionLog, log)
        if not now and time.monotonic() < self._save_at:
            return
        self._save_at = time.monotonic() + SAVE_S
        learned = routing.learned()
        if learned is None or learned[1] == self._saved:
            return
        held, cursor = learned
        identity = await log.identity()
        whole = Learned(held, cursor if isinstance(cursor, Cursor) else Cursor(cursor))
        await asyncio.to_thread(self._file.save, identity, whole)
        self._saved = cursor

    def reread_if_due(self, routing: RoutingState, log: Rows) -> None:
        """Start reading the log again if necessary; returns at once."""
        log = cast(InteractionLog, log)
        late = routing.ranking.overtaken
        if self._reading is not None and not self._reading.done():
            return
        if routing.provisional or late is not None:
            self._reading = asyncio.create_task(self._reread(routing, log, late), name="reread-log")

    @property
    def reading(self) -> bool:
        return self._reading is not None and not self._reading.done()

    async def stop(self) -> None:
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def _reread(self, routing: RoutingState, log: InteractionLog, late: Key | None) -> None:
        try:
            began = time.monotonic()
            kept = routing.ranking.before(late) if late and not routing.provisional else None
            ranking, cursor, rows = await reread(self._settings, log, kept, paced=True)
            routing.replace(ranking, cursor)
            await routing.catch_up(log)
            await self.keep(routing, log, now=True)
            took_s = round(time.monotonic() - began, 1)
            logger.info("log_read_again", requests=rows, took_s=took_s, late=late is not None)
        except (
            Exception
        ) as error:  # reported here, since nothing awaits this; the next check retries
            logger.error("log_not_read_again", error=str(error) or repr(error))


async def reread(
    settings: Settings,
    log: InteractionLog,
    kept: tuple[Key, Snapshot] | None = None,
    *,
    paced: bool = False,
) -> tuple[Ranking, Cursor, int]:
    """A ranking over the whole log, its position, and how many requests it read; from the state
    `kept` if there is one, else from the log's baseline if there is one. Raises StorageError.
    """
    ranking = ranking_of(settings)
    cursor = await log.position()
    after: tuple[float, str] | None = None
    if kept is not None:
        after = (kept[0][0] - LONGEST_S, "")
    elif (baseline := await log.baseline()) is not None:
        kept = (baseline.at, baseline.request_id, 0), from_json(baseline.detail)
    if kept is not None:
        ranking.begin(*kept)
    floor, whole, read = kept[0] if kept is not None else None, after is None, 0
    while rows := await log.scan(after):
        seen = list(placed(observations(rows), floor, whole))
        await asyncio.to_thread(_fold, ranking, seen, paced)
        after, read = (rows[-1]["at"], rows[-1]["request_id"]), read + len(rows)
    return ranking, cursor, read


def placed(seen: Iterable[Observation], floor: Key | None, baseline: bool) -> Iterator[Observation]:
    """Rows that a state up to `floor` does not contain yet.

    A kept state contains everything older. A baseline contains what was pruned: older rows that
    still exist came after it, and are folded in right behind it.
    """
    for row in seen:
        if floor is None or row[:3] > floor:
            yield row
        elif baseline:
            yield row._replace(at=floor[0], request_id=f"{floor[1]}~{row.request_id}")


def _fold(ranking: Ranking, seen: list[Observation], paced: bool) -> None:
    for begin in range(0, len(seen), PIECE):
        ranking.fold(seen[begin : begin + PIECE])
        if paced:
            time.sleep(REST_S)
