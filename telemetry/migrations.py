"""Migrations of the log's schema: numbered steps, each applied once.

A step only adds: a nullable column or one with a default, a wider type, an index. So a program that
is one step behind can go on reading and writing beside one that has applied it. New tables need no
step: they are created if missing.
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
    """One change to existing tables; `take` runs in the transaction of the start."""

    number: int
    take: Callable[[Connection], None]


def upgrade(connection: Connection, *, fresh: bool) -> int:
    """Apply the steps this log has not seen; returns how many applied steps are unknown here.

    A `fresh` log was created with the current schema: its steps are only recorded.
    """
    newest = connection.execute(select(func.max(tables.steps.c.step))).scalar() or 0
    due = [step for step in STEPS if step.number > newest]
    for step in due:
        if not fresh:
            step.take(connection)
        connection.execute(tables.steps.insert().values(step=step.number, at=time.time()))
    return max(0, int(newest) - STEPS[-1].number)


def add_columns(connection: Connection, table: Table, *names: str) -> None:
    """Add the missing columns, as the table declares them."""
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for name in names:
        if name not in there:
            column: Column[object] = table.c[name]
            declared = CreateColumn(column).compile(dialect=connection.dialect)
            connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {declared}"))


def _name_the_conversation_and_why(connection: Connection) -> None:
    add_columns(connection, tables.interactions, "session_id", "stopped", "reason")


def _widen_text(connection: Connection) -> None:
    """PostgreSQL rejected text longer than 16 to 256 characters; widening changes no row.

    SQLite never enforced the length.
    """
    if connection.dialect.name == "sqlite":
        return
    for table in tables.metadata.sorted_tables:
        for column in inspect(connection).get_columns(table.name):
            if isinstance(column["type"], String) and column["type"].length is not None:
                change = f"ALTER TABLE {table.name} ALTER COLUMN {column['name']} TYPE TEXT"
                connection.execute(text(change))


def _name_verdicts(connection: Connection) -> None:
    add_columns(connection, tables.attempts, "against", "against_role", "verdict", "source")


def _keep_tools(connection: Connection) -> None:
    add_columns(connection, tables.interactions, "tools")


STEPS = (
    Step(1, _name_the_conversation_and_why),
    Step(2, _widen_text),
    Step(3, _name_verdicts),
    Step(4, _keep_tools),
)
