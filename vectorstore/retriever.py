"""The reading side: the current snapshot, its vectors, and the search over both.

Runs in one thread, except `own_ingest` and `renew`, which the ingest's thread calls too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from config.errors import StorageError
from vectorstore.catalog import Catalog
from vectorstore.embeddings import Embedder, Reranker
from vectorstore.passages import Document, Retrieval
from vectorstore.search import CANDIDATES, FLOOR, Search, Snapshot, paths, writer_is_busy
from vectorstore.vectors import WAIT_S, Dense, VectorStore

RENEWAL_SHARE = 0.1
"""While an ingest commits, at most this share of the time is spent on new snapshots."""
REMEMBERED = 512
"""Questions whose vectors are cached, since retries and conversations ask them again."""
QUESTION_TOKENS = 256
"""Of a longer prompt only the beginning is embedded: at most 30 ms of CPU."""
QUESTION_CHARACTERS = 16 * QUESTION_TOKENS
"""Characters of that beginning, more than its tokens hold in prose; bounds the cache."""

VECTORS_MISSING = "The knowledge base has no vectors: run `python app.py --ingest`."


class Retriever:
    def __init__(self, data_dir: Path, embedder: Embedder | None, chroma_url: str | None) -> None:
        self._paths = paths(data_dir)
        self._embedder = embedder
        self._catalog: Catalog | None = None
        self._snapshot: Snapshot | None = None
        self._inode = 0
        self._next_renewal = 0.0
        self._renewing = threading.Lock()
        self._dense = Dense(self._paths[1], chroma_url) if embedder else None
        self._reranker: Reranker | None = None
        self._vector = lru_cache(REMEMBERED)(self._embedding)
        self._problems: dict[str, str] = {}
        self._writing = False
        """True while this process ingests: its own writes are visible without reopening."""

    @property
    def version(self) -> int:
        return self._snapshot.version if self._snapshot else 0

    @property
    def problem(self) -> str | None:
        """The current problems as sentences; None if there are none."""
        found = [self._dense.problem] if self._dense and self._dense.problem else []
        return " ".join([*found, *self._problems.values()]) or None

    def documents(self) -> list[Document]:
        catalog = self._open_catalog()
        return catalog.documents() if catalog else []

    def warm(self) -> None:
        """Open and load what the first retrieval needs."""
        snapshot = self._current()
        if snapshot is not None and snapshot.chunks and self._dense is not None:
            self._dense.ask(snapshot.version, VectorStore.ping, renew=True)

    def look(self) -> None:
        """Detect an outage of the vectors, or its end, without waiting for the next retrieval."""
        folder = self._paths[0].parent
        if folder.is_dir():
            self._problems.pop("folder", None)
        else:
            self._problems["folder"] = f"The data folder {folder} was removed: put it back."
        if self._dense is not None and self._snapshot is not None and self._snapshot.chunks:
            self._dense.look(self._snapshot.version)

    @contextmanager
    def own_ingest(self, catalog: Catalog) -> Iterator[None]:
        """While this process writes through `catalog`, its thread renews the snapshot."""
        self._writing = True
        try:
            yield
        finally:
            self.renew(catalog)
            if self._dense is not None:
                self._dense.version = self.version
            self._writing = False

    def renew(self, catalog: Catalog, force: bool = True) -> None:
        """Load the current version; unless forced, no more often than RENEWAL_SHARE allows."""
        with self._renewing:
            now = time.monotonic()
            if not self._is_news(catalog) or (not force and now < self._next_renewal):
                return
            if catalog.inode != self._inode and self._dense is not None:
                self._dense.version = -1
            self._snapshot, self._inode = Snapshot.read(catalog), catalog.inode
            ended = time.monotonic()
            self._next_renewal = ended + (ended - now) / RENEWAL_SHARE

    def _is_news(self, catalog: Catalog) -> bool:
        """Of another version, or another base in the place of the one that was read."""
        return (catalog.version(), catalog.inode) != (self.version, self._inode)

    def retrieve(
        self, question: str, k: int, *, vector: np.ndarray | None = None, rerank: bool = False
    ) -> Retrieval:
        """See `Knowledge.retrieve`."""
        began = time.perf_counter()
        snapshot = self._current()
        if snapshot is None or not snapshot.chunks or not question.strip() or k <= 0:
            return Retrieval(took_ms=_ms(began), mode="empty")
        search = Search(snapshot, question)
        left_s = WAIT_S
        if self._dense is not None:
            if vector is None:
                vector = self._vector(question[:QUESTION_CHARACTERS])
            asked = time.monotonic()
            self._find(self._dense, search, vector)
            took_s = time.monotonic() - asked
            left_s -= took_s if took_s < WAIT_S else 0.0  # it took longer to open, once
        order = search.order()
        order = (self._reranked(search, order, k) if rerank else order)[:k]
        if self._dense is not None and vector is not None and search.similarities:
            self._complete(self._dense, search, vector, order, left_s)
        passages = search.passages(order)
        return Retrieval(
            passages=tuple(passages),
            confident=bool(passages) and passages[0].score >= FLOOR,
            took_ms=_ms(began),
            mode="hybrid" if search.similarities else "bm25",
        )

    def _embedding(self, question: str) -> np.ndarray:
        assert self._embedder is not None  # otherwise there is nothing to compare it with
        vector: np.ndarray = self._embedder.embed([question], "query", QUESTION_TOKENS)[0]
        vector.setflags(write=False)
        return vector

    def close(self) -> None:
        if self._dense is not None:
            self._dense.close()
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None

    def _current(self) -> Snapshot | None:
        """The snapshot to search: this process's own ingest renews it; another process's is
        detected here."""
        try:
            catalog = self._open_catalog()
            stale = catalog is not None and self._is_news(catalog)
            if catalog is not None and stale and not (self._writing and self._snapshot):
                self.renew(catalog, force=self._snapshot is None or not self._other_writes())
        except StorageError as error:
            self._problems["catalog"] = str(error)
        else:
            self._problems.pop("catalog", None)
        return self._snapshot

    def _other_writes(self) -> bool:
        return not self._writing and writer_is_busy(self._paths[2])

    def _open_catalog(self) -> Catalog | None:
        if self._catalog is not None and self._catalog.was_replaced():
            self._catalog.close()
            self._catalog = None
        if self._catalog is None and self._paths[0].exists():
            self._catalog = Catalog(self._paths[0])
        return self._catalog

    def _find(self, dense: Dense, search: Search, vector: np.ndarray) -> None:
        """The dense candidates; none if Chroma fails or does not answer in time.

        While another process ingests, the vectors stay unchanged: its documents are found by
        keywords until it has finished.
        """
        version = search.snapshot.version
        renew = dense.version != version and not self._writing and not self._other_writes()
        found = dense.ask(version, lambda s: s.nearest(vector, CANDIDATES), renew=renew)
        if found is None:
            return
        search.add_similarities(found)
        if search.similarities:
            self._problems.pop("vectors", None)
        else:
            self._problems["vectors"] = VECTORS_MISSING

    def _complete(
        self, dense: Dense, search: Search, vector: np.ndarray, order: Sequence[int], wait_s: float
    ) -> None:
        """Add the similarities of candidates that only BM25 found."""
        ids = [search.snapshot.chunks[p].id for p in order if p not in search.similarities]
        if ids:
            version = search.snapshot.version
            found = dense.ask(version, lambda s: s.vectors(ids), renew=False, wait_s=wait_s)
            stored = found or {}
            search.add_similarities([(i, float(vector @ v)) for i, v in stored.items()])

    def _reranked(self, search: Search, order: list[int], k: int) -> list[int]:
        """The cross-encoder's order; if it is missing, the given order, with the problem
        recorded."""
        try:
            if self._reranker is None:
                self._reranker = Reranker.load()
        except StorageError as error:
            self._problems["re-ranker"] = str(error)
            return order
        return search.reranked(order, k, self._reranker.score)


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000
