"""The types that retrieval and ingest return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that may contain the answer.

    `score` is in [0, 1], higher is better, comparable between questions; `similarity` is the dense
    cosine similarity (None if only BM25 was available).
    """

    text: str
    source: str  # path relative to the ingested folder, or "python/<topic>"
    title: str  # the document's title, then its headings, joined by " > "
    score: float
    similarity: float | None = None


Mode = Literal["hybrid", "bm25", "empty", "late"]
"""How was searched: vectors and words, words alone, a base without passages, not in time."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The passages for one question, best first, and whether they can be trusted to contain the
    answer."""

    passages: tuple[Passage, ...] = ()
    confident: bool = False
    """True if the first passage's score is above the learned threshold: it can be shown as an
    answer."""
    took_ms: float = 0.0
    mode: Mode = "hybrid"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of the knowledge base, as of its ingest."""

    source: str  # path relative to its folder, or "python/<topic>"
    title: str
    chunks: int
    hash: str  # SHA-256 of the content, hexadecimal
    bytes: int
    folder: str  # absolute path, or "python" for Python's own topics


@dataclass(frozen=True, slots=True)
class IngestReport:
    """The result of one ingest, in documents; `skipped` names each file left out, with the
    reason."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    """Chunks written; those of unchanged documents do not count."""
    skipped: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    vectors: bool = True
    """False if no embedding model is installed: the documents are then found by BM25 alone."""
