"""The tables of uploaded files and of the batches over them.

A file is stored in parts, split between lines: a part is what a process claims at once. The result
of a line is a row, so that there is exactly one however often the line was sent.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

metadata = MetaData()

files = Table(
    "batch_files",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    # `uploading` while parts come in, then `processed`.
    Column("status", Text, nullable=False),
    # Of a file that is a batch's results: which batch, and whether those that failed.
    Column("batch_id", Text),
    Column("failed", Boolean),
    Index("batch_files_owner", "owner", "created_at"),
)

file_parts = Table(
    "batch_file_parts",
    metadata,
    Column("file_id", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("first_line", Integer, nullable=False),
    # Lines that are not blank.
    Column("lines", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

TIMES = (
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)
"""When a batch entered each state, in Unix seconds."""

batches = Table(
    "batches",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("completion_window", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("input_file_id", Text, nullable=False),
    Column("output_file_id", Text),
    Column("error_file_id", Text),
    # How long the files of results are kept once they are there, in seconds.
    Column("keep_s", Float(53), nullable=False),
    Column("metadata", Text),
    Column("errors", Text),
    Column("total", Integer, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    *(Column(name, Float(53)) for name in TIMES),
    # When a part of it was last taken on: batches take turns.
    Column("turn", Float(53), nullable=False),
    # Who checks its file, and until when.
    Column("holder", Text),
    Column("held_until", Float(53), nullable=False),
    Index("batches_owner", "owner", "created_at"),
    Index("batches_status", "status", "turn"),
)

parts = Table(
    "batch_parts",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("lines", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("done", Boolean, nullable=False),
    # Which process answers it, and until when it does so without a sign of life.
    Column("holder", Text),
    Column("held_until", Float(53), nullable=False),
    # How often it was taken on.
    Column("taken", Integer, nullable=False),
    Index("batch_parts_open", "batch_id", "done", "part"),
)

results = Table(
    "batch_results",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    # Within the part, blank ones counted, from 0.
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("failed", Boolean, nullable=False),
    # One line of JSON, without its end.
    Column("body", LargeBinary, nullable=False),
)
