"""Downloads weights from the hub into the data folder: resumable, bounded, verified, and only if
they fit into memory.

The client library's own download cannot be resumed (each attempt uses a new file, deleted on
failure), follows redirects anywhere and compares sizes only. So the library provides the address,
and its session, bounded by `hub_client`, fetches the bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from filelock import FileLock, Timeout

from config.model_files import model_files
from discovery.sources.hub_client import Bounds, HubPlace, bounded
from discovery.sources.source import Gguf, RefusedError, SourceError

if TYPE_CHECKING:
    import httpx2

_CGROUP = Path("/sys/fs/cgroup")
RUNTIME_BYTES = 400 * 2**20
"""Memory that the embedded host needs beside the weights: runtime, buffers and the slots'
caches."""


def available_bytes() -> int:
    """Free memory of the machine or the container, whichever is less, in bytes."""
    return min(_machine(), _container())


def needed_bytes(weights: int) -> int:
    """Memory in bytes to serve a GGUF file of that size; measured: 330 to 480 MB for a file of 93
    MB."""
    return int(weights * 1.15) + RUNTIME_BYTES


def largest_weights(memory: int) -> int:
    """The size of the largest file that fits, the inverse of `needed_bytes`; 0 if none does."""
    return max(0, int((memory - RUNTIME_BYTES) / 1.15))


def _machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    # not Linux: a quarter of installed memory, as no portable call reports what is free
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    except (OSError, ValueError, AttributeError):
        return 2 * 2**30


def _container() -> int:
    """By cgroup v2; reclaimable file cache counts as used, which errs on the safe side."""
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = (_CGROUP / "memory.current").read_text().strip()
        return max(0, int(limit) - int(used)) if limit != "max" else 2**62
    except (OSError, ValueError):
        return 2**62


CHUNK = 1 << 20
SPARE_BYTES = 200 * 2**20
"""Bytes of disk space that stay free beside the file."""
ATTEMPTS = 5
"""Consecutive attempts without a new byte."""
PAUSE_S = 1.0
LONGEST_S = 24 * 3600.0
_MAGIC = b"GGUF"


@dataclass(frozen=True, slots=True)
class Progress:
    """How many bytes of a download have arrived."""

    done: int
    total: int


Report = Callable[[Progress | None], None]


def place_of(gguf: Gguf, data_dir: Path) -> Path:
    """The file's final path; nothing in its name can lead outside the folder."""
    return (data_dir / "models" / gguf.repository.replace("/", "--") / gguf.file).resolve()


