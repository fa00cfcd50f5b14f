"""Learning from the whole of a long log, behind the service.

Where no snapshot fits, and where a row came so late that the fold has let go of its surroundings,
the log is read again in the order of its rows: from its beginning, from the baseline of what was
pruned, or from the newest kept state that is older than the row. Requests are served by what is
known meanwhile; rows that are written meanwhile are folded in at the end.

What was learned is kept in a file of the data folder, so that a long log costs a start no time. The
file belongs to one log, one version of the code that made it and one set of ranking settings; for
any other it is left aside, and the order is learned from the log again.
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
from routing.ranking.ledger import Snapshot
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation, observations
from routing.ranking.snapshot import Held, Key, from_json, held_from_json, held_to_json
from telemetry.log import InteractionLog
from telemetry.queries import Cursor

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Learned:
    """A fold at rest, and the position in the log up to which it has seen every commit."""

    held: Held
    cursor: Cursor


class SnapshotFile:
    """One file; several processes over the data folder may write it, the last one stands."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.data_dir / "ranking.json"
        self._made_by = fingerprint(settings)

    def load(self, log: str) -> Learned | None:
        """What was kept for the log of that identity; None if it is missing, of other code or
        settings, or damaged."""
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
        """Replace the file at once; one that cannot be written costs the next start its time."""
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
    """A hash of the ranking's code and of the settings that it learns by."""
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
"""Rows that are folded before the service has its turn: 2 ms."""

REST_S = 0.004
"""The turn. The fold has one core's third at most, so that requests do not feel it."""

SAVE_S = 30.0
"""Between two snapshots."""

LONGEST_S = 600.0
"""An attempt begins at most so long after its request came in."""


class Learning:
    """One router's: recalls the last snapshot, keeps new ones, and reads the log again."""

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
        if found is None or int(found.cursor) > int(now):  # of a server whose count began anew
            return None
        return found.held, found.cursor

    async def keep(self, routing: RoutingState, log: Rows, *, now: bool = False) -> None:
        """Write a snapshot if there is news and the last one is old enough. Raises StorageError."""
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
        """Start to read the log again where that is called for; returns at once."""
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
        ) as error:  # reported here, for nobody awaits this; the next look tries again
            logger.error("log_not_read_again", error=str(error) or repr(error))


async def reread(
    settings: Settings,
    log: InteractionLog,
    kept: tuple[Key, Snapshot] | None = None,
    *,
    paced: bool = False,
) -> tuple[Ranking, Cursor, int]:
    """A ranking over the whole log, the position that it stands for, and how many requests it
    read; from the state `kept`, where there is one, else from the log's baseline, if there is one.
    Raises StorageError.
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
    """What a state up to `floor` does not hold yet.

    A kept state holds all that is older. A baseline holds what was pruned: what is older and still
    there came after it, and is folded in right behind it.
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
