"""Traffic over a period, part by part, with bounded reads whatever the length of the log.

The requests of each part are counted through the index on their time. The other figures come from a
sample of at most SLICES times SLICE of them, spread over the part; if it has fewer, from all of
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, select

from telemetry.database import Database
from telemetry.tables import attempts as tried
from telemetry.tables import interactions as asked

SLICES = 5
SLICE = 80
"""A week in 28 parts reads at most 11,200 requests: a fraction of a second."""


class Passed(NamedTuple):
    """One request; the tokens are those of the served call."""

    success: bool
    stopped: bool | None
    fallback_used: bool | None
    latency_ms: float | None
    ttft_ms: float | None
    cost_usd: float | None
    winner: str | None
    category: str | None
    tokens_in: int | None
    tokens_out: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """The requests from `start` to `end`, in Unix seconds."""

    start: float
    end: float
    requests: int
    """The total, regardless of the sample."""
    sample: list[Passed]


def traffic(database: Database, start: float, end: float, parts: int) -> list[Part]:
    """The period from `start` to `end` in so many equal parts, oldest first."""
    width = (end - start) / parts
    with database.read() as connection:
        return [_part(connection, start + n * width, start + (n + 1) * width) for n in range(parts)]


def _part(connection: Connection, start: float, end: float) -> Part:
    within = and_(asked.c.at >= start, asked.c.at < end)
    count = connection.execute(select(func.count()).select_from(asked).where(within)).scalar_one()
    if count <= SLICES * SLICE:
        return Part(start, end, count, _sample(connection, start, end, count))
    width = (end - start) / SLICES
    sample = [
        one
        for n in range(SLICES)
        for one in _sample(connection, start + n * width, start + (n + 1) * width, SLICE)
    ]
    return Part(start, end, count, sample)


def _sample(connection: Connection, start: float, end: float, most: int) -> list[Passed]:
    if most == 0:
        return []
    own = [getattr(asked.c, name) for name in Passed._fields[:-2]]
    served = and_(tried.c.request_id == asked.c.request_id, tried.c.served)
    query = (
        select(*own, tried.c.tokens_in, tried.c.tokens_out)
        .select_from(asked.outerjoin(tried, served))
        .where(asked.c.at >= start, asked.c.at < end)
        .order_by(asked.c.at)
        .limit(most)
    )
    return [Passed._make(row) for row in connection.execute(query)]
