"""One version of the knowledge base in memory: immutable, so that readers need no lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vectorstore.catalog import Catalog, StoredChunk
from vectorstore.keywords import KeywordIndex


@dataclass(frozen=True)
class Snapshot:
    """The chunks of a version, their BM25 index, and the place of each id among them."""

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
    """Whether some process ingests at this moment."""
    from filelock import FileLock, Timeout

    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
