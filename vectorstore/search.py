"""One question against one snapshot: the candidates of both halves, fused, scored, as passages.

Order: reciprocal rank fusion (Cormack, Clarke, Buettcher, "Reciprocal rank fusion outperforms
Condorcet and individual rank learning methods", SIGIR 2009), with the two scores themselves added,
because ranks discard how much better one passage is than the next (Bruch, Gai, Ingber, "An analysis
of fusion functions for hybrid retrieval", TOIS 2023). On questions over three different corpora
that is one to two points of MRR better than ranks alone, and any weights within a factor of two of
these do as well.

Score: a logistic regression on the cosine similarity and on the share of the question's content
words that the passage contains, fitted by `python -m benchmarks.retrieval --fit` on the part of
`benchmarks/data/retrieval.yaml` that is not reported on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vectorstore.catalog import Catalog, StoredChunk
from vectorstore.keywords import KeywordIndex
from vectorstore.passages import Passage


@dataclass(frozen=True)
class Snapshot:
    """The chunks of a version, their BM25 index, and the position of each id."""

    version: int
    chunks: tuple[StoredChunk, ...]
    keywords: KeywordIndex
    places: dict[str, int] = field(repr=False)

    @classmethod
    def read(cls, catalog: Catalog) -> Snapshot:
        version, chunks = catalog.snapshot()
        return cls(
            version=version,
            chunks=tuple(chunks),
            keywords=KeywordIndex([c.indexed for c in chunks]),
            places={c.id: place for place, c in enumerate(chunks)},
        )


def paths(data_dir: Path) -> tuple[Path, Path, Path]:
    """(catalog, folder of the vectors, lock of the writer) in a data folder."""
    return data_dir / "knowledge.db", data_dir / "chroma", data_dir / "knowledge.lock"


def writer_is_busy(lock: Path) -> bool:
    """Whether a process is ingesting at this moment."""
    from filelock import FileLock, Timeout

    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


CANDIDATES = 50
"""How many candidates are taken from each half."""
RRF_K = 60
SIMILARITY_WEIGHT = 0.2
BM25_WEIGHT = 0.005

HYBRID = (27.5, 4.6, -19.7)
"""Weights of similarity and coverage, and the intercept."""
KEYWORDS_ONLY = (10.6, 0.87, -8.0)
"""Weights of coverage and of the number of the question's content words, and the intercept."""
FLOOR = 0.5
"""Score above which a passage can be shown as an answer."""


def fuse(similarities: Mapping[int, float], bm25: Mapping[int, float]) -> list[int]:
    """The items of either half, best first; ties in order of their number, so that runs are
    reproducible.

    `similarities` holds the dense candidates; `bm25` the keyword candidates, and may include scores
    of dense ones. An item that the dense half did not find is assumed to be just below what it
    found.
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
    """The items in a cross-encoder's order.

    On the head of the fused order only: MRR 0.874 to 0.946 on a long manual, 0.984 to 0.991 on the
    shipped documents. Mixing in the fused value was measured and gains nothing.
    """
    return _best_first(dict(zip(items, log_odds, strict=True)))


def score(similarity: float | None, coverage: float, words: int) -> float:
    """The probability in [0, 1] that a passage contains the answer; comparable between questions.

    `coverage` is the share in [0, 1] of the question's content words that the passage contains,
    weighted by rarity; `words` is their number. Without a similarity these two alone decide.
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


CrossEncoder = Callable[[str, Sequence[str]], np.ndarray]
RERANKED = 8
"""How many candidates the cross-encoder reads at least: 40 ms of CPU each."""


@dataclass
class Search:
    """The state of one search. `similarities` are cosines by position in the snapshot."""

    snapshot: Snapshot
    question: str
    similarities: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.terms = self.snapshot.keywords.terms(self.question)
        self._bm25 = self.snapshot.keywords.scores(self.terms)

    def add_similarities(self, found: Sequence[tuple[str, float]]) -> None:
        """Cosine similarities by id. Ids unknown to the snapshot belong to another version and are
        ignored."""
        places = self.snapshot.places
        self.similarities |= {places[i]: s for i, s in found if i in places}

    def order(self) -> list[int]:
        """Positions of the candidates, best first; duplicates of a text appear once."""
        candidates = {*self.similarities, *_top(self._bm25, CANDIDATES)}
        bm25 = {p: float(self._bm25[p]) for p in candidates if self._bm25[p] > 0}
        seen: set[str] = set()
        kept = []
        for place in fuse(self.similarities, bm25):
            text = self.snapshot.chunks[place].text
            if text not in seen:
                seen.add(text)
                kept.append(place)
        return kept

    def reranked(self, order: Sequence[int], k: int, read: CrossEncoder) -> list[int]:
        """The head of the order re-ranked by a cross-encoder, which reads question and passage
        together."""
        head = order[: max(k, RERANKED)]
        texts = [self.snapshot.chunks[place].indexed for place in head]
        return reorder(head, read(self.question, texts).tolist())

    def coverage(self, place: int) -> float:
        """The share in [0, 1] of the question's content words that the chunk contains."""
        return self.snapshot.keywords.coverage(self.terms, place)

    def passages(self, order: Sequence[int]) -> list[Passage]:
        return [self._passage(place) for place in order]

    def _passage(self, place: int) -> Passage:
        chunk = self.snapshot.chunks[place]
        similarity = self.similarities.get(place)
        worth = score(similarity, self.coverage(place), len(self.terms))
        return Passage(chunk.text, chunk.source, chunk.title, worth, similarity)


def _top(scores: np.ndarray, n: int) -> list[int]:
    """Positions of the n best scores above zero, unordered."""
    n = min(n, len(scores))
    best = np.argpartition(-scores, n - 1)[:n]
    return [int(place) for place in best if scores[place] > 0]
