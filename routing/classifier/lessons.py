"""User corrections: nearest neighbours that override the classifier close to them, and
generalisations from several of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routing.classifier.features import words
from routing.classifier.kinds import LEAST, Kinds, learn_kinds


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
        """The cosine, in [0, 1], of a prompt with each example over words weighted by rarity.

        A word that no example has counts as one that distinguishes the prompt from all of them.
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
"""Cosine of the intents from which a lesson applies; at 1 it has its full weight."""
WEIGHT = 30.0
"""Log-odds that a lesson on the identical prompt adds to its category: more than anything else."""
BEHIND = 0.06
"""How much nearer an example of another category may be before the lesson no longer applies."""
ALIKE = 0.8
"""Replaces NEAR for a lesson whose kind was learned, since the kind generalises better."""
NEIGHBOURS = 3
WORDS_NEAR = 0.6
"""Replaces NEAR for similarity by words, if there is no model."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A prompt and the category that a user assigned to it."""

    id: str
    prompt: str
    category: str


class Space:
    """Intents as directions from the centre of the examples; immutable.

    The encoder's vectors lie in a narrow cone, in which any two look alike. The first half of a
    vector is the intent, see `vectorstore.prompt_encoder`.
    """

    def __init__(self, examples: np.ndarray, columns: np.ndarray, intents: np.ndarray) -> None:
        """`columns` are the examples' categories, `intents` the number of each one's intent."""
        self._middle = examples.mean(axis=0)
        self.examples = self.look(examples)
        self.intents = intents
        self._columns = columns

    def look(self, vectors: np.ndarray) -> np.ndarray:
        """Unit vectors, one row for each input vector."""
        half = vectors.shape[1] // 2
        asked = vectors[:, :half] - self._middle[:half]
        lengths = np.maximum(np.linalg.norm(asked, axis=1, keepdims=True), 1e-9)
        directions: np.ndarray = asked / lengths
        return directions

    def similarities(self, direction: np.ndarray) -> np.ndarray:
        """The cosine of each example's intent with one that `look` gave.

        Row by row, too little for BLAS to wake up its threads; in a third of `einsum`'s time.
        """
        found: np.ndarray = np.vecdot(self.examples, direction)
        return found

    def nearest_of_others(self, direction: np.ndarray, column: int) -> float:
        """The cosine of the nearest example of the other categories."""
        similar = self.similarities(direction)[self._columns != column]
        return float(similar.max()) if len(similar) else -1.0


@dataclass(frozen=True, slots=True)
class Heard:
    """The correction that contributed most to a decision."""

    lesson: Lesson
    similarity: float
    """Its similarity to the prompt, at most 1."""
    together: int = 1
    """The number of corrections in the kind through which it applied."""

    def shown(self) -> dict[str, object]:
        """For the evidence; JSON."""
        shown: dict[str, object] = {
            "id": self.lesson.id,
            "category": self.lesson.category,
            "similarity": round(self.similarity, 3),
        }
        return shown if self.together == 1 else shown | {"together": self.together}


class Lessons:
    """The lessons in force, with their vectors if there is a model; immutable."""

    def __init__(
        self,
        known: Sequence[Lesson],
        names: Sequence[str],
        vectors: np.ndarray | None = None,
        space: Space | None = None,
        kinds: Kinds | None = None,
    ) -> None:
        """Lessons for a category that is not configured have no effect."""
        self.known = tuple(known)
        self._names = tuple(names)
        self.vectors = vectors
        self._space = space
        self._kinds = kinds
        self._looked = space.look(vectors) if space and vectors is not None else None
        self._columns = [names.index(x.category) if x.category in names else None for x in known]
        self._words = None
        if known and self._looked is None:
            self._words = Nearest([one.prompt for one in known])

    def __bool__(self) -> bool:
        return any(column is not None for column in self._columns)

    @property
    def behind(self) -> bool:
        """Whether `generalised` would find something new."""
        if self._looked is None or len(self.known) < LEAST:
            return False
        return self._kinds is None or len(self._kinds.members) != len(self.known)

    def generalised(self, logits: np.ndarray) -> Lessons:
        """The same lessons after learning what they have in common; some tenths of a second.

        `logits` are the classifier's for the lessons, before any correction.
        """
        assert self._looked is not None  # otherwise they would not be `behind`
        assert self._space is not None
        space = self._space
        kinds = learn_kinds(self._looked, self._columns, logits, space.examples, space.intents)
        return Lessons(self.known, self._names, self.vectors, self._space, kinds)

    def followed_by(self, lessons: Sequence[Lesson], vectors: np.ndarray | None) -> Lessons:
        """Other lessons; generalisations from these stay valid as long as none of them is
        removed."""
        kinds = self._kinds if tuple(lessons[: len(self.known)]) == self.known else None
        return Lessons(lessons, self._names, vectors, self._space, kinds)

    def corrected(
        self, logits: np.ndarray, vector: np.ndarray | None, tokens: Sequence[str]
    ) -> tuple[np.ndarray, Heard | None]:
        """The logits after the lessons, and the lesson that applied, if any."""
        similar, least, direction = self._similar(vector, tokens)
        added, heard = self._by_neighbours(similar, least, direction)
        logits = logits + added
        if self._kinds and direction is not None:
            logits, kind = self._kinds.joined(logits, direction)
            if heard is None and kind is not None:
                rows = [row for row, one in enumerate(self._kinds.members) if one == kind]
                row = max(rows, key=lambda row: float(similar[row]))
                heard = Heard(self.known[row], float(similar[row]), len(rows))
        return logits, heard

    def _by_neighbours(
        self, similar: np.ndarray, least: float, direction: np.ndarray | None
    ) -> tuple[np.ndarray, Heard | None]:
        """The contribution of the nearest lessons to each category's logit, and the nearest
        lesson."""
        added = np.zeros(len(self._names))
        heard = None
        for row in np.argsort(-similar, kind="stable")[:NEIGHBOURS]:
            column, near = self._columns[row], float(similar[row])
            least_here = max(least, ALIKE) if self._has_kind(int(row)) else least
            if column is None or near <= least_here or self._is_behind(direction, column, near):
                continue
            added[column] = max(added[column], WEIGHT * (near - least) / (1 - least))
            heard = heard or Heard(self.known[row], near)
        return added, heard

    def _has_kind(self, row: int) -> bool:
        members = self._kinds.members if self._kinds else ()
        return row < len(members) and members[row] is not None

    def _similar(
        self, vector: np.ndarray | None, tokens: Sequence[str]
    ) -> tuple[np.ndarray, float, np.ndarray | None]:
        """The similarity of each lesson, the threshold from which it counts, and the prompt's
        direction."""
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
