"""How the two halves of retrieval become one order and one score. Pure: numbers in, numbers out.

Order: reciprocal rank fusion (Cormack, Clarke, Buettcher, "Reciprocal rank fusion outperforms
Condorcet and individual rank learning methods", SIGIR 2009), with the two scores themselves added,
because ranks throw away by how much one passage is better than the next (Bruch, Gai, Ingber, "An
analysis of fusion functions for hybrid retrieval", TOIS 2023). On questions over three unlike
corpora that is one to two points of MRR better than ranks alone, and any weights within a factor
of two of these do as well.

Score: a logistic regression on the cosine similarity and on the share of the question's content
words that the passage holds, fitted by `python -m benchmarks.retrieval --fit` on the part of
`benchmarks/data/retrieval.yaml` that is not reported on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

CANDIDATES = 50
"""How deep each half is read."""
RRF_K = 60
SIMILARITY_WEIGHT = 0.2
BM25_WEIGHT = 0.005

HYBRID = (27.5, 4.6, -19.7)
"""Weights of similarity and coverage, and the intercept."""
KEYWORDS_ONLY = (10.6, 0.87, -8.0)
"""Weights of coverage and of the number of the question's content words, and the intercept."""
FLOOR = 0.5
"""Score from which a passage is fit to be shown as an answer."""


def fuse(similarities: Mapping[int, float], bm25: Mapping[int, float]) -> list[int]:
    """The items of either half, best first; equal ones by their number, so that runs repeat.

    `similarities` holds the dense candidates; `bm25` the keyword candidates, and may hold the
    scores of dense ones as well. What the dense half did not find is taken to be just below what
    it found.
    """
    found = _best_first(bm25)[:CANDIDATES]
    lowest = min(similarities.values(), default=0.0)
    value = {
        item: SIMILARITY_WEIGHT * similarities.get(item, lowest) + BM25_WEIGHT * bm25.get(item, 0.0)
        for item in {*similarities, *found}
    }
    for ranking in (_best_first(similarities), found):
        for rank, item in enumerate(ranking, start=1):
            value[item] += 1.0 / (RRF_K + rank)
    return _best_first(value)


def reorder(items: Sequence[int], log_odds: Sequence[float]) -> list[int]:
    """The items by the word of a cross-encoder.

    On the fused head alone: MRR 0.874 to 0.946 on a long manual, 0.984 to 0.991 on the shipped
    documents. Mixing in the fused value was measured and gains nothing.
    """
    return _best_first(dict(zip(items, log_odds, strict=True)))


def score(similarity: float | None, coverage: float, words: int) -> float:
    """How likely a passage holds the answer, in [0, 1]; comparable between questions.

    `coverage` is the share in [0, 1] of the question's content words that the passage holds,
    weighted by rarity; `words` is how many there are. Without a similarity these alone decide.
    """
    if similarity is None:
        weight, per_word, intercept = KEYWORDS_ONLY
        return _logistic(weight * coverage + per_word * words + intercept) if coverage else 0.0
    by_similarity, by_coverage, intercept = HYBRID
    return _logistic(by_similarity * similarity + by_coverage * coverage + intercept)


def _best_first(scores: Mapping[int, float]) -> list[int]:
    return sorted(scores, key=lambda item: (-scores[item], item))


def _logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, x))))
