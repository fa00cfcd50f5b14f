"""The keyword half of retrieval: BM25 over the chunks of one snapshot."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vectorstore.words import words

K1 = 1.2
B = 0.75


class KeywordIndex:
    """BM25 in Lucene's form (bm25s). Built once for a version of the knowledge base, immutable."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        tokens = [words(text) for text in texts]
        self._size = len(tokens)
        self._terms = [frozenset(t) for t in tokens]
        self._counts: dict[str, int] = {}
        for terms in self._terms:
            for term in terms:
                self._counts[term] = self._counts.get(term, 0) + 1
        self._index = None
        if self._counts:
            self._index = bm25s.BM25(k1=K1, b=B, method="lucene")
            self._index.index(tokens, show_progress=False)

    def scores(self, question: str) -> np.ndarray:
        """The BM25 score of every chunk, float32, shape (chunks,)."""
        known = [t for t in dict.fromkeys(words(question)) if t in self._counts]
        if self._index is None or not known:
            return np.zeros(self._size, dtype=np.float32)
        scores: np.ndarray = self._index.get_scores_from_ids(self._index.get_tokens_ids(known))
        return scores

    def coverage(self, question: str, places: Sequence[int]) -> dict[int, float]:
        """For each of these chunks, which share in [0, 1] of the question's content words it
        holds, rare words weighing more; a word that no chunk holds weighs as the rarest."""
        weights = {t: self.rarity(t) for t in words(question)}
        total = sum(weights.values())
        if not total:
            return dict.fromkeys(places, 0.0)
        return {
            p: sum(w for t, w in weights.items() if t in self._terms[p]) / total for p in places
        }

    def rarity(self, term: str) -> float:
        """Inverse document frequency, as BM25 has it."""
        count = self._counts.get(term, 0)
        return math.log(1 + (self._size - count + 0.5) / (count + 0.5))
