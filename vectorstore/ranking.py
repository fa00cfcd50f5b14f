"""How the two halves of retrieval become one order with one score. Pure: numbers in, numbers out.

Order: reciprocal rank fusion (Cormack, Clarke, Buettcher, "Reciprocal rank fusion outperforms
Condorcet and individual rank learning methods", SIGIR 2009).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

CANDIDATES = 50
"""How deep each half is read."""
RRF_K = 60


def fuse(*rankings: Sequence[int]) -> dict[int, float]:
    """The sum over the rankings of 1 / (RRF_K + rank), rank from 1, for each item in any."""
    fused: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            fused[item] = fused.get(item, 0.0) + 1.0 / (RRF_K + rank)
    return fused


def best_first(scores: Mapping[int, float]) -> list[int]:
    """Items by falling score; equal ones in order of their number, so that runs repeat."""
    return sorted(scores, key=lambda item: (-scores[item], item))


def logistic(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, x))))


def probability(similarity: float | None, coverage: float) -> float:
    """How likely a passage holds the answer: from the cosine similarity and from the share of the
    question's content words (weighted by rarity) that it holds."""
    if similarity is None:
        return logistic(6.0 * coverage - 4.5)
    return logistic(18.0 * (similarity - 0.72) + 3.0 * (coverage - 0.5))


FLOOR = 0.5
"""Probability from which a passage is fit to be shown as an answer."""
