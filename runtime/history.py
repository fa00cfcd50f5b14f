"""How each category's figures moved, as far as the ranking's own memory reaches.

The log is not read: a long one would keep whoever asks waiting for minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from routing.ranking.fold import Held, Key
from routing.ranking.ledger import Ledger, Snapshot

MOST_POINTS = 240
"""Points kept for each category; beyond that every other one is let go."""

FINE = 2_000
"""The newest rows, of which each may be a point; of what is older there is a state now and then."""


class Point(TypedDict):
    """The mean rewards of a category's providers after one row."""

    at: float  # Unix time in seconds
    means: dict[str, float]


class Courses:
    """The points of one ranking, from the states that it keeps and its newest rows."""

    def __init__(self) -> None:
        self.points: dict[str, list[Point]] = {}
        self._until: Key | None = None

    def take(self, held: Held, ledger: Ledger) -> None:
        """Note what the ranking learned since the last time; `ledger` is one to calculate with."""
        rows, known = held.rows, self._until
        newest = rows[-1][:3] if rows else held.floor
        if newest == known:
            return
        begin, state = self._from(held)
        if known is None:
            older = [(rows[n - 1][:3], kept) for n, kept in held.checkpoints if 0 < n <= begin]
            for key, kept in [*held.ring, *older]:
                ledger.restore(kept)
                self._note(ledger, key[0], ledger.courses)
        ledger.restore(state)
        step, fresh = max(1, (len(rows) - begin) // MOST_POINTS), set[str]()
        for n, row in enumerate(rows[begin:], begin + 1):
            ledger.step(row)
            if known is None or row[:3] > known:
                fresh.add(row.category)
                if n % step == 0 or n == len(rows):
                    self._note(ledger, row.at, fresh & ledger.courses.keys())
                    fresh.clear()
        self._until = newest

    def _from(self, held: Held) -> tuple[int, Snapshot]:
        """The state to fold on from: before the newest rows, or before what was noted last."""
        rows, known = held.rows, self._until
        behind = max(0, len(rows) - FINE)

        def is_early(index: int) -> bool:
            noted = known is not None and index > 0 and rows[index - 1][:3] <= known
            return index <= behind or noted

        return max((c for c in held.checkpoints if is_early(c[0])), key=lambda c: c[0])

    def _note(self, ledger: Ledger, at: float, categories: Iterable[str]) -> None:
        for category in categories:
            course, points = ledger.courses[category], self.points.setdefault(category, [])
            if points and at < points[-1]["at"]:
                continue
            arms = {name: ledger.arms[category, name] for name in sorted(course.order)}
            means = {
                name: round(arm.mean(ledger.weights, course.count), 4) for name, arm in arms.items()
            }
            points.append({"at": at, "means": means})
            if len(points) > MOST_POINTS:
                del points[1:-1:2]
