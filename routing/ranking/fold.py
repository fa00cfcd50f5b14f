"""The fold over the log: rows in, order out.

The result is a function of the rows alone, taken in (at, request_id, seq) order, whatever the
order of their arrival: a row that comes late, is revised or is judged afterwards makes the fold
go back to the last checkpoint before it and take that stretch again. So a replay gives what the
live run gave, and reading a stretch of the log twice changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from config.models import Ranking
from routing.ranking import reason
from routing.ranking.ledger import Ledger, Snapshot
from routing.ranking.reward import Observation
from routing.ranking.snapshot import Held, Key
from routing.ranking.standings import Change

WINDOW = 20_000
"""Rows that are kept to be revised; for what comes older the log is read again from the ring."""

RING = 20
"""States that are kept from before those rows, ever further apart."""

STRETCH = 128
"""Rows between two checkpoints."""

CLOSE = 16
"""Checkpoints that are kept close together; of the older ones, one in so many."""


@dataclass(slots=True)
class Checkpoint:
    """The state before the row at `index`."""

    index: int
    state: Snapshot


class Fold:
    """The rows so far, in order, and the ledger after them.

    `on_change` is told each new order, and again those of a stretch that is taken again.
    """

    def __init__(
        self,
        weights: Ranking,
        declared: Mapping[str, Sequence[str]],
        on_trial: Collection[str] = (),
        on_change: Callable[[Change], None] | None = None,
    ) -> None:
        self.rows: list[Observation] = []
        self.ledger = Ledger(weights, declared, on_trial)
        self._on_change = on_change
        self._known: dict[tuple[str, int], Observation] = {}
        self._floor: tuple[float, str, int] | None = None
        self._done = 0
        self._checkpoints = [Checkpoint(0, self.ledger.snapshot())]
        self._ring: list[tuple[Key, Snapshot]] = []
        self.overtaken: Key | None = None
        """The oldest row that came too late to be folded where it belongs; see `before`."""

    def take(self, seen: Iterable[Observation]) -> None:
        """Take in rows, in any order; those that are known already change nothing."""
        fresh: dict[tuple[str, int], Observation] = {}
        for row in seen:
            key = (row.request_id, row.seq)
            old = fresh.get(key) or self._known.get(key)
            if old is not None and (old == row or old.revision > row.revision):
                continue
            if self._floor is None or row[:3] > self._floor:
                fresh[key] = row
            elif self.overtaken is None or row[:3] < self.overtaken:
                self.overtaken = row[:3]
        if fresh:
            dirty = self._merge(fresh)
            self._known.update(fresh)
            self._run(dirty)
            self._trim()

    def before(self, key: Key) -> tuple[Key, Snapshot] | None:
        """The newest state of the ring that is older than that place; None if there is none."""
        return next((kept for kept in reversed(self._ring) if kept[0] < key), None)

    def begin(self, after: Key, state: Snapshot) -> None:
        """Go on from a state that holds every row up to that place."""
        self.ledger.adopt(state)
        self.rows, self._known, self._done = [], {}, 0
        self._floor, self.overtaken = after, None
        self._checkpoints = [Checkpoint(0, self.ledger.snapshot())]
        self._ring = [(after, state)]

    def held(self) -> Held:
        """All of it; what it holds is never changed afterwards."""
        marks = [(c.index, c.state) for c in self._checkpoints]
        return Held(list(self.rows), marks, self.ledger.snapshot(), self._floor, list(self._ring))

    def resume(self, held: Held) -> None:
        """Be as the fold was that `held` comes from."""
        self.rows = list(held.rows)
        self._known = {(row.request_id, row.seq): row for row in self.rows}
        self._done = len(self.rows)
        self._checkpoints = [Checkpoint(index, state) for index, state in held.checkpoints]
        self._floor, self._ring, self.overtaken = held.floor, list(held.ring), None
        self.ledger.restore(held.state)

    def explained(self, change: Change) -> Change:
        """The change with its reason, which is found only when somebody asks."""
        if change.why:
            return change
        if self._floor is not None and change.key <= self._floor:
            return replace(change, why=f"{change.after[0]} did better in rows no longer kept")
        end = bisect_left(self.rows, change.key, key=lambda row: row[:3]) + 1
        return replace(change, why=reason.explain(self.rows, end, change, self.ledger.weights))

    def _merge(self, fresh: Mapping[tuple[str, int], Observation]) -> int:
        """Put the rows where they belong; the first index that is not as it was."""
        dirty = len(self.rows)
        for key in fresh:
            if (old := self._known.get(key)) is not None:
                index = bisect_left(self.rows, old)
                del self.rows[index]
                dirty = min(dirty, index)
        rows = sorted(fresh.values())
        if self.rows and rows[0] < self.rows[-1]:
            dirty = min(dirty, bisect_left(self.rows, rows[0]))
            self.rows.extend(rows)
            self.rows.sort()
        else:
            self.rows.extend(rows)
        return dirty

    def _run(self, dirty: int) -> None:
        """Step through the rows from there, going back to a checkpoint if need be."""
        start = dirty
        if dirty < self._done:
            while self._checkpoints[-1].index > dirty:
                self._checkpoints.pop()
            start = self._checkpoints[-1].index
            self.ledger.restore(self._checkpoints[-1].state)
        recent = len(self.rows) - CLOSE * STRETCH
        for index in range(start, len(self.rows)):
            if index % (STRETCH if index >= recent else CLOSE * STRETCH) == 0:
                self._mark(index)
            changes = self.ledger.step(self.rows[index])
            if changes and self._on_change:
                for change in changes:
                    self._on_change(self.explained(change))
        self._done = len(self.rows)

    def _mark(self, index: int) -> None:
        if index <= self._checkpoints[-1].index:
            return
        self._checkpoints.append(Checkpoint(index, self.ledger.snapshot()))
        old = self._checkpoints[-CLOSE - 1] if len(self._checkpoints) > CLOSE else None
        if old is not None and old.index % (STRETCH * CLOSE):
            self._checkpoints.remove(old)

    def _trim(self) -> None:
        """Let go of rows that are too old to be revised."""
        spare = len(self.rows) - WINDOW
        if spare < STRETCH * CLOSE:
            return
        kept = [c for c in self._checkpoints if c.index >= spare]
        cut = kept[0].index
        for course in self.ledger.courses.values():
            if course.last is not None:
                course.last = self.explained(course.last)
        self._floor = self.rows[cut - 1][:3]
        self._ring.append((self._floor, kept[0].state))
        if len(self._ring) > RING:
            del self._ring[self._densest()]
        for row in self.rows[:cut]:
            del self._known[row.request_id, row.seq]
        del self.rows[:cut]
        for checkpoint in kept:
            checkpoint.index -= cut
        self._checkpoints = kept
        self._done -= cut

    def _densest(self) -> int:
        """Which state of the ring is missed least: its neighbours are near for its age."""
        newest = self._ring[-1][0][0]

        def gap(n: int) -> float:
            age_s = newest - self._ring[n][0][0] + 1.0
            return (self._ring[n + 1][0][0] - self._ring[n - 1][0][0]) / age_s

        return min(range(1, len(self._ring) - 1), key=gap)
