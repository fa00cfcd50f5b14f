"""What retrieval hands to the rest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that may hold the answer.

    `score` is in [0, 1], higher is better, comparable between questions; `similarity` is the
    dense cosine similarity (None where only BM25 was available).
    """

    text: str
    source: str  # path relative to the ingested folder, or "python/<topic>"
    title: str  # the document's title, then its headings, joined by " > "
    score: float
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The passages for one question, best first, and whether they can be trusted to hold it."""

    passages: tuple[Passage, ...] = ()
    confident: bool = False
    """True when the best passage is above the learned floor: fit to be shown as an answer."""
    took_ms: float = 0.0
    mode: str = "hybrid"  # hybrid | bm25 | empty
