"""Prunes the log's old rows in small steps, and keeps what the ranking learned from them.

The baseline is the fold's state after the pruned rows. It is stored in the log itself and changes
in the transaction that deletes them, so that a fold from the baseline over the remaining rows
equals the fold over all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from config.models import Settings
from race.routing_state import ranking_of
from routing.ranking.fold import Key, from_json, to_json
from routing.ranking.reward import observations
from runtime.learning import placed
from telemetry.log import InteractionLog
from telemetry.queries import Baseline
from telemetry.records import InteractionRow

STEP = 500
"""Requests deleted in one transaction: about 20 ms."""

REST_S = 0.2
"""Pause between two transactions while requests are served."""

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many requests were deleted, and how many are left."""

    gone: int
    left: int


async def prune(
    settings: Settings, log: InteractionLog, *, now: float | None = None, rest_s: float = 0.0
) -> Pruned:
    """Apply `retention`. Raises StorageError; rows deleted before that stay deleted."""
    oldest_at = (log.now() if now is None else now) - settings.retention.days * DAY_S
    baseline, left, gone = await log.baseline(), await log.count(), 0
    ranking = ranking_of(settings)
    if baseline is not None:
        ranking.begin((baseline.at, baseline.request_id, 0), from_json(baseline.detail))
    while True:
        too_many = left - settings.retention.rows
        rows = [
            row
            for place, row in enumerate(await log.scan(None, STEP))
            if row["at"] < oldest_at or place < too_many
        ]
        if not rows:
            return Pruned(gone, left)
        floor = None if baseline is None else (baseline.at, baseline.request_id, 0)
        ranking.fold(placed(observations(rows), floor, True))
        taught = Baseline(
            *_place(rows[-1], floor),
            requests=len(rows) + (baseline.requests if baseline else 0),
            detail=cast("dict[str, object]", to_json(ranking.held().state)),
        )
        if not await log.prune([row["request_id"] for row in rows], taught, baseline):
            return Pruned(gone, await log.count())  # another process is pruning
        baseline, gone, left = taught, gone + len(rows), left - len(rows)
        await asyncio.sleep(rest_s)


def _place(last: InteractionRow, floor: Key | None) -> tuple[float, str]:
    """The baseline's position: a row that came late does not move it back."""
    here = last["at"], last["request_id"]
    return here if floor is None else max(here, floor[:2])
