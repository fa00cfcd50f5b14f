"""Threads that read the log, and that end with the process even while the database is silent.

The standard library's executor waits for its threads when the interpreter ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Readers:
    """A fixed number of daemon threads."""

    def __init__(self, threads: int, ended: Callable[[], None]) -> None:
        """`ended` is called once, by the last thread that ends."""
        self._ended = ended
        self._left = threads
        self._guard = threading.Lock()
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"log-reader-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[..., T], *args: Any) -> Future[T]:
        """Run `work` in one of the threads; a future that is cancelled before that never runs."""
        future: Future[T] = Future()
        self._queue.put((future, lambda: work(*args)))
        return future

    def close(self, timeout_s: float = 1.0) -> None:
        """Let what is queued end, and wait so long for it."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout_s)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            future, work = item
            if not future.set_running_or_notify_cancel():
                continue
            try:
                found = work()
            except BaseException as error:  # raised again where the read was asked for
                future.set_exception(error)
            else:
                future.set_result(found)
        with self._guard:
            self._left -= 1
            last = self._left == 0
        if last:
            self._ended()
