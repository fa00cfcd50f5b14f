"""What `--engine ray` runs on the nodes of a cluster: reading a block, and answering one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import structlog

from batches.database import BatchDatabase
from batches.runs import Run
from cli.batch_answer import Answering
from cli.batch_blocks import Block, items_in
from cli.batch_file import Item, is_error, key_of
from config.errors import RouterError, StorageError
from config.loader import received
from config.models import Settings
from graph.router import Router
from telemetry.console import configure

logger = structlog.get_logger()

T = TypeVar("T")

RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""How long an actor waits for the database before each further try."""


@dataclass(frozen=True, slots=True)
class Task:
    """What every actor of a run is given."""

    settings: Settings
    run: str
    jsonl: bool
    concurrency: int
    actors: int


def read(table: pa.Table, path: str) -> pa.Table:
    """The blocks with the bytes of their lines; on the machine that has the file."""
    pieces = []
    with Path(path).open("rb") as file:
        for offset, size in zip(
            table["offset"].to_pylist(), table["size"].to_pylist(), strict=True
        ):
            file.seek(offset)
            pieces.append(file.read(size))
    return table.append_column("raw", pa.array(pieces, pa.binary()))


class Answerer:
    """The actor: a router, its service, and the results that all actors share."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._lock = threading.Lock()
        self._worker: _Worker | None = None

    def __call__(self, table: pa.Table) -> pa.Table:
        """Places and results of the lines of these blocks, in the order of the input."""
        with self._lock:
            if self._worker is None:  # not at the actor's start, whose errors Ray words anew
                self._worker = _Worker(self._task)
        found: dict[int, bytes] = {}
        for row in table.to_pylist():
            found |= self._worker.answer(row, row["raw"])
        places = sorted(found)
        bodies = pa.array([found[place] for place in places], pa.binary())
        return pa.table({"place": pa.array(places, pa.int64()), "body": bodies})


class _Worker:
    def __init__(self, task: Task) -> None:
        configure(json=True)
        settings = received(task.settings)
        self._jsonl = task.jsonl
        router = Router(settings, share=task.actors)
        self._run = Run(
            BatchDatabase(settings.environment.database_url, settings.data_dir), task.run
        )
        self._places = asyncio.Semaphore(task.concurrency)
        self._answering = Answering(router)
        self._loop = asyncio.new_event_loop()
        # A daemon: the process of an actor ends with its driver, and waits for no other thread.
        threading.Thread(target=self._loop.run_forever, name="router", daemon=True).start()
        router.open()
        self._wait(self._answering.__aenter__())

    def answer(self, block: Block, raw: bytes) -> dict[int, bytes]:
        """The results by place; those that are kept already are not asked for again."""
        return self._wait(self._all(block, raw))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _all(self, block: Block, raw: bytes) -> dict[int, bytes]:
        last = block["first"] + block["count"] - 1
        kept = await _patient(partial(self._run.kept, block["first"], last))
        items = dict(items_in(block, raw, jsonl=self._jsonl))
        found = {p: kept[p] for p, item in items.items() if p in kept and _is_of(kept[p], item)}
        try:
            async with asyncio.TaskGroup() as group:
                asked = {
                    place: group.create_task(self._one(place, item))
                    for place, item in items.items()
                    if place not in found
                }
        except* RouterError as errors:
            raise errors.exceptions[0] from None
        return found | {place: task.result() for place, task in asked.items()}

    async def _one(self, place: int, item: Item) -> bytes:
        async with self._places:
            line = await self._answering.answer(item)
            body = json.dumps(line, ensure_ascii=False).encode()
            await _patient(partial(self._run.keep, {place: (body, is_error(line))}))
            return body


def _is_of(body: bytes, item: Item) -> bool:
    """Not so where the input was edited between two runs."""
    return key_of(json.loads(body)) == item.key


async def _patient(call: Callable[[], T]) -> T:
    """Its result, from a thread; a database that is away for some 40 s ends nothing."""
    for wait_s in (*RETRY_S, None):
        try:
            return await asyncio.to_thread(call)
        except StorageError as error:
            if wait_s is None:
                raise
            logger.warning("results_wait", error=str(error), seconds=wait_s)
            await asyncio.sleep(wait_s)
    raise AssertionError("unreachable")
