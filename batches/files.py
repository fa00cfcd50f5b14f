"""Uploaded files: stored and returned part by part, never as a whole in memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from sqlalchemy import Connection, RowMapping, Select, delete, func, select, update

from batches.database import BatchDatabase, page
from batches.tables import batches, file_parts, files, results
from config.errors import NotFoundError, UsageError

PART_LINES = 50
PART_BYTES = 512 * 2**10
"""Size of a part in bytes. A part only determines which process continues which lines: its results
are stored one by one, so little work is lost with a process."""
MOST_LINE_BYTES = 16 * 2**20
COMMIT_BYTES = 4 * 2**20
UPLOAD_S = 3_600.0
"""An upload that began longer ago than this will never be complete."""

INPUT = "batch"
OUTPUT = "batch_output"


class Part(NamedTuple):
    """Some lines of a file."""

    number: int
    first_line: int  # from 1
    lines: int  # that are not blank
    body: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """A file being uploaded."""

    owner: str
    filename: str
    purpose: str
    keep_s: float
    stored_bytes: int
    """The total size in bytes that this owner's files may take."""


class Files:
    """The files of all owners; each owner sees only its own. Blocks: call it in a thread."""

    def __init__(self, database: BatchDatabase) -> None:
        self._database = database

    def add(self, upload: Upload, source: BinaryIO) -> RowMapping:
        """Store the file, in several transactions; until the last one it belongs to nobody.

        Raises UsageError if it is empty, has a line without end, or exceeds the quota.
        """
        made = f"file-{uuid.uuid4().hex}"
        with self._database.write() as connection:
            now = self._database.now(connection)
            row = {
                "id": made,
                "owner": upload.owner,
                "purpose": upload.purpose,
                "filename": upload.filename,
                "bytes": 0,
                "created_at": now,
                "expires_at": now + upload.keep_s,
                "status": "uploading",
            }
            connection.execute(files.insert().values(**row))
        try:
            self._take_in(made, source, upload)
        except UsageError:
            with self._database.write() as connection:
                _remove(connection, made)
            raise
        with self._database.write() as connection:
            connection.execute(update(files).where(files.c.id == made).values(status="processed"))
        return self.get(upload.owner, made)

    def get(self, owner: str, file_id: str) -> RowMapping:
        """Raises NotFoundError for a file that does not exist, or is another owner's."""
        with self._database.read() as connection:
            return _get(connection, owner, file_id)

    def page(
        self, owner: str, purpose: str | None, limit: int, after: str | None, *, newest: bool
    ) -> tuple[list[RowMapping], bool]:
        """The owner's files after the one named `after`, and whether there are more."""
        with self._database.read() as connection:
            wanted = _owned(owner)
            if purpose is not None:
                wanted = wanted.where(files.c.purpose == purpose)
            mark = None if after is None else _get(connection, owner, after)
            return page(connection, wanted, files, limit, mark, newest=newest)

    def pieces(self, row: RowMapping) -> Iterator[bytes]:
        """The file's bytes, part by part, each in a transaction of its own."""
        after = -1
        while True:
            with self._database.read() as connection:
                if row["batch_id"] is None:
                    found = _next_part(connection, row["id"], after)
                    number, body = (None, b"") if found is None else (found.number, found.body)
                else:
                    number, body = _next_results(connection, row, after)
            if number is None:
                return
            after = number
            if body:
                yield body

    def part(self, file_id: str, number: int) -> Part | None:
        """One part; None if there is none with that number."""
        with self._database.read() as connection:
            return _next_part(connection, file_id, number - 1, at_most=number)

    def delete(self, owner: str, file_id: str) -> None:
        """Raises UsageError while a batch reads it; a batch's results are deleted with their
        file."""
        with self._database.write() as connection:
            row = _get(connection, owner, file_id)
            reader = connection.execute(
                select(batches.c.id).where(
                    batches.c.input_file_id == file_id,
                    batches.c.status.in_(("validating", "in_progress", "cancelling")),
                )
            ).scalar()
            if reader is not None:
                raise UsageError(f"{reader} still reads this file: cancel it first", "file_id")
            _remove(connection, file_id, row)

    def sweep(self) -> None:
        """Remove expired files, and uploads that were interrupted."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            busy = select(batches.c.input_file_id).where(
                batches.c.status.in_(("validating", "in_progress", "cancelling"))
            )
            old = select(files).where(
                (files.c.expires_at < now)
                | ((files.c.status == "uploading") & (files.c.created_at < now - UPLOAD_S)),
                files.c.id.not_in(busy),
            )
            for row in connection.execute(old.limit(10)).mappings().all():
                _remove(connection, row["id"], row)

    def _take_in(self, file_id: str, source: BinaryIO, upload: Upload) -> None:
        """Store the file in parts of whole lines."""
        size, waiting, rows = 0, 0, []
        for part in cut(source):
            size += len(part.body)
            row = {"file_id": file_id, "part": part.number, "first_line": part.first_line}
            rows.append({**row, "lines": part.lines, "body": part.body})
            waiting += len(part.body)
            if waiting >= COMMIT_BYTES:
                self._store(file_id, upload, rows, waiting)
                rows, waiting = [], 0
        if not size:
            raise UsageError("the file is empty", "file")
        if rows:
            self._store(file_id, upload, rows, waiting)

    def _store(
        self, file_id: str, upload: Upload, rows: list[dict[str, object]], size: int
    ) -> None:
        """Parts of a file, which count from here on; raises UsageError beyond the quota."""
        with self._database.write() as connection:
            connection.execute(file_parts.insert(), rows)
            grown = update(files).where(files.c.id == file_id)
            connection.execute(grown.values(bytes=files.c.bytes + size))
            if _stored(connection, upload.owner) > upload.stored_bytes:
                raise UsageError("the files of this key use up their quota: delete some", "file")


def cut(source: BinaryIO) -> Iterator[Part]:
    """The parts of a file; raises UsageError for a line that is too long."""
    number, first, count, held = 0, 1, 0, bytearray()
    while line := source.readline(MOST_LINE_BYTES + 1):
        if len(line) > MOST_LINE_BYTES:
            most = MOST_LINE_BYTES // 2**20
            raise UsageError(f"line {first + count} is longer than {most} MB", "file")
        held += line
        count += 1
        if count >= PART_LINES or len(held) >= PART_BYTES:
            yield _part(number, first, held)
            number, first, count, held = number + 1, first + count, 0, bytearray()
    if held:
        yield _part(number, first, held)


def _part(number: int, first: int, held: bytearray) -> Part:
    body = bytes(held)
    return Part(number, first, len(lines_of(body)), body)


def lines_of(body: bytes) -> list[tuple[int, bytes]]:
    """The non-blank lines of a part, each with its position."""
    return [
        (number, line)
        for number, raw in enumerate(body.split(b"\n"))
        if (line := raw.removeprefix(b"\xef\xbb\xbf").strip())
    ]


def _owned(owner: str) -> Select[tuple[object, ...]]:
    return select(files).where(files.c.owner == owner, files.c.status == "processed")


def _get(connection: Connection, owner: str, file_id: str) -> RowMapping:
    found = connection.execute(_owned(owner).where(files.c.id == file_id)).mappings().first()
    if found is None:
        raise NotFoundError(f"there is no file {file_id}")
    return found


def _stored(connection: Connection, owner: str) -> int:
    total = select(func.coalesce(func.sum(files.c.bytes), 0)).where(files.c.owner == owner)
    return int(connection.execute(total).scalar_one())


def _next_part(
    connection: Connection, file_id: str, after: int, at_most: int | None = None
) -> Part | None:
    wanted = select(file_parts).where(file_parts.c.file_id == file_id, file_parts.c.part > after)
    if at_most is not None:
        wanted = wanted.where(file_parts.c.part <= at_most)
    row = connection.execute(wanted.order_by(file_parts.c.part).limit(1)).mappings().first()
    if row is None:
        return None
    return Part(row["part"], row["first_line"], row["lines"], bytes(row["body"]))


def _next_results(connection: Connection, file: RowMapping, after: int) -> tuple[int | None, bytes]:
    """The results of the next part that has any of this file's kind, one on each line."""
    of = (results.c.batch_id == file["batch_id"], results.c.failed == file["failed"])
    following = select(func.min(results.c.part)).where(*of, results.c.part > after)
    number = connection.execute(following).scalar()
    if number is None:
        return None, b""
    wanted = select(results.c.body).where(*of, results.c.part == number).order_by(results.c.line)
    return int(number), b"".join(bytes(b) + b"\n" for b in connection.execute(wanted).scalars())


def _remove(connection: Connection, file_id: str, row: RowMapping | None = None) -> None:
    if row is not None and row["batch_id"] is not None:
        of = (results.c.batch_id == row["batch_id"], results.c.failed == row["failed"])
        connection.execute(delete(results).where(*of))
    connection.execute(delete(file_parts).where(file_parts.c.file_id == file_id))
    connection.execute(delete(files).where(files.c.id == file_id))
