"""One question against one snapshot: candidates of both halves, fused, scored, as passages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from vectorstore import ranking
from vectorstore.passages import Passage
from vectorstore.snapshot import Snapshot

CrossEncoder = Callable[[str, Sequence[str]], np.ndarray]
RERANKED = 8
"""How many candidates the cross-encoder reads at least: 40 ms of CPU each."""


@dataclass
class Search:
    """The state of one search. `similarities` are cosines by place in the snapshot."""

    snapshot: Snapshot
    question: str
    similarities: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.terms = self.snapshot.keywords.terms(self.question)
        self._bm25 = self.snapshot.keywords.scores(self.terms)

    def add_similarities(self, found: Sequence[tuple[str, float]]) -> None:
        """Cosine similarities by id. Ids that the snapshot does not know are vectors of another
        version: passed over."""
        places = self.snapshot.places
        self.similarities |= {places[i]: s for i, s in found if i in places}

    def order(self) -> list[int]:
        """Places of the candidates, best first; the same text takes one place, not two."""
        candidates = {*self.similarities, *_top(self._bm25, ranking.CANDIDATES)}
        bm25 = {p: float(self._bm25[p]) for p in candidates if self._bm25[p] > 0}
        seen: set[str] = set()
        kept = []
        for place in ranking.fuse(self.similarities, bm25):
            text = self.snapshot.chunks[place].text
            if text not in seen:
                seen.add(text)
                kept.append(place)
        return kept

    def reranked(self, order: Sequence[int], k: int, read: CrossEncoder) -> list[int]:
        """The head of the order as a cross-encoder would have it, which reads both together."""
        head = order[: max(k, RERANKED)]
        texts = [self.snapshot.chunks[place].indexed for place in head]
        return ranking.reorder(head, read(self.question, texts).tolist())

    def coverage(self, place: int) -> float:
        """The share in [0, 1] of the question's content words that the chunk holds."""
        return self.snapshot.keywords.coverage(self.terms, place)

    def passages(self, order: Sequence[int]) -> list[Passage]:
        return [self._passage(place) for place in order]

    def _passage(self, place: int) -> Passage:
        chunk = self.snapshot.chunks[place]
        similarity = self.similarities.get(place)
        score = ranking.score(similarity, self.coverage(place), len(self.terms))
        return Passage(chunk.text, chunk.source, chunk.title, score, similarity)


def _top(scores: np.ndarray, n: int) -> list[int]:
    """Places of the n best scores above nought, in no order."""
    n = min(n, len(scores))
    best = np.argpartition(-scores, n - 1)[:n]
    return [int(place) for place in best if scores[place] > 0]
