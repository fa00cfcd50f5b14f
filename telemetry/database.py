"""SQLite or PostgreSQL: opening, checking, and the few differences between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection, IsolationLevel
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from config.errors import StorageError
from telemetry import migrations, tables

BUSY_MS = 5_000
CONNECT_S = 5
KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""A server that disappeared silently is given up after about 25 s; a thread blocks until then."""
LOCK_S = 5
"""How long a start waits for readers of a PostgreSQL table that a migration alters, since the work
of the other replicas queues behind that wait."""
QUICK_CHECK_BYTES = 32 * 2**20
"""A SQLite file up to this size in bytes is checked page by page at start (about 50 ms)."""


REFUSALS = ("authentication failed", "pg_hba.conf", "does not exist")
"""Errors of a reachable PostgreSQL: the database name or the password is wrong."""


class UnreachableError(StorageError):
    """The database does not answer now, but may on the next attempt."""


class Database:
    """One writing engine, one reading engine, and the differences between the two dialects."""

    def __init__(self, url: URL, where: str, clock: Callable[[], float] = time.time) -> None:
        """`clock` is this machine's clock in Unix seconds; it may be wrong."""
        self.where = where
        self.offset_s = 0.0
        """How far the database's clock is ahead of this machine's, as last measured; 0 for
        SQLite."""
        self._clock = clock
        self.prepared = False
        self._url = url
        self._file: tuple[int, int] | None = None
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.writing = engine(url, writing=True, connections=1)
        self.reading = engine(url, writing=False, connections=4)
        self.insert = sqlite.insert if self.is_sqlite else postgresql.insert

    @classmethod
    def open(cls, database_url: str | None, data_dir: Path) -> Database:
        """Connect, check and migrate the tables; raises StorageError with what is wrong."""
        database = cls(*locate(database_url, data_dir))
        try:
            database.prepare()
        except StorageError:
            database.close()
            raise
        return database

    def prepare(self) -> None:
        """Connect, check and migrate the tables.

        Raises UnreachableError if another attempt may succeed, StorageError if the log can never be
        used as it is. A file that is not a healthy database is reported and not modified.
        """
        try:
            self._check()
            with self.writing.begin() as connection:
                self._migrate(connection)
        except SQLAlchemyError as error:
            kind = UnreachableError if self._may_return(error) else StorageError
            raise kind(self._explain(error)) from error
        self._file = self._identity()
        self.prepared = True

    def check_there(self) -> None:
        """Raise UnreachableError if the file was removed or replaced while open: SQLite would go on
        writing to an unlinked file."""
        if self._file is None or self._file == self._identity():
            return
        self.prepared, self._file = False, None
        self.close()
        self._folder()
        raise UnreachableError(f"The log {self.where} was removed while it was in use.")

    def ping(self) -> None:
        """Whether the database would take a row, as far as that shows without one: it is there,
        nobody holds its write lock, its table can be read. Raises as a commit would."""
        self.check_there()
        with self.writing.begin() as connection:
            connection.execute(select(tables.interactions.c.request_id).limit(1)).first()

    def cannot_write(self, error: Exception) -> str:
        """Why a commit failed, as one sentence with the fix."""
        if isinstance(error, StorageError):
            return str(error)
        if self.is_sqlite and _is_corrupt(reason(error)):
            mend = "it is corrupt, move it away to start a new one or restore it from a copy"
        elif self.is_sqlite:
            mend = "check the space on its disk and the rights on its folder"
        else:
            mend = "check that its server runs and can be reached"
        return f"The log {self.where} cannot be written ({reason(error)}): {mend}."

    def stamp(self, connection: Connection) -> int:
        """The number of this writing transaction, stored in `interactions.changed`.

        SQLite has one writer at a time, so a running number is in commit order. PostgreSQL commits
        out of order: there it is the transaction's own id, and `window` waits for those still
        running.
        """
        if self.is_sqlite:
            newest = select(func.coalesce(func.max(tables.interactions.c.changed), 0) + 1)
        else:
            newest = select(text("pg_current_xact_id()::text::bigint"))
        return int(connection.execute(newest).scalar_one())

    def window(self, connection: Connection) -> tuple[int, int]:
        """(low, high) of this snapshot: everything below `low` is committed, nothing reaches
        `high`.

        Every reader that follows the log calls this, so the clocks are compared here.
        """
        if self.is_sqlite:
            following = self.stamp(connection)
            return following, following
        asked_at = self._clock()
        row = connection.execute(
            text(
                "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint,"
                " extract(epoch from clock_timestamp())::float8 FROM pg_current_snapshot() s"
            )
        ).one()
        self._set_clock(row[2], asked_at)
        return int(row[0]), int(row[1])

    def now(self) -> float:
        """The database's time in Unix seconds, on which replicas with different clocks agree."""
        return self._clock() + self.offset_s

    def _set_clock(self, theirs: float, asked_at: float) -> None:
        """Half of the round trip is the possible error of the measurement."""
        heard_at = self._clock()
        found = theirs - (asked_at + heard_at) / 2
        if abs(found - self.offset_s) > (heard_at - asked_at) / 2:
            self.offset_s = found

    def close(self) -> None:
        self.writing.dispose()
        self.reading.dispose()

    def _identity(self) -> tuple[int, int] | None:
        """The identity of the SQLite file; None for PostgreSQL and for a file that no longer
        exists."""
        if not self.is_sqlite or not self._url.database:
            return None
        try:
            status = Path(self._url.database).stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _folder(self) -> None:
        """Raise UnreachableError while the SQLite file's folder does not exist."""
        if self.is_sqlite and self._url.database:
            folder = Path(self._url.database).absolute().parent
            if not folder.is_dir():
                raise UnreachableError(
                    f"The data folder {folder} was removed: rows wait in memory until it is there"
                    " again."
                )

    def _may_return(self, error: SQLAlchemyError) -> bool:
        """Whether this is an outage, rather than a wrong address or a broken file."""
        cause = reason(error)
        if self.is_sqlite:
            return "locked" in cause or "full" in cause
        return isinstance(error, OperationalError) and not any(s in cause for s in REFUSALS)

    def _check(self) -> None:
        """Raise StorageError if the file is not a healthy SQLite database."""
        if not self.is_sqlite or not self._url.database:
            return
        self._folder()
        path = Path(self._url.database)
        size = path.stat().st_size if path.exists() else 0
        if 0 < size <= QUICK_CHECK_BYTES:
            with self.reading.connect() as connection:
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
            if found != "ok":
                found = " ".join(str(found).split())
                raise StorageError(
                    f"The log {self.where} is corrupt ({found}). It was left as it is: move it"
                    " away to start a new one, or restore it from a copy."
                )

    def _migrate(self, connection: Connection) -> None:
        """Create missing tables and apply the migrations; raises StorageError for a newer
        schema."""
        if not self.is_sqlite:  # replicas that start together must not create the tables twice
            connection.execute(text("SELECT pg_advisory_xact_lock(727001)"))
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_S}s'"))
        fresh = not inspect(connection).has_table(tables.schema.name)
        tables.metadata.create_all(connection)
        if fresh:
            connection.execute(tables.schema.insert().values(version=tables.SCHEMA_VERSION))
        version = connection.execute(select(func.max(tables.schema.c.version))).scalar()
        if version is None or version > tables.SCHEMA_VERSION:
            raise StorageError(
                f"The log {self.where} has schema version {version}, this program knows"
                f" {tables.SCHEMA_VERSION}: start the newer program, or use another data folder."
            )
        ahead = migrations.upgrade(connection, fresh=fresh)
        if ahead > 1:
            raise StorageError(
                f"The log {self.where} is {ahead} steps of its schema ahead of this program:"
                " start the newer program, or use another data folder."
            )

    def _explain(self, error: SQLAlchemyError) -> str:
        cause = reason(error)
        if not self.is_sqlite:
            return (
                f"The database {self.where} cannot be used ({cause}): check ROUTER_DATABASE_URL"
                " and that the server runs."
            )
        if _is_corrupt(cause):
            return (
                f"The log {self.where} is corrupt ({cause}). It was left as it is: move it away"
                " to start a new one, or restore it from a copy."
            )
        return f"The log {self.where} cannot be opened ({cause}): is its folder writable?"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a consistent snapshot for reading; raises StorageError if it cannot be read."""
        try:
            with self.reading.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageError(f"The log {self.where} cannot be read ({reason(error)}).") from error


def engine(url: URL, *, writing: bool, connections: int) -> Engine:
    """Connections to SQLite or PostgreSQL, set up for short transactions of one kind."""
    if url.get_backend_name() != "sqlite":
        level: IsolationLevel = "READ COMMITTED" if writing else "REPEATABLE READ"
        return create_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=not writing or connections > 1,
            isolation_level=level,
            connect_args={"connect_timeout": CONNECT_S, **KEEPALIVE},
        )
    made = create_engine(url, pool_size=connections, max_overflow=0)

    @event.listens_for(made, "connect")
    def _prepare(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin on its own
        for pragma in (f"busy_timeout={BUSY_MS}", "journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(made, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return made


def _is_corrupt(cause: str) -> bool:
    """SQLite's own words for a file that is damaged."""
    return "not a database" in cause or "malformed" in cause


def reason(error: BaseException) -> str:
    """The driver's message on one line, without SQL, parameters or passwords."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = str(cause).strip().splitlines()
    return lines[0].strip() if lines else type(cause).__name__


def locate(database_url: str | None, data_dir: Path) -> tuple[URL, str]:
    """The database's URL, and its name in messages (without its password)."""
    make_folder(data_dir)
    if database_url is None:
        path = data_dir / "router.db"
        return URL.create("sqlite", database=str(path)), str(path)
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise StorageError(
            "ROUTER_DATABASE_URL is not an address: write postgresql://user:password@host/name."
        ) from error
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("postgresql+psycopg", "sqlite"):
        raise StorageError(
            f"ROUTER_DATABASE_URL names {url.drivername}: only sqlite and postgresql are known."
        )
    where = url.render_as_string(hide_password=True) if url.host else str(url.database or url)
    return url, where


def make_folder(data_dir: Path) -> None:
    """Create the data folder, needed for the spool wherever the database is. Raises StorageError if
    that fails."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The data folder {data_dir} cannot be created ({error.strerror}):"
            " choose a writable one with --data."
        ) from error
