"""Rows that wait on the local disk until the log takes them.

A spool is a folder of append-only segments, one line for each job: a checksum, a space, JSON.
Appended lines survive the end of the process; a line torn by a power failure is skipped. Each
process writes to a folder of its own under a lock, and takes over the folders of processes that
have ended.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import orjson
import structlog
from filelock import FileLock, Timeout

from telemetry.transaction import Job

logger = structlog.get_logger()

SEGMENT_BYTES = 2**17
"""Size in bytes at which a segment is closed; segments are deleted as a whole."""

MOST_BYTES = 256 * 2**20
"""Maximum size of the spool in bytes: about 150,000 requests without their texts."""

PARTS = ("interactions", "attempts", "feedback", "audits", "hints", "taught")


@dataclass(slots=True)
class Segment:
    """One file of the spool."""

    path: Path
    size: int = 0
    jobs: int = 0
    damaged: bool = False
    """It holds what this program cannot give to the log: it is set aside, not deleted."""


class Spool:
    """Appends jobs and returns them in the same order; any thread may do either."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        """`folder` is shared by the processes of a data folder; its parent is never created."""
        self._root = folder
        self._most_bytes = most_bytes
        self._mine = folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._lock: FileLock | None = None
        self._adopted: list[FileLock] = []
        self._number = 0
        self._file: int | None = None
        self._guard = threading.RLock()
        self.segments: list[Segment] = []

    @property
    def jobs(self) -> int:
        """The number of waiting jobs."""
        return sum(segment.jobs for segment in tuple(self.segments))

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines made by `line_of`, all of them or none.

        Raises OSError if the disk does, or if the spool is full.
        """
        with self._guard:
            data = b"".join(lines)
            if sum(segment.size for segment in self.segments) + len(data) > self._most_bytes:
                raise OSError(f"the spool {self._root} is full ({self._most_bytes >> 20} MB)")
            segment, file = self._open()
            try:
                if os.write(file, data) != len(data):
                    raise OSError("the disk took only a part of the rows")
            except OSError:
                self._take_back(segment, file)
                raise
            segment.size += len(data)
            segment.jobs += len(lines)
            if segment.size >= SEGMENT_BYTES:
                self._seal()

    def sync(self) -> None:
        """fsync: what was appended survives a power failure once this returns."""
        with self._guard:
            file = None if self._file is None else os.dup(self._file)
        if file is not None:
            try:
                os.fsync(file)
            finally:
                os.close(file)

    def oldest(self) -> Segment | None:
        """The next segment to hand on, which is not appended to any more."""
        with self._guard:
            if len(self.segments) == 1:
                self._seal()
            return self.segments[0] if self.segments else None

    def drop(self, segment: Segment) -> None:
        """Delete a segment that the log has stored."""
        with self._guard:
            if not segment.damaged:
                segment.path.unlink(missing_ok=True)
            elif segment.path.exists():
                segment.path.rename(segment.path.with_suffix(".damaged"))
            self.segments.remove(segment)

    def adopt(self) -> int:
        """Take over what processes that have ended left behind; returns the number of jobs."""
        found = 0
        for folder in sorted(self._root.glob("*-*")) if self._root.is_dir() else ():
            if folder == self._mine or any(_folder(lock) == folder for lock in self._adopted):
                continue
            lock = FileLock(folder / "lock", thread_local=False)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue  # its process lives
            except OSError as error:
                logger.warning("spool_not_taken_over", folder=str(folder), error=str(error))
                continue
            self._adopted.append(lock)
            left = [segment for path in sorted(folder.glob("*.jobs")) if (segment := _found(path))]
            with self._guard:
                self.segments[:0] = left
            found += sum(segment.jobs for segment in left)
        return found

    def close(self) -> None:
        """Release the folders; empty ones are deleted."""
        with self._guard:
            self._seal()
            for lock in (self._lock, *self._adopted):
                if lock is not None:
                    folder = _folder(lock)
                    if folder.is_dir() and {path.name for path in folder.iterdir()} <= {"lock"}:
                        _remove(folder)
                    lock.release()
            self._lock, self._adopted = None, []

    def _seal(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _open(self) -> tuple[Segment, int]:
        """The segment being written, or a new one."""
        if self._file is not None and self.segments[-1].path.exists():
            return self.segments[-1], self._file
        self._seal()
        if self._lock is None or not self._mine.is_dir():
            self._root.mkdir(exist_ok=True)
            self._mine.mkdir(exist_ok=True)
            lock = FileLock(self._mine / "lock", thread_local=False)
            lock.acquire(timeout=0)
            self._lock = lock
        self._number += 1
        path = self._mine / f"{self._number:09d}.jobs"
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        self.segments.append(Segment(path))
        return self.segments[-1], self._file

    def _take_back(self, segment: Segment, file: int) -> None:
        """A torn line would corrupt the next one: truncate it, or start another segment."""
        try:
            os.ftruncate(file, segment.size)
        except OSError:
            self._seal()
        if segment.size == 0:
            self._seal()
            self.drop(segment)


def jobs_of(path: Path) -> Iterator[Job]:
    """The jobs of a segment in their order; what cannot be read, or is of a program that knows
    more, is left out and logged."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        logger.error("spool_unreadable", path=str(path), error=str(error))
        return
    for line in lines:
        head, _, body = line.partition(b" ")
        try:
            if body and head == b"%08x" % crc32(body):
                yield Job(**orjson.loads(body))
                continue
        except (TypeError, ValueError) as error:
            logger.error("spool_line_unknown", path=str(path), error=str(error))
            continue
        if line:
            logger.error("spool_line_damaged", path=str(path))


def _found(path: Path) -> Segment | None:
    """What another process left: it wrote a job for each line that it ended."""
    try:
        data = path.read_bytes()
    except OSError as error:  # left as it is, for a process that can read it
        logger.error("spool_unreadable", path=str(path), error=str(error))
        return None
    return Segment(path, len(data), data.count(b"\n"))


def line_of(job: Job) -> bytes:
    """A job as its line in a segment; raises TypeError for a value that no database accepts."""
    body = orjson.dumps(
        {part: rows for part in PARTS if (rows := getattr(job, part))},
        option=orjson.OPT_NON_STR_KEYS,
    )
    return b"%08x %s\n" % (crc32(body), body)


def _folder(lock: FileLock) -> Path:
    return Path(lock.lock_file).parent


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    folder.rmdir()
