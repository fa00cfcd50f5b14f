"""The reading side: the current snapshot, its vectors, and the search over both.

Lives in one thread, except `refresh`, which the ingest's thread calls too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from config.errors import StorageError
from vectorstore import ranking
from vectorstore.catalog import Catalog
from vectorstore.embeddings import Embedder
from vectorstore.passages import Document, Retrieval
from vectorstore.rerank import Reranker
from vectorstore.search import Search
from vectorstore.snapshot import Snapshot, paths, writer_is_busy
from vectorstore.vectors import VectorStore

RETRY_S = 30.0
"""Between two attempts to open a Chroma that cannot be opened."""
REFRESH_SHARE = 0.1
"""While an ingest commits, at most this share of the time goes into new snapshots."""
QUESTION_TOKENS = 256
"""A longer prompt is embedded by its beginning: 30 ms of CPU at most."""

VECTORS_MISSING = "The knowledge base has no vectors: run `python app.py --ingest`."


class Retriever:
    def __init__(self, data_dir: Path, embedder: Embedder | None, chroma_url: str | None) -> None:
        self._paths = paths(data_dir)
        self._embedder = embedder
        self._chroma_url = chroma_url
        self._catalog: Catalog | None = None
        self._snapshot: Snapshot | None = None
        self._next_refresh = 0.0
        self._refreshing = threading.Lock()
        self._vectors: VectorStore | None = None
        self._vectors_version = -1
        self._retry_at = 0.0
        self._reranker: Reranker | None = None
        self.problem: str | None = None
        self.writing = False
        """True while this process ingests: its own writes are seen without reopening."""

    @property
    def version(self) -> int:
        return self._snapshot.version if self._snapshot else 0

    def documents(self) -> list[Document]:
        catalog = self._open_catalog()
        return catalog.documents() if catalog else []

    def refresh(self, force: bool = True) -> None:
        """Take up the current version; unless forced, not more often than REFRESH_SHARE allows."""
        with self._refreshing:
            catalog = self._open_catalog()
            now = time.monotonic()
            if catalog is None or catalog.version() == self.version:
                return
            if not force and now < self._next_refresh:
                return
            self._snapshot = Snapshot.read(catalog)
            ended = time.monotonic()
            self._next_refresh = ended + (ended - now) / REFRESH_SHARE

    def retrieve(
        self, question: str, k: int, *, vector: np.ndarray | None = None, rerank: bool = False
    ) -> Retrieval:
        """See `Knowledge.retrieve`."""
        began = time.perf_counter()
        self.problem = None
        snapshot = self._current()
        if snapshot is None or not snapshot.chunks or not question.strip() or k <= 0:
            return Retrieval(took_ms=_ms(began), mode="empty")
        search = Search(snapshot, question)
        store = self._open_vectors(snapshot)
        if store is not None and self._embedder is not None:
            if vector is None:
                vector = self._embedder.embed([question], "query", QUESTION_TOKENS)[0]
            self._find(store, search, vector)
        order = search.order()
        if rerank:
            order = self._rerank(search, order, k)
        order = order[:k]
        if store is not None and vector is not None and search.similarities:
            self._complete(store, search, vector, order)
        passages = search.passages(order)
        return Retrieval(
            passages=tuple(passages),
            confident=any(p.score >= ranking.FLOOR for p in passages),
            took_ms=_ms(began),
            mode="hybrid" if search.similarities else "bm25",
        )

    def close(self) -> None:
        if self._vectors is not None:
            self._vectors.close()
            self._vectors = None
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None

    def _current(self) -> Snapshot | None:
        """The snapshot to search: this process's ingest renews it; another's is looked up here."""
        try:
            if self._snapshot is None or not self.writing:
                self.refresh(force=self._snapshot is None or not writer_is_busy(self._paths[2]))
        except StorageError as error:
            self.problem = str(error)
        return self._snapshot

    def _open_catalog(self) -> Catalog | None:
        if self._catalog is None and self._paths[0].exists():
            self._catalog = Catalog(self._paths[0])
        return self._catalog

    def _open_vectors(self, snapshot: Snapshot) -> VectorStore | None:
        """Chroma, as new as the snapshot; None, with the problem noted, when it cannot be used."""
        if self._embedder is None or time.monotonic() < self._retry_at:
            return None
        try:
            if self._vectors is None:
                self._vectors = VectorStore(self._paths[1], self._chroma_url)
            elif self._vectors_version != snapshot.version and not self.writing:
                self._vectors.reopen()
            self._vectors_version = snapshot.version
        except StorageError as error:
            self._lose(error)
        return self._vectors

    def _find(self, store: VectorStore, search: Search, vector: np.ndarray) -> None:
        """The dense candidates; none, with the problem noted, when Chroma fails."""
        try:
            search.add_similarities(store.nearest(vector, ranking.CANDIDATES))
        except StorageError as error:
            self._lose(error)
        else:
            if not search.similarities:
                self.problem = VECTORS_MISSING

    def _complete(
        self, store: VectorStore, search: Search, vector: np.ndarray, order: Sequence[int]
    ) -> None:
        """Similarities of those that only BM25 found."""
        ids = [search.snapshot.chunks[p].id for p in order if p not in search.similarities]
        if ids:
            try:
                stored = store.vectors(ids)
            except StorageError as error:
                self._lose(error)
            else:
                search.add_similarities([(i, float(vector @ v)) for i, v in stored.items()])

    def _lose(self, error: StorageError) -> None:
        self.problem = str(error)
        self._retry_at = time.monotonic() + RETRY_S
        self._vectors = None

    def _rerank(self, search: Search, order: Sequence[int], k: int) -> list[int]:
        """The order by the cross-encoder; unchanged, with the problem noted, when it is missing."""
        try:
            if self._reranker is None:
                self._reranker = Reranker.load()
        except StorageError as error:
            self.problem = str(error)
            return list(order)
        return search.reranked(order, k, self._reranker.score)


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000
