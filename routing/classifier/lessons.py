"""What users corrected: nearest neighbours that overrule the classifier where they are near."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routing.classifier.features import words


class Nearest:
    """An inverted index over the words of the examples; immutable."""

    def __init__(self, texts: Sequence[str]) -> None:
        documents = [set(words(text)) for text in texts]
        counts = Counter(word for document in documents for word in document)
        self._size = len(texts)
        self._rarity = {
            word: math.log((1 + self._size) / (0.5 + count)) for word, count in counts.items()
        }
        self._unknown = math.log(2 * (1 + self._size))
        holders: dict[str, list[int]] = {word: [] for word in counts}
        for row, document in enumerate(documents):
            for word in document:
                holders[word].append(row)
        self._rows = {word: np.array(rows) for word, rows in holders.items()}
        lengths = [math.sqrt(sum(self._rarity[w] ** 2 for w in document)) for document in documents]
        self._lengths = np.maximum(np.array(lengths), 1e-9)

    def similarities(self, tokens: Sequence[str]) -> np.ndarray:
        """The cosine, in [0, 1], of a prompt with each example over words weighed by rarity.

        A word that no example has counts as one that sets the prompt apart from all of them.
        """
        shared = np.zeros(self._size)
        length = 0.0
        for word in set(tokens):
            weight = self._rarity.get(word, self._unknown) ** 2
            length += weight
            if word in self._rows:
                shared[self._rows[word]] += weight
        similar: np.ndarray = shared / self._lengths / max(math.sqrt(length), 1e-9)
        return similar


NEAR = 0.6
"""Cosine, of what is asked, from which a lesson is heard; at 1 it has its whole weight."""
WEIGHT = 30.0
"""Log-odds that a lesson on the very same prompt adds to its category: it overrules anything."""
BEHIND = 0.06
"""How much nearer an example of another category may be before the lesson is not heard."""
NEIGHBOURS = 3
WORDS_NEAR = 0.6
"""The same as NEAR for likeness by words, where there is no model."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A prompt and the category that a user says it belongs to."""

    id: str
    prompt: str
    category: str


class Space:
    """What is asked, as directions from the middle of the examples; immutable.

    The encoder's vectors lie in a narrow cone, so that any two of them look alike before that. The
    first half of a vector is what is asked, see `vectorstore.prompt_encoder`.
    """

    def __init__(self, examples: np.ndarray, columns: np.ndarray) -> None:
        """`columns` are the examples' categories."""
        self._middle = examples.mean(axis=0)
        self._examples = self.look(examples)
        self._columns = columns

    def look(self, vectors: np.ndarray) -> np.ndarray:
        """Directions of length 1, one row a vector."""
        half = vectors.shape[1] // 2
        asked = vectors[:, :half] - self._middle[:half]
        lengths = np.maximum(np.linalg.norm(asked, axis=1, keepdims=True), 1e-9)
        directions: np.ndarray = asked / lengths
        return directions

    def similarities(self, vector: np.ndarray) -> np.ndarray:
        """The cosine of a prompt with each example, in what is asked."""
        found: np.ndarray = np.einsum("ij,j->i", self._examples, self.look(vector[None])[0])
        return found

    def nearest_of_others(self, direction: np.ndarray, column: int) -> float:
        """The cosine of the nearest example of the other categories."""
        similar = np.einsum("ij,j->i", self._examples, direction)[self._columns != column]
        return float(similar.max()) if len(similar) else -1.0


class Lessons:
    """The lessons in force, with their vectors where there is a model; immutable."""

    def __init__(
        self,
        known: Sequence[Lesson],
        names: Sequence[str],
        vectors: np.ndarray | None = None,
        space: Space | None = None,
    ) -> None:
        """Lessons for a category that is not configured stay silent."""
        self.known = tuple(known)
        self._space = space
        self._looked = space.look(vectors) if space and vectors is not None else None
        self._columns = [names.index(x.category) if x.category in names else None for x in known]
        self._width = len(names)
        self._words = None
        if known and self._looked is None:
            self._words = Nearest([one.prompt for one in known])

    def __bool__(self) -> bool:
        return any(column is not None for column in self._columns)

    def heard(
        self, vector: np.ndarray | None, tokens: Sequence[str]
    ) -> tuple[np.ndarray, Lesson | None, float]:
        """What the nearest lessons add to each category's logit, the nearest, its similarity."""
        added = np.zeros(self._width)
        similar, least, direction = self._similar(vector, tokens)
        heard: list[tuple[float, int]] = []
        for row in np.argsort(-similar, kind="stable")[:NEIGHBOURS]:
            column, near = self._columns[row], float(similar[row])
            if column is None or near <= least or self._is_behind(direction, column, near):
                continue
            added[column] = max(added[column], WEIGHT * (near - least) / (1 - least))
            heard.append((near, int(row)))
        if not heard:
            return added, None, 0.0
        near, row = heard[0]
        return added, self.known[row], near

    def _similar(
        self, vector: np.ndarray | None, tokens: Sequence[str]
    ) -> tuple[np.ndarray, float, np.ndarray | None]:
        """The likeness of each lesson, from where it counts, and the prompt's direction."""
        if self._looked is not None and self._space is not None and vector is not None:
            direction = self._space.look(vector[None])[0]
            return np.einsum("ij,j->i", self._looked, direction), NEAR, direction
        if self._words is not None:
            return self._words.similarities(tokens), WORDS_NEAR, None
        return np.zeros(0), 1.0, None

    def _is_behind(self, direction: np.ndarray | None, column: int, near: float) -> bool:
        if direction is None or self._space is None:
            return False
        return near < self._space.nearest_of_others(direction, column) - BEHIND
