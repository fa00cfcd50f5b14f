"""What the fold has learned as plain values for JSON, and back: for a file beside the log, and for
the baseline that stands in for rows that were pruned.

Floats survive exactly, so that a fold goes on from a snapshot as if it had never stopped. Nothing
but the ranking's own classes is ever built from a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from routing.ranking.arm import Arm
from routing.ranking.course import Course, Pulse
from routing.ranking.evidence import Estimate, Prior, Trace
from routing.ranking.ledger import Pooling, Snapshot
from routing.ranking.pairs import BESIDE, Lead
from routing.ranking.reward import Observation, Usual
from routing.ranking.standings import Change

Key = tuple[float, str, int]
"""(at, request_id, seq): a place in the fold's order."""

_SLOTTED: dict[str, type[Arm | Course | Trace]] = {c.__name__: c for c in (Arm, Course, Trace)}
_TUPLES: dict[str, Callable[..., object]] = {
    c.__name__: c for c in (Pulse, Pooling, Estimate, Prior, Usual, Lead)
}
_ADDED: dict[str, object] = {"lead": Lead(), "beside": BESIDE}
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
