"""What the ranking learned, kept in the data folder: a long log costs a start no time.

The file belongs to one log, one version of the code that made it and one set of ranking settings;
for any other it is left aside, and the order is learned from the log again, behind the service.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson
import structlog

import routing.ranking
from config.models import Settings
from routing.ranking.snapshot import Held, held_from_json, held_to_json
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
