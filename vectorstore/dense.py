"""The vectors' side of retrieval: asked in a thread of its own, and waited for with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from config.errors import StorageError
from vectorstore.vectors import VectorStore

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
        self._running: Future[Any] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="knowledge-vectors")

    def ask(
        self, version: int, work: Callable[[VectorStore], T], *, renew: bool, wait_s: float = WAIT_S
    ) -> T | None:
        """What `work` finds; None, with the problem noted, when Chroma fails or takes longer.

        With `renew` vectors of another version are opened again first.
        """
        if self._running is not None and not self._running.done():
            return None  # it hangs: nobody waits for it twice
        if time.monotonic() < self._retry_at:
            return None
        opening = self._store is None and self._url is None
        asked = self._thread.submit(self._do, version, work, renew)
        self._running = asked
        try:
            found = asked.result(max(wait_s, OPEN_S) if opening else wait_s)
        except Late:
            place = (
                f"The Chroma server at {self._url}" if self._url else f"Chroma in {self._folder}"
            )
            self.problem = f"{place} does not answer: documents are found by their words alone."
            return None
        except StorageError as error:
            self.problem = str(error)
            return None
        return found

    def look(self, version: int) -> None:
        """Notice that a server is silent or gone, and that what was lost is back."""
        if self._url is not None or self.problem is not None:
            if self._running is not None and not self._running.done():
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
        except StorageError:
            self._lose()
            raise
        self.problem = None
        return found

    def _lose(self) -> None:
        self._retry_at = time.monotonic() + (SERVER_RETRY_S if self._url else RETRY_S)
        lost, self._store = self._store, None
        if lost is not None:
            with suppress(StorageError):  # it is broken: that it cannot be closed is no news
                lost.close()
