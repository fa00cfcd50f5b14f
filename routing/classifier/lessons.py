"""What users corrected: nearest neighbours that overrule the classifier where they are near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routing.classifier.nearest import Nearest

NEAR = 0.75
"""Cosine from which a lesson is heard; at 1 it has its whole weight."""
WEIGHT = 14.0
"""Log-odds that a lesson on the very same prompt adds to its category: it overrules anything."""
NEIGHBOURS = 3
WORDS_NEAR = 0.6
"""The same as NEAR for likeness by words, where there is no model."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A prompt and the category that a user says it belongs to."""

    id: str
    prompt: str
    category: str


class Lessons:
    """The lessons in force, with their vectors where there is a model; immutable."""

    def __init__(
        self, known: Sequence[Lesson], names: Sequence[str], vectors: np.ndarray | None
    ) -> None:
        """Lessons for a category that is not configured stay silent."""
        self.known = tuple(known)
        self.vectors = vectors
        self._columns = [names.index(x.category) if x.category in names else None for x in known]
        self._width = len(names)
        self._words = Nearest([one.prompt for one in known]) if known and vectors is None else None

    def __bool__(self) -> bool:
        return any(column is not None for column in self._columns)

    def heard(
        self, vector: np.ndarray | None, tokens: Sequence[str]
    ) -> tuple[np.ndarray, Lesson | None, float]:
        """What the nearest lessons add to each category's logit, the nearest, its similarity."""
        if vector is not None and self.vectors is not None:
            similar, least = self.vectors @ vector, NEAR
        elif self._words is not None:
            similar, least = self._words.similarities(tokens), WORDS_NEAR
        else:
            return np.zeros(self._width), None, 0.0
        added = np.zeros(self._width)
        order = np.argsort(-similar, kind="stable")[:NEIGHBOURS]
        for row in order:
            column = self._columns[row]
            strength = (float(similar[row]) - least) / (1 - least)
            if column is not None and strength > 0:
                added[column] = max(added[column], WEIGHT * strength)
        nearest = int(order[0])
        if similar[nearest] < least or self._columns[nearest] is None:
            return added, None, 0.0
        return added, self.known[nearest], float(similar[nearest])
