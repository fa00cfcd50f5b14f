"""The content of the knowledge base: documents and the text of their chunks, in one SQLite file.

This file is the source of truth; the vectors in Chroma follow it. A document changes in one
transaction, so readers see either its old or its new state. Ids of vectors that may exist in Chroma
but should not are pending deletes, kept in the table `debts` until the vectors are known to be
gone: that is the worst a killed ingest leaves behind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.errors import StorageError
from vectorstore.passages import Document

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents(
    id INTEGER PRIMARY KEY, folder TEXT NOT NULL, source TEXT NOT NULL, title TEXT NOT NULL,
    hash TEXT NOT NULL, bytes INTEGER NOT NULL, UNIQUE(folder, source));
CREATE TABLE IF NOT EXISTS chunks(
    id TEXT PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
    position INTEGER NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS chunks_by_document ON chunks(document);
CREATE TABLE IF NOT EXISTS debts(id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS version(number INTEGER NOT NULL);
INSERT INTO version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM version);
"""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as retrieval uses it; `id` is its vector's id in Chroma."""

    id: str
    source: str
    title: str
    text: str

    @property
    def indexed(self) -> str:
        """The text that is embedded and searched: the headings give the chunk its subject."""
        return f"{self.title}\n{self.text}" if self.title else self.text


class Catalog:
    """One connection, for one thread at a time. Raises StorageError if SQLite fails."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._guard():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=30, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA foreign_keys = ON")
            made = self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'version'").fetchone()
            if made is None:
                self._db.executescript(_SCHEMA)
            self.inode = path.stat().st_ino

    def version(self) -> int:
        """A number that increases with every change of the content."""
        with self._guard():
            return int(self._db.execute("SELECT number FROM version").fetchone()[0])

    def documents(self) -> list[Document]:
        query = """
            SELECT d.source, d.title, COUNT(c.id), d.hash, d.bytes, d.folder
            FROM documents d LEFT JOIN chunks c ON c.document = d.id
            GROUP BY d.id ORDER BY d.folder, d.source"""
        with self._guard():
            return [Document(*row) for row in self._db.execute(query)]

    def snapshot(self) -> tuple[int, list[StoredChunk]]:
        """The version, and all chunks of that version."""
        query = """
            SELECT c.id, d.source, c.title, c.text FROM chunks c
            JOIN documents d ON d.id = c.document ORDER BY d.folder, d.source, c.position"""
        with self._guard(), self._db:
            self._db.execute("BEGIN")
            number = int(self._db.execute("SELECT number FROM version").fetchone()[0])
            return number, [StoredChunk(*row) for row in self._db.execute(query)]

    def chunk_keys(self) -> Iterator[tuple[str, str, str]]:
        """(chunk id, folder, source) of every chunk."""
        query = """
            SELECT c.id, d.folder, d.source FROM chunks c JOIN documents d ON d.id = c.document"""
        with self._guard():
            yield from self._db.execute(query)

    def chunks_of(self, folder: str, source: str) -> list[StoredChunk]:
        query = """
            SELECT c.id, d.source, c.title, c.text FROM chunks c
            JOIN documents d ON d.id = c.document
            WHERE d.folder = ? AND d.source = ? ORDER BY c.position"""
        with self._guard():
            return [StoredChunk(*row) for row in self._db.execute(query, (folder, source))]

    def delete_later(self, ids: Iterable[str]) -> None:
        """Record vectors that are about to be written and do not belong to a chunk yet."""
        with self._guard(), self._db:
            self._db.executemany("INSERT OR IGNORE INTO debts VALUES (?)", [(i,) for i in ids])

    def pending_deletes(self) -> list[str]:
        """Ids of vectors whose chunk no longer exists or was never stored."""
        query = "SELECT id FROM debts WHERE id NOT IN (SELECT id FROM chunks)"
        with self._guard():
            return [row[0] for row in self._db.execute(query)]

    def settle(self) -> None:
        """Remove pending deletes: their vectors are gone, or belong to a chunk now."""
        with self._guard(), self._db:
            self._db.execute("DELETE FROM debts")

    def put(self, document: Document, chunks: Sequence[StoredChunk]) -> None:
        """Store a document, replacing its earlier state."""
        key = (document.folder, document.source)
        with self._guard(), self._db:
            self._forget(key)
            row = self._db.execute(
                "INSERT INTO documents(folder, source, title, hash, bytes) VALUES (?, ?, ?, ?, ?)",
                (*key, document.title, document.hash, document.bytes),
            ).lastrowid
            self._db.executemany(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?)",
                [(c.id, row, n, c.title, c.text) for n, c in enumerate(chunks)],
            )
            self._db.execute("UPDATE version SET number = number + 1")

    def move(self, source: str, folder: str, to: str) -> None:
        """Assign a document to another folder, unchanged."""
        with self._guard(), self._db:
            self._db.execute(
                "UPDATE documents SET folder = ? WHERE folder = ? AND source = ?",
                (to, folder, source),
            )

    def remove(self, folder: str, source: str) -> bool:
        """Returns whether there was such a document."""
        with self._guard(), self._db:
            gone = self._forget((folder, source))
            self._db.execute("UPDATE version SET number = number + 1")
            return gone

    def was_replaced(self) -> bool:
        """Another file has taken the place of the one that is open; False if there is none."""
        try:
            return self.path.stat().st_ino != self.inode
        except OSError:
            return False

    def close(self) -> None:
        self._db.close()

    def _forget(self, key: tuple[str, str]) -> bool:
        self._db.execute(
            """INSERT OR IGNORE INTO debts SELECT c.id FROM chunks c
            JOIN documents d ON d.id = c.document WHERE d.folder = ? AND d.source = ?""",
            key,
        )
        gone = self._db.execute("DELETE FROM documents WHERE folder = ? AND source = ?", key)
        return gone.rowcount > 0

    def _guard(self) -> _Guard:
        return _Guard(self.path)


class _Guard:
    """Turns SQLite's errors into one sentence that names the file and the fix."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error | OSError):
            raise StorageError(
                f"The knowledge base {self._path} cannot be used ({error}): check the folder's "
                "permissions, or delete the file and run `python app.py --ingest`."
            ) from error
