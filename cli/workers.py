"""`--workers N`: N serving processes on one port, watched by a process that serves nothing itself.

The listening socket is opened once and shared, so that a connection goes to whichever worker is
free while another is being replaced. The first worker has the page, the others hand its paths on
(`web/handover.py`). A worker that ends by itself is replaced at once; if one cannot even start, all
are stopped, with its error.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import structlog

from telemetry.console import clean_streams, configure, exit_code
from telemetry.metrics import ended, shared_by_processes

logger = structlog.get_logger()

LIVED_S = 5.0
"""A worker that ends sooner than this after it began to serve counts as failed."""
HASTY = 5
"""So many consecutive failures stop the service, since a new process does not fix the cause."""
STOP_S = 30.0
"""How long workers may take to finish their requests before they are killed."""

PRELOADED = ["cli.serve", "api.server", "graph.builder", "graph.router", "chromadb", "onnxruntime"]
"""Imported once, in the process that workers are forked from, so that a new one serves at once."""


@dataclass(frozen=True, slots=True)
class Place:
    """A worker's position among the others."""

    number: int
    of: int
    folder: Path
    """Private to this service while it runs: the page's socket and the metrics of all workers."""

    @property
    def has_page(self) -> bool:
        return self.number == 0

    @property
    def page(self) -> Path:
        return self.folder / "page.sock"

    def bind_page(self) -> socket.socket:
        """The Unix socket on which the page is served to the other workers."""
        self.page.unlink(missing_ok=True)  # left by the previous worker of this place
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        bound.bind(str(self.page))
        return bound


Serve = Callable[[argparse.Namespace, socket.socket, Place, Connection], int]
"""Serves until SIGTERM and returns an exit code; sends True over the connection once it serves."""


def run(args: argparse.Namespace, listening: socket.socket, serve: Serve, where: str) -> int:
    """Serve with `args.workers` processes until SIGINT or SIGTERM; returns the exit code.

    `where` is the address to print once the first of them serves.
    """
    folder = Path(tempfile.mkdtemp(prefix="router-"))
    try:
        shared_by_processes(folder)
        return Supervisor(args, listening, serve, folder).run(where)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def work(
    serve: Serve,
    args: argparse.Namespace,
    listening: socket.socket,
    place: Place,
    said: Connection,
) -> None:
    """A worker's whole life; it ends with the supervisor, however that ended."""
    threading.Thread(target=_follow_supervisor, name="follow-supervisor", daemon=True).start()
    configure(json=args.log_json)
    with clean_streams():
        code = exit_code(lambda: serve(args, listening, place, said))
    sys.exit(code)


def _follow_supervisor() -> None:
    supervisor = multiprocessing.parent_process()
    assert supervisor is not None
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)


class Supervisor:
    """Starts the workers, replaces them, stops them."""

    def __init__(
        self, args: argparse.Namespace, listening: socket.socket, serve: Serve, folder: Path
    ) -> None:
        self._args = args
        self._listening = listening
        self._serve = serve
        self._folder = folder
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(PRELOADED)
        self._workers: dict[int, ForkServerProcess] = {}
        self._said: dict[int, Connection] = {}
        self._since: dict[int, float] = {}
        self._hasty = 0
        self._woken, self._wake = multiprocessing.Pipe(duplex=False)
        self._stopping = False

    def run(self, where: str) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        try:
            if not self._begin():
                return self._failure()
            print(f"Serving on {where} with {self._args.workers} workers", file=sys.stderr)
            while not self._stopping and self._hasty < HASTY:
                sentinels = {w.sentinel: n for n, w in self._workers.items()}
                for ready in wait([self._woken, *sentinels]):
                    if isinstance(ready, int) and not self._stopping:
                        self._replace(sentinels[ready])
            return 0 if self._stopping else 1
        finally:
            self._end()

    def _begin(self) -> bool:
        """Start the first worker alone, so that an error is printed once; then the others."""
        said = self._start(0)  # its message stays in the pipe: it has begun to serve
        while not (self._stopping or said.poll()):
            wait([self._woken, said, self._workers[0].sentinel])
            if not self._workers[0].is_alive() and not said.poll():
                return False
        for number in range(1, self._args.workers):
            self._start(number)
        return True

    def _failure(self) -> int:
        self._workers[0].join()
        return self._workers[0].exitcode or 1

    def _start(self, number: int) -> Connection:
        here, there = multiprocessing.Pipe(duplex=False)
        place = Place(number, self._args.workers, self._folder)
        process = self._processes.Process(
            target=work,
            args=(self._serve, self._args, self._listening, place, there),
            name=f"router-worker-{number}",
        )
        process.start()
        there.close()
        self._workers[number] = process
        self._said[number] = here
        self._since[number] = time.monotonic()
        return here

    def _replace(self, number: int) -> None:
        worker = self._workers[number]
        worker.join()
        assert worker.pid is not None
        ended(self._folder, worker.pid)
        lived = time.monotonic() - self._since[number]
        self._hasty = self._hasty + 1 if lived < LIVED_S else 0
        logger.error("worker_ended", worker=number, exit_code=worker.exitcode, lived_s=round(lived))
        if self._hasty < HASTY:
            self._start(number)
        else:
            print("The workers end as soon as they start; the service stops.", file=sys.stderr)

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True
        self._wake.send(True)

    def _end(self) -> None:
        alive = [w for w in self._workers.values() if w.is_alive()]
        for worker in alive:
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGTERM)
        ends = time.monotonic() + STOP_S
        for worker in alive:
            worker.join(max(0.0, ends - time.monotonic()))
            if worker.is_alive():
                logger.error("worker_killed", worker=worker.name, after_s=STOP_S)
                worker.kill()
                worker.join()
