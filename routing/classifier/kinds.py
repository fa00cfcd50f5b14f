"""Generalises from several corrections: kinds of prompts, learned in addition to the weights.

A single correction affects its nearest neighbours only. Once LEAST corrections to one category lie
close together, a logistic regression learns their kind against the examples of the configuration,
whose vectors are stored; the weights themselves never change. It takes some tenths of a second, so
it runs in the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routing.classifier.learning import fit_one, softmax

LEAST = 3
TOGETHER = 0.1
"""Cosine with the centre of a kind from which a correction belongs to it. Between two kinds of
prompts it is about 0, within one 0.4 to 0.7, within a loose one 0.2. At 0.3 loose kinds fall into
parts of three corrections each, which together reach three times as many prompts of other kinds."""
CLAIMED = 0.025
"""The share of the examples, the nearest ones, that are left out when a kind is learned: they
probably belong to the corrected kind. With half as many, recall of a kind after five corrections
drops by 4 points; with twice as many, twice as many prompts of other kinds change too."""
WITHIN = 0.6
"""The cosine of an intent's examples with a kind, on average, relative to that of the kind's own
corrections, from which all of them are left out: the kind covers what that intent does. Without it
a kind as broad as an intent is held back by the examples of its own that were not corrected."""
MOST_WITHIN = 0.5
"""The share of the examples that may be left out for their intents, so that enough remain."""
TAKEN = 0.002
"""The maximum share of the other examples that may end up above even odds."""
STRENGTH = 1.0
"""Inverse variance of the prior on a kind's weights."""
SPREAD = 3.0
"""Norm of the directions in the regression."""
IMPORTANCE = 0.25
"""Weight of all corrections of a kind together, relative to that of all examples."""
UNHEARD = -1.0
"""Log-odds below which a kind is not named as the reason of a decision."""
FAVOUR = 1.0
"""Log-odds in favour of a kind, since a user took the trouble to correct it."""


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds that were found; immutable."""

    columns: np.ndarray  # (kinds,) of int: the category of each
    weights: np.ndarray  # (kinds, dimensions + 1); the last column is the bias
    members: tuple[int | None, ...]  # the kind of each correction

    def __bool__(self) -> bool:
        return len(self.columns) > 0

    def odds(self, direction: np.ndarray) -> np.ndarray:
        """The log-odds of each kind against everything else."""
        found: np.ndarray = np.einsum("kd,d->k", self.weights[:, :-1], direction)
        found += self.weights[:, -1]
        return found

    def joined(self, logits: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, int | None]:
        """The logits with each kind's contribution to its category, and the kind that decides, if
        any."""
        joined = logits - np.logaddexp.reduce(logits)
        odds = self.odds(direction)
        np.logaddexp.at(joined, self.columns, odds)
        kind = int(odds.argmax())
        decides = joined.argmax() == self.columns[kind] and odds[kind] > UNHEARD
        return joined, kind if decides else None


def learn_kinds(
    directions: np.ndarray,
    columns: Sequence[int | None],
    logits: np.ndarray,
    examples: np.ndarray,
    intents: np.ndarray,
) -> Kinds:
    """Learn the kinds of the corrections `directions`, unit vectors, to the categories `columns`
    (None: one that is not configured). `logits` are the classifier's for them before any
    correction; `examples` are the directions of the configuration's examples, `intents` the number
    of the intent that each of these stands under.
    """
    members = _grouped(directions, columns)
    shares = softmax(logits)
    found: list[np.ndarray] = []
    targets: list[int] = []
    for kind in sorted({one for one in members if one is not None}):
        mine = np.array([one == kind for one in members])
        column = columns[int(mine.argmax())]
        assert column is not None  # otherwise it would belong to no kind
        others = np.array([c is not None and c != column for c in columns], dtype=bool)
        rest = np.log(np.clip(1 - shares[mine, column], 1e-6, 1))
        against = examples[~_claimed(directions[mine], examples, intents)]
        against = np.concatenate([against, directions[others]])
        found.append(_learned(directions[mine], rest, against))
        targets.append(column)
    width = directions.shape[1] + 1
    return Kinds(np.array(targets, dtype=int), np.array(found).reshape(-1, width), tuple(members))


def _grouped(directions: np.ndarray, columns: Sequence[int | None]) -> list[int | None]:
    """The kind of each correction by number; None where fewer than LEAST lie together."""
    sums: list[np.ndarray] = []
    kinds: list[list[int]] = []
    for row, column in enumerate(columns):
        if column is None:
            continue
        near = [
            float(directions[row] @ middle / max(np.linalg.norm(middle), 1e-9))
            if columns[rows[0]] == column
            else -1.0
            for middle, rows in zip(sums, kinds, strict=True)
        ]
        best = int(np.argmax(near)) if near else 0
        if near and near[best] >= TOGETHER:
            sums[best] = sums[best] + directions[row]
            kinds[best].append(row)
        else:
            sums.append(directions[row])
            kinds.append([row])
    members: list[int | None] = [None] * len(columns)
    for number, rows in enumerate(rows for rows in kinds if len(rows) >= LEAST):
        for row in rows:
            members[row] = number
    return members


def _claimed(mine: np.ndarray, examples: np.ndarray, intents: np.ndarray) -> np.ndarray:
    """Which examples probably belong to the kind: the nearest, and intents that lie within it."""
    centre = mine.mean(axis=0)
    near = examples @ centre
    means = np.bincount(intents, near) / np.maximum(np.bincount(intents), 1)
    within = (means > WITHIN * np.median(mine @ centre))[intents]
    nearest = near >= np.quantile(near, 1 - CLAIMED)
    claimed: np.ndarray = nearest | within if within.mean() <= MOST_WITHIN else nearest
    return claimed


def _learned(mine: np.ndarray, rest: np.ndarray, against: np.ndarray) -> np.ndarray:
    """Weights and bias of one kind, against the examples that it does not claim and the corrections
    to other categories. `rest` are the log-odds that it competes with."""
    importance = np.ones(len(mine) + len(against))
    importance[: len(mine)] = IMPORTANCE * len(against) / len(mine)
    weights = fit_one(
        SPREAD * np.concatenate([mine, against]).astype(np.float64),
        np.arange(len(importance)) < len(mine),
        np.concatenate([rest, np.zeros(len(against))]),
        importance,
        STRENGTH,
    )
    weights[:-1] *= SPREAD
    weights[-1] += FAVOUR
    odds = against @ weights[:-1] + weights[-1]
    weights[-1] -= max(0.0, float(np.quantile(odds, 1 - TAKEN)))
    return weights
