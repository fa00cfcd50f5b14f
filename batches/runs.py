"""What the processes that share one run have answered: nothing of it is asked twice.

A run is no batch of a caller's: it has rows among the results alone, under a name of its own, and
only until its output is written.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping

from sqlalchemy import delete, select

from batches.database import BatchDatabase
from batches.tables import results

PREFIX = "run-"
PART = 1_000
"""Lines under one number: rows are looked up by ranges of it."""
KEPT_S = 30 * 86_400.0
"""How long the lines of a run that nobody resumes are kept."""


def new_run() -> str:
    """A name that says when the run began."""
    return f"{PREFIX}{int(time.time()):012d}-{uuid.uuid4().hex}"


class Run:
    """The answered lines of one run, by their place in its input. Blocks; safe to share by threads.

    Every method raises StorageError.
    """

    def __init__(self, database: BatchDatabase, name: str) -> None:
        self._database = database
        self._name = name

    def kept(self, first: int, last: int) -> dict[int, bytes]:
        """The results of the places from `first` to `last` that are there."""
        wanted = select(results.c.part, results.c.line, results.c.body).where(
            results.c.batch_id == self._name,
            results.c.part.between(first // PART, last // PART),
        )
        with self._database.read() as connection:
            rows = connection.execute(wanted).all()
        found = {part * PART + line: bytes(body) for part, line, body in rows}
        return {place: body for place, body in found.items() if first <= place <= last}

    def keep(self, found: Mapping[int, tuple[bytes, bool]]) -> None:
        """Results by place, each with whether it is an error; the first of a place stays."""
        rows = [
            {
                "batch_id": self._name,
                "part": place // PART,
                "line": place % PART,
                "failed": failed,
                "body": body,
            }
            for place, (body, failed) in found.items()
        ]
        with self._database.write() as connection:
            connection.execute(self._database.insert(results).on_conflict_do_nothing(), rows)

    def forget(self, *, errors_only: bool = False) -> None:
        """Remove all of it, or the errors, which are to be tried again."""
        mine = delete(results).where(results.c.batch_id == self._name)
        with self._database.write() as connection:
            connection.execute(mine.where(results.c.failed) if errors_only else mine)

    def forget_older(self) -> None:
        """Remove what runs have left that ended long ago and were not resumed."""
        oldest = f"{PREFIX}{int(time.time() - KEPT_S):012d}"
        left = results.c.batch_id.startswith(PREFIX) & (results.c.batch_id < oldest)
        with self._database.write() as connection:
            connection.execute(delete(results).where(left))
