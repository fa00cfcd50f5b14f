"""The database of batches: a file of its own beside the log with SQLite.

A batch writes megabytes; in a file of its own it cannot delay the log's rows. PostgreSQL does not
have that problem, so there the tables are in the log's database, where every replica finds them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, RowMapping, Select, Table, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from batches.tables import metadata
from config.errors import StorageError
from telemetry.database import engine, locate, reason

NAME = "batches.db"
CONNECTIONS = 4


class BatchDatabase:
    """Short transactions; opened and prepared on first use. Thread-safe."""

    def __init__(self, database_url: str | None, data_dir: Path) -> None:
        url, self.where = locate(database_url, data_dir)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.file: Path | None = None
        if self.is_sqlite:
            self.file = Path(url.database or data_dir / NAME).with_name(NAME)
            url, self.where = url.set(database=str(self.file)), str(self.file)
        self.insert = sqlite.insert if self.is_sqlite else postgresql.insert
        self._writing = engine(url, writing=True, connections=1 if self.is_sqlite else CONNECTIONS)
        self._reading = engine(url, writing=False, connections=CONNECTIONS)
        self._lock = threading.Lock()
        self._prepared = False

    @property
    def in_use(self) -> bool:
        """Whether there may be batches here; False saves a query."""
        return self.file is None or self.file.exists()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at the end of the block; raises StorageError if it fails."""
        with self._transaction(self._writing, "written") as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent snapshot for reading; raises StorageError if it cannot be read."""
        with self._transaction(self._reading, "read") as connection:
            yield connection

    def now(self, connection: Connection) -> float:
        """The database's time in Unix seconds: leases are decided by a single clock."""
        if self.is_sqlite:
            return time.time()
        asked = text("SELECT extract(epoch from clock_timestamp())::float8")
        return float(connection.execute(asked).scalar_one())

    def close(self) -> None:
        self._writing.dispose()
        self._reading.dispose()

    @contextmanager
    def _transaction(self, over: Engine, doing: str) -> Iterator[Connection]:
        try:
            self._prepare()
            with over.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageError(
                f"The batches in {self.where} cannot be {doing} ({reason(error)})."
            ) from error

    def _prepare(self) -> None:
        with self._lock:
            if self._prepared:
                return
            with self._writing.begin() as connection:
                if (
                    not self.is_sqlite
                ):  # replicas that start together must not create the tables twice
                    connection.execute(text("SELECT pg_advisory_xact_lock(727003)"))
                metadata.create_all(connection)
            self._prepared = True


def page(
    connection: Connection,
    wanted: Select[tuple[object, ...]],
    table: Table,
    limit: int,
    mark: RowMapping | None,
    *,
    newest: bool,
) -> tuple[list[RowMapping], bool]:
    """Rows by age, after `mark` if there is one, and whether there are more."""
    age = tuple_(table.c.created_at, table.c.id)
    if mark is not None:
        at = tuple_(mark["created_at"], mark["id"])
        wanted = wanted.where(age < at if newest else age > at)
    order = (table.c.created_at, table.c.id)
    sorted_ = wanted.order_by(*(c.desc() if newest else c.asc() for c in order))
    found = connection.execute(sorted_.limit(limit + 1)).mappings().all()
    return list(found[:limit]), len(found) > limit
