"""The dense half of retrieval: one Chroma collection of unit vectors, by cosine.

Requests use it in a separate thread and wait for a bounded time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from config.errors import StorageError
from vectorstore.embeddings import MODEL

if TYPE_CHECKING:
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection

    from vectorstore.catalog import StoredChunk

SERVER_TIMEOUT_S = 2.0
"""A server that takes longer than this for a question counts as unreachable."""
INGEST_TIMEOUT_S = 60.0
COLLECTION = f"knowledge-{MODEL}"
"""One collection for each model: vectors of two models must never be mixed."""
_BATCH = 1_000
_OPENING = threading.Lock()
"""Embedded clients of one folder share a system, which Chroma counts without a lock."""


class VectorStore:
    """Opens on construction, which takes a second: construct it in a thread.

    Embedded Chroma in `folder`, or a Chroma server at `url`. Vectors are always passed in, so no
    embedding function is ever called: Chroma's default one would download a model. Raises
    StorageError for whatever Chroma raises.
    """

    def __init__(
        self, folder: Path, url: str | None = None, timeout_s: float = SERVER_TIMEOUT_S
    ) -> None:
        """`timeout_s` bounds each call to a server."""
        self._folder = folder
        self._timeout_s = timeout_s
        self._url = url
        self._client: Client | None = None
        self._collection = self._open()

    def upsert(self, chunks: Sequence[StoredChunk], vectors: np.ndarray) -> None:
        with self._guard():
            for start in range(0, len(chunks), _BATCH):
                batch = chunks[start : start + _BATCH]
                self._collection.upsert(
                    ids=[c.id for c in batch],
                    embeddings=vectors[start : start + _BATCH],
                    documents=[c.text for c in batch],
                    metadatas=[{"source": c.source, "title": c.title} for c in batch],
                )

    def delete(self, ids: Sequence[str]) -> None:
        with self._guard():
            for start in range(0, len(ids), _BATCH):
                self._collection.delete(ids=list(ids[start : start + _BATCH]))

    def ids(self) -> set[str]:
        with self._guard():
            return set(self._collection.get(include=[])["ids"])

    def nearest(self, vector: np.ndarray, n: int) -> list[tuple[str, float]]:
        """(id, cosine similarity) of the n nearest, best first."""
        with self._guard():
            found = self._collection.query(
                query_embeddings=[vector], n_results=n, include=["distances"]
            )
        distances = found["distances"]
        assert distances is not None
        return [(i, 1.0 - d) for i, d in zip(found["ids"][0], distances[0], strict=True)]

    def vectors(self, ids: Sequence[str]) -> dict[str, np.ndarray]:
        """The vectors of these ids, as far as they exist."""
        with self._guard():
            found = self._collection.get(ids=list(ids), include=["embeddings"])
        embeddings = found["embeddings"]
        assert embeddings is not None
        return dict(zip(found["ids"], np.asarray(embeddings), strict=True))

    def ping(self) -> None:
        """Raise StorageError unless Chroma answers as a retrieval needs it: with a vector, and with
        what is near to it."""
        with self._guard():
            found = self._collection.get(limit=1, include=["embeddings"])["embeddings"]
        if found is not None and len(found):
            self.nearest(np.asarray(found[0]), 1)

    def reopen(self) -> None:
        """Make another process's writes visible: an open embedded Chroma does not see them, a
        server does."""
        if self._url is None:
            self.close()
            self._collection = self._open()

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with self._guard(), _OPENING:
                client.close()

    def _open(self) -> Collection:
        try:
            with self._guard(), _OPENING:
                self._client = self._connect()
                return self._client.get_or_create_collection(
                    COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
                )
        except StorageError:
            with suppress(StorageError):  # why it cannot be used is known
                self.close()
            raise

    def _connect(self) -> Client:
        if self._url:
            from vectorstore.chroma_client import BoundedClient

            return BoundedClient(self._url, self._timeout_s)
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        client = chromadb.PersistentClient(str(self._folder), settings=settings)
        return cast("Client", client)  # the annotation says ClientAPI, without close

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Chroma raises its own errors, ValueError, httpx's and, from Rust, BaseException."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:
            raise StorageError(self._sentence(error)) from error

    def _sentence(self, error: BaseException) -> str:
        cause = " ".join(str(error).split())[:200] or type(error).__name__
        if self._url:
            return f"The Chroma server at {self._url} cannot be used ({cause}): check that it runs."
        return (
            f"The vectors in {self._folder} cannot be used ({cause}): delete that folder and run "
            "`python app.py --ingest`."
        )


T = TypeVar("T")

WAIT_S = 0.2
"""How long a retrieval waits for the vectors; they take 2 to 10 ms. Then BM25 finds alone."""

OPEN_S = 1.5
"""The same while embedded Chroma is opened for the first time, which takes a second."""

RETRY_S = 30.0
"""Between two attempts to open an embedded Chroma that cannot be opened."""

SERVER_RETRY_S = 1.0
"""The same for a server, which comes back by itself."""


class Dense:
    """Chroma, as new as the snapshot that is searched. `problem` is why it is not used, or None.

    Called from one thread; it has its own, in which Chroma may hang.
    """

    def __init__(self, folder: Path, url: str | None) -> None:
        self.problem: str | None = None
        self.version = -1
        """The version of the knowledge base that the vectors were opened for."""
        self._folder = folder
        self._url = url
        self._store: VectorStore | None = None
        self._retry_at = 0.0
        self._busy: Callable[[], bool] = lambda: False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="knowledge-vectors")

    def ask(
        self, version: int, work: Callable[[VectorStore], T], *, renew: bool, wait_s: float = WAIT_S
    ) -> T | None:
        """What `work` finds; None, with the problem noted, when Chroma fails or takes longer.

        With `renew` vectors of another version are opened again first.
        """
        if self._busy():
            return None  # it hangs: nobody waits for it twice
        if time.monotonic() < self._retry_at:
            return None
        opening = self._store is None and self._url is None
        asked = self._thread.submit(self._do, version, work, renew)
        self._busy = lambda: not asked.done()
        try:
            found = asked.result(max(wait_s, OPEN_S) if opening else wait_s)
        except Late:
            place = (
                f"The Chroma server at {self._url}" if self._url else f"Chroma in {self._folder}"
            )
            self.problem = f"{place} does not answer: documents are found by their words alone."
            return None
        except StorageError:
            return None
        return found

    def look(self, version: int) -> None:
        """Notice that a server is silent or gone, and that what was lost is back."""
        if self._url is not None or self.problem is not None:
            if self._busy():
                return
            if time.monotonic() >= self._retry_at:
                self.ask(version, lambda store: store.ping(), renew=False)

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._store is not None:
            self._store.close()
            self._store = None

    def _do(self, version: int, work: Callable[[VectorStore], T], renew: bool) -> T:
        try:
            if self._store is None:
                self._store = VectorStore(self._folder, self._url)
                self.version = version
            elif renew and self.version != version:
                self._store.reopen()
                self.version = version
            found = work(self._store)
        except StorageError as error:
            self.problem = str(error)  # also where nobody waits for it any more
            self._lose()
            raise
        self.problem = None
        return found

    def _lose(self) -> None:
        self._retry_at = time.monotonic() + (SERVER_RETRY_S if self._url else RETRY_S)
        lost, self._store = self._store, None
        if lost is not None:
            with suppress(StorageError):  # already broken, so failing to close it is no news
                lost.close()
