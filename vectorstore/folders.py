"""The files of a folder that go into the knowledge base, and those that are left out, with reasons.

Python's own documentation topics (`pydoc_data.topics`, PSF licence: what `help("with")` shows) are
offered like a folder: a real technical corpus on every machine, so that questions about the
language find something before any document is added.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 20_000_000
"""A larger file is left out: ingesting it would take an hour (45 ms for each chunk)."""
SUFFIXES = frozenset({".md", ".markdown", ".txt", ".rst", ".pdf", ".html", ".htm", ".csv", ".tsv"})
_KINDS = ", ".join(sorted(suffix[1:] for suffix in SUFFIXES))
FORMAT = "1"
"""Part of every hash. Increase it when chunking changes, so that all documents are ingested
again."""

_IDLE = frozenset(
    """article chapter chunk context data doc document entry file index item note page para
    paragraph part passage record sample section test text untitled""".split()  # noqa: SIM905
)


class UnreadableError(Exception):
    """A file cannot be ingested; `str(error)` is the reason, as a phrase."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file that can be read. `source` is its path relative to the folder, with forward
    slashes."""

    path: Path
    source: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that is left out; `reason` is a phrase."""

    path: Path
    reason: str


def files(folder: Path) -> Iterator[Found | Refused]:
    """The folder's files in a stable order. Hidden files are ignored; links that lead out of the
    folder are not followed."""
    root = os.path.realpath(folder)
    yield from _below(root, root, "")


def _below(place: str, root: str, prefix: str) -> Iterator[Found | Refused]:
    """The files of one folder and its subfolders; `prefix` is its path relative to the root."""
    try:
        with os.scandir(place) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        yield Refused(Path(place), f"cannot be read: {error.strerror}")
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        source = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, root, source + "/")
            continue
        reason = _objection(entry, root)
        path = Path(entry.path)
        yield Refused(path, reason) if reason else Found(path, source)


def _objection(entry: os.DirEntry[str], root: str) -> str | None:
    """Why a file is left out, as a phrase."""
    try:
        if entry.is_symlink():
            target = os.path.realpath(entry.path, strict=True)
            if os.path.isdir(target):
                return "is a link to a folder"
            if os.path.commonpath([root, target]) != root:
                return "is a link that leaves the folder"
        if os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
            return f"is of an unsupported kind (supported are {_KINDS})"
        if not entry.is_file():
            return "is not a regular file"
        size = entry.stat().st_size
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if size == 0:
        return "is empty"
    if size > MAX_BYTES:
        return f"is larger than {MAX_BYTES // 1_000_000} MB ({size / 1e6:.0f} MB)"
    return None


def content_hash(data: bytes) -> str:
    """SHA-256 of the content and of the version of the chunk format."""
    return hashlib.sha256(FORMAT.encode() + b"\0" + data).hexdigest()


def title_from_name(source: str) -> str:
    """ "history/Eiffel_Tower.txt" gives "Eiffel Tower"; an uninformative name ("p0012") gives "",
    since it would only dilute the text."""
    stem = source.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    found = re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem))
    meaningful = [w for w in found if len(w) > 2 and w.isalpha() and w.lower() not in _IDLE]
    return " ".join(found) if meaningful else ""


FOLDER = "python"
"""Used in place of an absolute folder path for these documents."""

_HEADING = re.compile(r"^(?=\S[^\n]*\n(?:\*{3,}|={3,}|-{3,}|~{3,}|\^{3,}|\"{3,})$)", re.MULTILINE)
_RULE = re.compile(r"^[*=\-~^\"]{3,}$", re.MULTILINE)


def python_topics() -> Iterator[tuple[str, str]]:
    """(source, text) of each topic, with `source` "python/<topic>".

    Many topics are collections of others: "compound" contains "if", "while" and the rest word for
    word. Each section is returned once, under the smallest topic that contains it, which has the
    best name.
    """
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    seen: set[str] = set()
    for name, text in sorted(topics.items(), key=_size_and_name):
        fresh = []
        for section in re.split(_HEADING, text):
            words = " ".join(re.sub(_RULE, "", section).split())
            if words not in seen:
                fresh.append(section)
            seen.add(words)
        if any(section.strip() for section in fresh):
            yield f"python/{name}", "".join(fresh)


def _size_and_name(topic: tuple[str, str]) -> tuple[int, bool, str]:
    """Sort key: of two names for the same text, "if" and "else", the one in its heading comes
    first."""
    name, text = topic
    return len(text), f'"{name}"' not in text.partition("\n")[0], name
