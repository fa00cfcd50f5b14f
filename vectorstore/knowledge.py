"""The knowledge base, as used by the nodes, the command line and the service."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np

from config.errors import StorageError
from vectorstore.catalog import Catalog
from vectorstore.embeddings import Embedder
from vectorstore.ingest import Ingest, Progress, check_folders
from vectorstore.passages import Document, IngestReport, Retrieval
from vectorstore.retriever import Retriever
from vectorstore.search import paths
from vectorstore.vectors import INGEST_TIMEOUT_S, VectorStore

T = TypeVar("T")

RETRIEVE_S = 0.3
"""Time limit of a retrieval in seconds; usually it takes 10 ms."""

FIRST_S = 3.0
"""The same limit for the first question of a process, which opens and loads everything."""

RERANK_S = 1.0
"""Additional time for the cross-encoder."""

ALONE_S = 10.0
"""Time limit in seconds for callers that want only passages, without an answer."""

SLOW_INGEST_S = 1.0
"""An ingest that takes longer is named in `/health`: answers come without what it reads."""

LOCK_WAIT_S = 10.0
"""Seconds that an ingest waits for another process's ingest into the same data folder."""

INGESTING = "Documents are still being read in: answers come from those that were read before."


class Knowledge:
    """Retrieval and ingest over one data folder. Use from one event loop; `close` when done.

    Two threads do the work, one reads and one writes, so that neither the event loop nor a
    retrieval ever waits for an ingest.
    """

    def __init__(self, data_dir: Path, embedder: Embedder | None, chroma_url: str | None) -> None:
        self._data_dir = data_dir
        self._embedder = embedder
        self._chroma_url = chroma_url
        self._retriever = Retriever(data_dir, embedder, chroma_url)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="knowledge-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="knowledge-write")
        self._stops: dict[threading.Event, float] = {}
        """Of each ingest: what stops it, and since when it is under way."""
        self._found = 0
        """Counts finished retrievals: in a queue each waits for those before it, which is not a
        hang unless there is an outage."""
        self._hangs: Future[Retrieval] | None = None
        self._bound_s = FIRST_S

    @classmethod
    def open(
        cls, data_dir: Path, embedder: Embedder | None, chroma_url: str | None = None
    ) -> Knowledge:
        """Cheap: nothing is read, imported or connected before the first use.

        Without an embedder (its files are missing) documents are found by BM25 alone.
        """
        return cls(data_dir, embedder, chroma_url)

    @property
    def version(self) -> int:
        """Increases whenever the content changes; as of the last retrieval or ingest."""
        return self._retriever.version

    @property
    def problem(self) -> str | None:
        """Why retrieval is degraded, as sentences; None if nothing is wrong."""
        since = min(self._stops.values(), default=math.inf)
        slow = INGESTING if time.monotonic() - since > SLOW_INGEST_S else None
        return " ".join(filter(None, (self._retriever.problem, slow))) or None

    async def warm(self) -> None:
        """Load everything the first retrieval would have to load."""
        self._bound_s = RETRIEVE_S
        await self._read(self._retriever.warm)

    async def retrieve(
        self,
        question: str,
        k: int = 4,
        *,
        vector: np.ndarray | None = None,
        rerank: bool = False,
        within_s: float = 0.0,
    ) -> Retrieval:
        """The k best passages. `vector` is the question's embedding if the caller has it.

        `within_s` replaces the usual time limit, for callers that can wait longer than a request.

        Never raises for an empty or broken base: `mode` says what was searched, `problem` why. In
        the mode `late` nothing was found, because not even the keyword search finished in time.
        """
        began = time.monotonic()
        if self._hangs is not None and not self._hangs.done():
            return Retrieval(mode="late")  # the next call does not wait for it again
        work = self._reader.submit(
            self._retriever.retrieve, question, k, vector=vector, rerank=rerank
        )
        found = asyncio.wrap_future(work)
        while not found.done():
            before, bound_s = self._found, self._bound_s + (RERANK_S if rerank else 0.0)
            try:
                await asyncio.wait({found}, timeout=max(within_s, bound_s))
            except asyncio.CancelledError:
                work.cancel()  # it may not have begun; some milliseconds of CPU for nobody
                raise
            moves = self._found != before and self._retriever.problem is None
            if not found.done() and not moves:
                self._hangs = work
                return Retrieval(took_ms=(time.monotonic() - began) * 1000, mode="late")
        self._found += 1
        self._bound_s = RETRIEVE_S
        return found.result()

    async def look(self) -> None:
        """Detect an outage of the vectors, or its end, without waiting for the next retrieval."""
        if self._hangs is None or self._hangs.done():
            await self._read(self._retriever.look)

    async def documents(self) -> list[Document]:
        """The documents by folder and source; raises StorageError if the base is broken."""
        return await self._read(self._retriever.documents)

    async def ingest(
        self,
        folders: Sequence[Path] | Path,
        progress: Progress | None = None,
        *,
        topics: bool = True,
    ) -> IngestReport:
        """Bring the base up to date with these folders and, by default, with Python's own topics;
        documents of other folders stay. Raises StorageError.

        `progress` is called on the event loop. A cancelled ingest stops within a second, and the
        next one resumes where it stopped.
        """
        chosen = [folders] if isinstance(folders, Path) else list(folders)
        loop = asyncio.get_running_loop()

        def report(done: int, total: int, name: str) -> None:
            if progress is not None:
                loop.call_soon_threadsafe(progress, done, total, name)

        stop = threading.Event()
        self._stops[stop] = time.monotonic()
        work = loop.run_in_executor(self._writer, self._ingest, chosen, topics, report, stop)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            raise
        finally:
            del self._stops[stop]

    def close(self) -> None:
        """Stop a running ingest, wait for the threads (under a second), release Chroma."""
        for stop in self._stops:
            stop.set()
        self._writer.shutdown(wait=True, cancel_futures=True)
        self._reader.shutdown(wait=True, cancel_futures=True)
        self._retriever.close()

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)

    def _ingest(
        self, folders: Sequence[Path], topics: bool, progress: Progress, stop: threading.Event
    ) -> IngestReport:
        from filelock import FileLock, Timeout

        check_folders(folders)
        database, chroma, lock = paths(self._data_dir)
        catalog = Catalog(database)
        try:
            with FileLock(lock, timeout=LOCK_WAIT_S):
                return self._write(catalog, chroma, folders, topics, progress, stop)
        except Timeout:
            raise StorageError(
                f"Another process is ingesting into {self._data_dir}: try again when it has"
                " finished."
            ) from None
        finally:
            catalog.close()

    def _write(
        self,
        catalog: Catalog,
        chroma: Path,
        folders: Sequence[Path],
        topics: bool,
        progress: Progress,
        stop: threading.Event,
    ) -> IngestReport:
        vectors = None
        if self._embedder:
            vectors = VectorStore(chroma, self._chroma_url, INGEST_TIMEOUT_S)

        def committed(done: int, total: int, name: str) -> None:
            self._retriever.renew(catalog, force=False)
            progress(done, total, name)

        try:
            with self._retriever.own_ingest(catalog):
                ingest = Ingest(catalog, vectors, self._embedder, stop)
                return ingest.run(folders, topics, committed)
        finally:
            if vectors is not None:
                vectors.close()
