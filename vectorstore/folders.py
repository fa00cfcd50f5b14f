"""What a folder offers to the knowledge base, file by file, and what is left out and why."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 20_000_000
"""A larger file is left out: it would hold up ingest for an hour (45 ms a chunk)."""
SUFFIXES = frozenset({".md", ".markdown", ".txt", ".rst", ".pdf", ".html", ".htm", ".csv", ".tsv"})
FORMAT = "1"
"""Part of every hash. Raise it when chunking changes: all documents are then taken in anew."""

_IDLE = frozenset(
    """article chapter chunk context data doc document entry file index item note page para
    paragraph part passage record sample section test text untitled""".split()  # noqa: SIM905
)


class UnreadableError(Exception):
    """A file cannot be taken in; `str(error)` is the reason, as a phrase."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may be read. `source` is its path below the folder, with forward slashes."""

    path: Path
    source: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is left out; `reason` is a phrase."""

    path: Path
    reason: str


def files(folder: Path) -> Iterator[Found | Refused]:
    """The folder's files in a stable order. Hidden ones are not mentioned; links that lead out
    of the folder are not followed."""
    root = folder.resolve()
    for place, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in list(folders):
            if (Path(place) / name).is_symlink():
                yield Refused(Path(place) / name, "is a link to a folder")
        for name in sorted(names):
            if not name.startswith("."):
                yield _examine(Path(place) / name, root)


def _examine(path: Path, root: Path) -> Found | Refused:
    if path.suffix.lower() not in SUFFIXES:
        kinds = ", ".join(sorted(s[1:] for s in SUFFIXES))
        return Refused(path, f"is of a kind that is not read (read are {kinds})")
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return Refused(path, "is a link that leaves the folder")
        if not path.is_file():
            return Refused(path, "is not a regular file")
        size = path.stat().st_size
    except OSError as error:
        return Refused(path, f"cannot be read: {error.strerror}")
    if size == 0:
        return Refused(path, "is empty")
    if size > MAX_BYTES:
        return Refused(path, f"is larger than {MAX_BYTES // 1_000_000} MB ({size / 1e6:.0f} MB)")
    return Found(path, path.relative_to(root).as_posix())


def content_hash(data: bytes) -> str:
    """SHA-256 over the content and the format of what is made of it."""
    return hashlib.sha256(FORMAT.encode() + b"\0" + data).hexdigest()


def title_from_name(source: str) -> str:
    """ "history/Eiffel_Tower.txt" gives "Eiffel Tower"; a name that says nothing ("p0012") gives
    "", for it would only blur what the text says."""
    stem = source.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    found = re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem))
    telling = [w for w in found if len(w) > 2 and w.isalpha() and w.lower() not in _IDLE]
    return " ".join(found) if telling else ""
