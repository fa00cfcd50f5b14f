"""The keyword half of retrieval: BM25 over the chunks of one snapshot."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from vectorstore.words import words

K1 = 1.2
B = 0.75
MAX_TERMS = 64
"""Of a longer prompt only the rarest words are looked up."""


class KeywordIndex:
    """BM25 in Lucene's form (bm25s). Built once for a version of the knowledge base, immutable."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # sets itself to DEBUG on import
        tokens = [words(text) for text in texts]
        self._size = len(tokens)
        self._terms = [frozenset(t) for t in tokens]
        self._counts = Counter(term for terms in self._terms for term in terms)
        self._index = None
        if self._counts:
            self._index = bm25s.BM25(k1=K1, b=B, method="lucene")
            self._index.index(tokens, show_progress=False)

    def terms(self, question: str) -> dict[str, float]:
        """The question's content words, reduced to stems, with their rarity."""
        rarities = {term: self._rarity(term) for term in words(question)}
        return dict(sorted(rarities.items(), key=lambda item: -item[1])[:MAX_TERMS])

    def scores(self, terms: dict[str, float]) -> np.ndarray:
        """The BM25 score of every chunk, float32, shape (chunks,)."""
        known = [term for term in terms if term in self._counts]
        if self._index is None or not known:
            return np.zeros(self._size, dtype=np.float32)
        scores: np.ndarray = self._index.get_scores_from_ids(self._index.get_tokens_ids(known))
        return scores

    def coverage(self, terms: dict[str, float], place: int) -> float:
        """Which share in [0, 1] of the terms a chunk holds, weighted by rarity; a term that no
        chunk holds weighs as the rarest."""
        total = sum(terms.values())
        held = sum(weight for term, weight in terms.items() if term in self._terms[place])
        return held / total if total else 0.0

    def _rarity(self, term: str) -> float:
        """Inverse document frequency, as BM25 has it."""
        count = self._counts[term]
        return math.log(1 + (self._size - count + 0.5) / (count + 0.5))
