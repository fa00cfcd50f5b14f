"""The fold over the log: rows in, order out.

The result is a function of the rows alone, taken in (at, request_id, seq) order, whatever the
order of their arrival: a row that comes late, is revised or is judged afterwards makes the fold
go back to the last checkpoint before it and take that stretch again. So a replay gives what the
live run gave, and reading a stretch of the log twice changes nothing.

A fold at rest becomes plain values for JSON, and back: for a file beside the log, and for the
baseline that stands in for rows that were pruned. Floats survive exactly, so that a fold goes on
from a snapshot as if it had never stopped. Nothing but the ranking's own classes is ever built from
one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from config.models import Ranking
from routing.ranking.arm import BESIDE, Arm, Lead
from routing.ranking.evidence import Estimate, Prior, Trace
from routing.ranking.ledger import Ledger, Pooling, Snapshot
from routing.ranking.reward import Observation, Usual
from routing.ranking.standings import Change, Course, Pulse, explain

Key = tuple[float, str, int]
"""(at, request_id, seq): a place in the fold's order."""

_SLOTTED: dict[str, type[Arm | Course | Trace]] = {c.__name__: c for c in (Arm, Course, Trace)}
_TUPLES: dict[str, Callable[..., object]] = {
    c.__name__: c for c in (Pulse, Pooling, Estimate, Prior, Usual, Lead)
}
_ADDED: dict[str, object] = {"lead": Lead(), "beside": BESIDE, "alone": None}
"""Slots that a baseline of an older version does not have, at what they were worth then."""
_DATA: dict[str, Callable[..., object]] = {c.__name__: c for c in (Snapshot, Change)}


@dataclass(frozen=True, slots=True)
class Held:
    """A fold at rest: its rows, the states before some of them, the state after the last, and
    states further back than its rows."""

    rows: list[Observation]
    checkpoints: list[tuple[int, Snapshot]]
    state: Snapshot
    floor: Key | None
    ring: list[tuple[Key, Snapshot]]


def held_to_json(held: Held) -> dict[str, object]:
    return {
        "rows": [list(row) for row in held.rows],
        "checkpoints": [[index, to_json(state)] for index, state in held.checkpoints],
        "state": to_json(held.state),
        "floor": held.floor,
        "ring": [[key, to_json(state)] for key, state in held.ring],
    }


def held_from_json(found: dict[str, Any]) -> Held:
    """Raises KeyError, TypeError or ValueError for what `held_to_json` did not make."""
    return Held(
        rows=[Observation(*row) for row in found["rows"]],
        checkpoints=[(index, from_json(state)) for index, state in found["checkpoints"]],
        state=from_json(found["state"]),
        floor=_key(found["floor"]),
        ring=[(tuple(key), from_json(state)) for key, state in found["ring"]],
    )


def to_json(value: object) -> object:
    """The value with the names of its classes; scalars stay as they are."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    name = type(value).__name__
    if name in _SLOTTED:
        return {name: {slot: to_json(getattr(value, slot)) for slot in _SLOTTED[name].__slots__}}
    if name in _TUPLES and isinstance(value, tuple):
        return {name: [to_json(part) for part in value]}
    if is_dataclass(value) and name in _DATA:
        return {name: {f.name: to_json(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, dict):
        return {"dict": [[to_json(k), to_json(v)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [to_json(part) for part in value]}
    raise TypeError(f"a snapshot holds no {name}")


def from_json(value: object) -> Any:
    """What `to_json` was given; TypeError or ValueError for anything else."""
    if not isinstance(value, dict):
        return value
    ((name, inner),) = value.items()
    if name in _SLOTTED:
        made = object.__new__(_SLOTTED[name])
        for slot in _SLOTTED[name].__slots__:
            known = slot in inner or slot not in _ADDED
            setattr(made, slot, from_json(inner[slot]) if known else _ADDED[slot])
        if hasattr(made, "generation"):
            made.generation = -1  # of no ledger yet: copied before it is changed
        return made
    if name in _TUPLES:
        return _TUPLES[name](*(from_json(part) for part in inner))
    if name in _DATA:
        return _DATA[name](**{key: from_json(part) for key, part in inner.items()})
    if name == "dict":
        return {from_json(k): from_json(v) for k, v in inner}
    if name == "tuple":
        return tuple(from_json(part) for part in inner)
    raise ValueError(f"a snapshot holds no {name}")


def _key(found: Sequence[float | str] | None) -> Key | None:
    return None if found is None else (float(found[0]), str(found[1]), int(found[2]))


WINDOW = 20_000
"""Rows that are kept to be revised; for what comes older the log is read again from the ring."""

KEPT = 12
"""Checkpoints that are kept close together, one in so many of the older ones, and states of the
ring, which are from before the rows and ever further apart."""

STRETCH = WINDOW // KEPT**2
"""Rows between two checkpoints that are close together."""

RECENT = STRETCH * KEPT
"""Rows with such checkpoints, which percentiles and explanations are taken from, too."""


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
        return replace(
            change, why=explain(self.rows[max(0, end - RECENT) : end], change, self.ledger.weights)
        )

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
        recent = len(self.rows) - RECENT
        for index in range(start, len(self.rows)):
            if index % (STRETCH if index >= recent else RECENT) == 0:
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
        old = self._checkpoints[-KEPT - 1] if len(self._checkpoints) > KEPT else None
        if old is not None and old.index % RECENT:
            self._checkpoints.remove(old)

    def _trim(self) -> None:
        """Let go of rows that are too old to be revised."""
        spare = len(self.rows) - WINDOW
        if spare < RECENT:
            return
        kept = [c for c in self._checkpoints if c.index >= spare]
        cut = kept[0].index
        for course in self.ledger.courses.values():
            if course.last is not None:
                course.last = self.explained(course.last)
        self._floor = self.rows[cut - 1][:3]
        self._ring.append((self._floor, kept[0].state))
        if len(self._ring) > KEPT:
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