async def fetch(
    gguf: Gguf, data_dir: Path, hub: HubPlace | None = None, *, pause_s: float = PAUSE_S
) -> AsyncGenerator[Progress | Path]:
    """Yields Progress at most once a percent, and finally the verified file.

    An interrupted download resumes where it stopped, also after a restart. Raises SourceError on
    failure: the partial file is kept, unless its checksum is wrong.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Progress | None] = asyncio.Queue()
    stop = threading.Event()
    job = _Download(gguf, place_of(gguf, data_dir), hub or HubPlace(), stop, pause_s)

    def report(progress: Progress | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: no one is listening any more
            loop.call_soon_threadsafe(queue.put_nowait, progress)

    def work() -> None:
        try:
            job.run(report)
        finally:
            report(None)

    running = asyncio.create_task(asyncio.to_thread(work))
    try:
        while (progress := await queue.get()) is not None:
            yield progress
        await running
    finally:
        stop.set()
        if not running.done():
            with suppress(SourceError):
                await running
    yield job.target


class _Part:
    """The part of a file that has arrived, and its running digest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.digest = hashlib.sha256()
        if path.exists():
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    self._take(chunk)

    def open(self) -> BinaryIO:
        """Open for appending at the end of the content."""
        return self.path.open("ab" if self.size else "wb")

    def write(self, file: BinaryIO, chunk: bytes) -> None:
        file.write(chunk)
        self._take(chunk)

    def restart(self) -> None:
        self.path.unlink(missing_ok=True)
        self.size, self.digest = 0, hashlib.sha256()

    def _take(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self.digest.update(chunk)


class _Download:
    """Downloads one file, in a thread."""

    def __init__(
        self, gguf: Gguf, target: Path, hub: HubPlace, stop: threading.Event, pause_s: float
    ) -> None:
        self.gguf, self.target, self.hub = gguf, target, hub
        self.stop, self.pause_s = stop, pause_s
        self._percent = -1

    def run(self, report: Report) -> None:
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.target}.lock", timeout=0.2):
                if not (self.target.is_file() and self._right(_Part(self.target))):
                    part = _Part(self.target.with_name(f"{self.target.name}.part"))
                    self._room(part)
                    self._fetch(part, report)
                model_files.expect(self.target, self.gguf.sha256)
        except Timeout:
            raise SourceError(f"{self.gguf.file} is being downloaded by another process") from None
        except OSError as error:
            raise SourceError(f"{self.target} cannot be written ({error.strerror})") from error

    def _right(self, part: _Part) -> bool:
        return part.size == self.gguf.size and part.digest.hexdigest() == self.gguf.sha256

    def _room(self, part: _Part) -> None:
        needed = self.gguf.size - part.size + SPARE_BYTES
        free = shutil.disk_usage(self.target.parent).free
        if free < needed:
            raise SourceError(
                f"{self.gguf.file} needs {needed / 1e9:.1f} GB of disk and {self.target.parent} has"
                f" {free / 1e9:.1f} GB free: free some space, or choose another folder with --data"
            )

    def _fetch(self, part: _Part, report: Report) -> None:
        failures = 0
        with bounded(Bounds(self.hub.endpoint, time.time() + LONGEST_S, elsewhere=True)):
            while part.size < self.gguf.size:
                before = part.size
                try:
                    self._stream(part, report)
                except RefusedError:
                    raise
                except SourceError:
                    failures = 1 if part.size > before else failures + 1
                    if failures >= ATTEMPTS:
                        raise
                    self.stop.wait(self.pause_s)
        self._finish(part)

    def _stream(self, part: _Part, report: Report) -> None:
        """One request for the missing bytes; returns early if the server ends early."""
        import httpx2
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        gguf = self.gguf
        hub = self.hub.endpoint
        url = hf_hub_url(gguf.repository, gguf.file, revision=gguf.revision, endpoint=hub)
        headers = {**build_hf_headers(token=self.hub.key), "accept-encoding": "identity"}
        if part.size:
            headers["range"] = f"bytes={part.size}-"
        before = part.size
        try:
            with get_session().stream("GET", url, headers=headers) as response:
                self._accept(response, part)
                with part.open() as file:
                    for chunk in response.iter_bytes():
                        self._check(part.size + len(chunk))
                        part.write(file, chunk)
                        self._report(part.size, report)
        except httpx2.TransportError as error:
            raise SourceError(f"hub: {gguf.file} broke off ({type(error).__name__})") from None
        if before <= part.size < gguf.size:
            raise SourceError(f"hub: {gguf.file} broke off")

    def _accept(self, response: httpx2.Response, part: _Part) -> None:
        if response.status_code == 200 and part.size:
            part.restart()  # the server does not support ranges
        elif response.status_code not in (200, 206):
            meaning = {401: "needs a login", 403: "is not allowed", 404: "is no longer there"}
            what = meaning.get(response.status_code, f"is refused: status {response.status_code}")
            raise RefusedError(f"hub: {self.gguf.repository}, {self.gguf.file} {what}")

    def _check(self, size: int) -> None:
        if self.stop.is_set():
            raise RefusedError("the download was stopped; it resumes next time")
        if size > self.gguf.size:
            raise RefusedError(f"hub: {self.gguf.file} is larger than the hub stated")

    def _report(self, size: int, report: Report) -> None:
        percent = size * 100 // self.gguf.size
        if percent != self._percent:
            self._percent = percent
            report(Progress(size, self.gguf.size))

    def _finish(self, part: _Part) -> None:
        with part.path.open("rb") as file:
            loadable = file.read(4) == _MAGIC
        if not (self._right(part) and loadable):
            wrong = "is no GGUF" if self._right(part) else "has the wrong checksum"
            part.restart()
            raise SourceError(f"{self.gguf.repository}, {self.gguf.file} {wrong}; it was deleted")
        part.path.replace(self.target)
