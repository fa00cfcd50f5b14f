"""A person's verdict on answers that were shown side by side, as evidence for the ranking.

Each pair of answers of which one was chosen, or neither was better, is one verdict: a row of the
log beside the attempts of one of the two requests. So every replica learns it, and a replay does
too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from race.services import Services
from telemetry.records import AttemptRow, InteractionRow

PLACE = 1_000
"""Sequence number of a request's first verdict by a person, above all its attempts."""


async def chosen(services: Services, requests: Sequence[str], best: str | None) -> int:
    """Learn that `best` gave the best of these requests' answers; None: that none is better.

    Returns the number of pairs decided. Raises NotFoundError for an unknown request, and
    StorageError.
    """
    answers = [(await services.log.get(one), one) for one in requests]
    noted = 0
    for place, ((one, a), (other, b)) in enumerate(combinations(answers, 2)):
        if best is None or best in (a, b):
            said = 0.5 if best is None else float(best == a)
            row = _row(one, other, said, PLACE + place) or _row(other, one, 1 - said, PLACE + place)
            if row is not None:
                await services.log.revise(row)
                noted += 1
    if noted:
        await services.routing.catch_up(services.log)
    return noted


def _row(of: InteractionRow, other: InteractionRow, verdict: float, seq: int) -> AttemptRow | None:
    """The verdict on one answer against the other; None if a fallback gave the former, or both have
    the same author."""
    mine, theirs = _served(of), _served(other)
    if mine is None or theirs is None or mine["role"] != "primary":
        return None
    if mine["provider"] == theirs["provider"]:
        return None
    words = {1.0: "better than", 0.0: "worse than", 0.5: "as good as"}[verdict]
    return AttemptRow(
        request_id=of["request_id"],
        seq=seq,
        at=mine["at"],
        category=mine["category"],
        confidence=mine["confidence"],
        provider=mine["provider"],
        model=mine["model"],
        host=mine["host"],
        role="compare",
        outcome="ok",
        detail=f"a person found its answer {words} that of {theirs['provider']}",
        served=False,
        revision=1,
        against=theirs["provider"],
        against_role="fallback" if theirs["role"] == "fallback" else "primary",
        verdict=verdict,
        source="person",
    )


def _served(row: InteractionRow) -> AttemptRow | None:
    return next((attempt for attempt in row["attempts"] if attempt["served"]), None)
