"""Which examples a prompt resembles by its words: the explanation where no embedding was made."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

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
