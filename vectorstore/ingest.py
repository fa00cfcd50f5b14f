"""Brings the knowledge base up to date with folders, document by document.

The order of a document's change allows a kill at any point: record the new vectors as pending
deletes, write them, replace the text in one transaction (now the old vectors are the pending
deletes), delete those. Readers see the state before or after, never one in between.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from config.errors import StorageError
from vectorstore.catalog import Catalog, StoredChunk
from vectorstore.chunking import Chunk, chunk, first_heading
from vectorstore.embeddings import Embedder
from vectorstore.folders import FOLDER as PYTHON
from vectorstore.folders import (
    Refused,
    UnreadableError,
    content_hash,
    files,
    python_topics,
    title_from_name,
)
from vectorstore.passages import Document, IngestReport
from vectorstore.vectors import VectorStore

Progress = Callable[[int, int, str], None]
"""Documents done, documents in total, name of the last one done."""


_COUNTS = ("added", "updated", "unchanged", "removed", "chunks")
_BATCH = 16
"""Chunks embedded between two checks of the stop event: half a second."""


@dataclass
class _Tally:
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Item:
    """One document to examine: a file, or the text itself."""

    folder: str
    source: str
    path: Path | None = None
    text: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.folder, self.source

    def read(self) -> bytes:
        return self.path.read_bytes() if self.path else self.text.encode()

    def load(self) -> tuple[str, str]:
        """(text, title); raises loaders.UnreadableError."""
        if self.path is None:
            return self.text, first_heading(self.text) or self.source.rsplit("/", 1)[-1]
        from vectorstore.loaders import load

        text, title = load(self.path)
        return text, title or first_heading(text) or title_from_name(self.source)


class _StoppedError(Exception):
    """The stop event was set."""


class Ingest:
    """One run, not thread-safe; the caller holds the writer's lock."""

    def __init__(
        self,
        catalog: Catalog,
        vectors: VectorStore | None,
        embedder: Embedder | None,
        stop: Event,
    ) -> None:
        self._catalog = catalog
        self._vectors = vectors
        self._embedder = embedder
        self._stop = stop
        self._tally = _Tally()
        self._present: set[str] = set()
        """Vectors that are already in Chroma, for example from a killed run: not embedded again."""

    def run(self, folders: Sequence[Path], topics: bool, progress: Progress) -> IngestReport:
        """Raises StorageError; if the event is set, stops early in a consistent state."""
        began = time.monotonic()
        items = list(self._items(folders, topics))
        self._take_over({item.key for item in items})
        known = {(d.folder, d.source): d for d in self._catalog.documents()}
        lacking = self._lacking()
        try:
            for done, item in enumerate(items, start=1):
                self._take(item, known.get(item.key), item.key in lacking)
                progress(done, len(items), item.source)
            self._remove_missing({i.key for i in items}, known, folders, topics)
            self._delete_pending()
        except _StoppedError:
            pass
        counts = {name: getattr(self._tally, name) for name in _COUNTS}
        return IngestReport(
            **counts,
            skipped=tuple(self._tally.skipped),
            seconds=time.monotonic() - began,
            vectors=self._embedder is not None and self._vectors is not None,
        )

    def _take_over(self, keys: Set[tuple[str, str]]) -> None:
        """Documents of a folder that was moved or renamed are kept, with their vectors."""
        documents = self._catalog.documents()
        known = {(d.folder, d.source) for d in documents}
        gone = {f for f in {d.folder for d in documents} if f != PYTHON and not Path(f).exists()}
        orphans = {d.source: d.folder for d in documents if d.folder in gone}
        for folder, source in sorted(keys - known):
            if source in orphans and folder != PYTHON:
                self._catalog.move(source, orphans.pop(source), folder)

    def _lacking(self) -> set[tuple[str, str]]:
        """Documents with missing vectors: the models were installed later, or Chroma was lost."""
        if self._vectors is None or self._embedder is None:
            return set()
        self._present = self._vectors.ids()
        keys = self._catalog.chunk_keys()
        return {(folder, source) for i, folder, source in keys if i not in self._present}

    def _items(self, folders: Sequence[Path], topics: bool) -> Iterator[_Item]:
        for folder in folders:
            root = str(folder.resolve())
            for found in files(folder):
                if isinstance(found, Refused):
                    self._tally.skipped.append((str(found.path), found.reason))
                else:
                    yield _Item(root, found.source, found.path)
        if topics:
            yield from (_Item(PYTHON, source, None, text) for source, text in python_topics())

    def _take(self, item: _Item, known: Document | None, lacking: bool) -> None:
        if self._stop.is_set():
            raise _StoppedError
        try:
            data = item.read()
            digest = content_hash(data)
            if known and known.hash == digest and not lacking:
                self._tally.unchanged += 1
                return
            text, title = item.load()
            chunks = chunk(text, title)
            if not chunks:
                raise UnreadableError("holds no text")
        except UnreadableError as refusal:
            self._refuse(item, str(refusal), known)
            return
        except OSError as error:
            self._refuse(item, f"cannot be read: {error.strerror}", known)
            return
        shown = title or item.source
        self._write(Document(item.source, shown, 0, digest, len(data), item.folder), chunks)
        if known:
            self._tally.updated += 1
        else:
            self._tally.added += 1

    def _refuse(self, item: _Item, reason: str, known: Document | None) -> None:
        """Remove a document that became unreadable, since its stored text may be outdated."""
        self._tally.skipped.append((str(item.path or item.source), reason))
        if known:
            self._catalog.remove(*item.key)
            self._tally.removed += 1

    def _write(self, document: Document, chunks: Sequence[Chunk]) -> None:
        key = f"{document.folder}\0{document.source}\0{document.hash}"
        stored = [
            StoredChunk(_chunk_id(key, n), document.source, c.title, c.text)
            for n, c in enumerate(chunks)
        ]
        if self._vectors and self._embedder:
            missing = [c for c in stored if c.id not in self._present]
            self._catalog.delete_later(c.id for c in missing)
            for start in range(0, len(missing), _BATCH):
                if self._stop.is_set():
                    raise _StoppedError
                batch = missing[start : start + _BATCH]
                self._vectors.upsert(batch, self._embedder.embed([c.indexed for c in batch]))
        self._catalog.put(document, stored)
        self._tally.chunks += len(stored)

    def _remove_missing(
        self,
        present: Set[tuple[str, str]],
        known: Mapping[tuple[str, str], Document],
        folders: Sequence[Path],
        topics: bool,
    ) -> None:
        """Remove documents of these folders whose files no longer exist; those of other folders
        stay."""
        scope = {str(f.resolve()) for f in folders} | ({PYTHON} if topics else set())
        for folder, source in known.keys() - present:
            if folder in scope and self._catalog.remove(folder, source):
                self._tally.removed += 1

    def _delete_pending(self) -> None:
        """Delete vectors that belong to no chunk. If Chroma is unavailable, they stay recorded."""
        if self._vectors is not None:
            self._vectors.delete(self._catalog.pending_deletes())
            self._catalog.settle()


def _chunk_id(key: str, position: int) -> str:
    return hashlib.sha256(f"{key}\0{position}".encode()).hexdigest()[:32]


def check_folders(folders: Sequence[Path]) -> None:
    """Raise StorageError for a folder that does not exist: an empty base was not intended."""
    for folder in folders:
        if not folder.is_dir():
            raise StorageError(f"{folder} is not a folder: name an existing one to ingest.")
