"""The log's schema from version to version: numbered steps, each taken once.

A step only adds: a column that may be null or has a default, a wider type, an index. So a program
that is one step behind goes on reading and writing beside one that has taken it. New tables need
no step: they are created where they are missing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Column, Connection, String, Table, func, inspect, select, text
from sqlalchemy.schema import CreateColumn

from telemetry import tables


@dataclass(frozen=True, slots=True)
class Step:
    """One change of tables that a log may already have; `take` runs in the start's transaction."""

    number: int
    take: Callable[[Connection], None]


def upgrade(connection: Connection, *, fresh: bool) -> int:
    """Take the steps that this log has not seen; how many it has seen that are unknown here.

    A `fresh` log has just been created as it shall be: its steps are only noted.
    """
    newest = connection.execute(select(func.max(tables.steps.c.step))).scalar() or 0
    due = [step for step in STEPS if step.number > newest]
    for step in due:
        if not fresh:
            step.take(connection)
        connection.execute(tables.steps.insert().values(step=step.number, at=time.time()))
    return max(0, int(newest) - STEPS[-1].number)


def add_columns(connection: Connection, table: Table, *names: str) -> None:
    """Add the columns that are missing, as the table declares them."""
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for name in names:
        if name not in there:
            column: Column[object] = table.c[name]
            declared = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {declared}"))


def _name_the_conversation_and_why(connection: Connection) -> None:
    add_columns(connection, tables.interactions, "session_id", "stopped", "reason")


def _widen_text(connection: Connection) -> None:
    """PostgreSQL refused what was longer than 16 to 256 characters; it changes no row for this.
    SQLite never looked at the length."""
    if connection.dialect.name == "sqlite":
        return
    for table in tables.metadata.sorted_tables:
        for column in inspect(connection).get_columns(table.name):
            if isinstance(column["type"], String) and column["type"].length is not None:
                change = f"ALTER TABLE {table.name} ALTER COLUMN {column['name']} TYPE TEXT"
                connection.execute(text(change))


def _name_verdicts(connection: Connection) -> None:
    add_columns(connection, tables.attempts, "against", "against_role", "verdict", "source")


STEPS = (
    Step(1, _name_the_conversation_and_why),
    Step(2, _widen_text),
    Step(3, _name_verdicts),
)
