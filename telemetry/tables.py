"""The tables of the interactions log, and the conversion of rows to and from them.

Text has no maximum length: names come from callers and upstreams, and both databases must accept
the same. Every change to a table needs a step in `telemetry.migrations`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

SCHEMA_VERSION = 1
"""Increased by a change that older programs cannot work with; any other is a step of
`migrations`."""

metadata = MetaData()

schema = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

steps = Table(
    "schema_steps",
    metadata,
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("at", Float(53), nullable=False),
)

interactions = Table(
    "interactions",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("at", Float(53), nullable=False),
    Column("category", Text),
    Column("confidence", Float(53)),
    Column("evidence", Text),
    Column("preferred", Text),
    Column("fallback", Text),
    Column("fallback_used", Boolean),
    Column("winner", Text),
    Column("role", Text),
    Column("success", Boolean),
    Column("latency_ms", Float(53)),
    Column("ttft_ms", Float(53)),
    Column("cost_usd", Float(53)),
    Column("liked", Boolean),
    Column("prompt_hash", Text),
    Column("prompt", Text),
    Column("answer", Text),
    Column("error", Text),
    Column("simulated", Boolean),
    Column("session_id", Text),
    Column("stopped", Boolean),
    Column("reason", Text),
    Column("tools", Text),
    # The transaction that last changed the request or one of its attempts: see `Database.window`.
    Column("changed", BigInteger, nullable=False),
    Index("interactions_at", "at"),
    Index("interactions_category_at", "category", "at"),
    Index("interactions_changed", "changed"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Float(53), nullable=False),
    Column("category", Text),
    Column("confidence", Float(53)),
    Column("provider", Text, nullable=False),
    Column("model", Text),
    Column("host", Text),
    Column("role", Text),
    Column("outcome", Text),
    Column("error", Text),
    Column("detail", Text),
    Column("served", Boolean),
    Column("started_ms", Float(53)),
    Column("ttft_ms", Float(53)),
    Column("latency_ms", Float(53)),
    Column("tokens_in", Integer),
    Column("tokens_out", Integer),
    Column("cost_usd", Float(53)),
    Column("cost_estimated", Boolean),
    Column("propensity", Float(53)),
    Column("quality", Float(53)),
    Column("finish_reason", Text),
    Column("revision", Integer, nullable=False),
    Column("against", Text),
    Column("against_role", Text),
    Column("verdict", Float(53)),
    Column("source", Text),
    Column("text", Text),
    Index("attempts_at", "at"),
)

audits = Table(
    "audits",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Float(53), nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("audits_kind_at", "kind", "at"),
)

hints = Table(
    "hints",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Float(53), nullable=False),
    Column("detail", Text, nullable=False),
)

taught = Table(
    "taught",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Float(53), nullable=False),
    Column("category", Text, nullable=False),
    Column("request_id", Text),
    Column("prompt", Text),
    Column("detail", Text, nullable=False),
    Index("taught_at", "at"),
)

baselines = Table(
    "baselines",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", Float(53), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
)

OWN = frozenset({"changed"})
"""Columns for the log's internal use."""

TEXTS = frozenset({"prompt", "answer", "text", "tools"})
"""Stored only with `log: {text: true}`."""

Row = dict[str, Any]


def encode(table: Table, row: Mapping[str, object], *, text: bool, **defaults: object) -> Row:
    """A row as the database takes it, with every column present.

    Raises TypeError for a field that the table does not have, so that a misspelt key is never lost.
    """
    known = set(table.c.keys()) - OWN
    if unknown := set(row) - known - {"attempts"}:
        names = ", ".join(sorted(unknown))
        raise TypeError(f"The log's table {table.name} has no field {names}.")
    values = {name: _clean(row.get(name)) for name in known}
    for name, default in defaults.items():
        if values[name] is None:
            values[name] = default
    if not text:
        values.update(dict.fromkeys(TEXTS & known))
    for column in table.primary_key:
        if values[column.name] is None:
            raise TypeError(f"A row of the log's table {table.name} needs {column.name}.")
    return values


def decode(row: Mapping[str, object]) -> Row:
    """A row as `records` describes it, without texts that were not stored."""
    values = {
        name: value
        for name, value in row.items()
        if name not in OWN and not (value is None and name in TEXTS)
    }
    for name in ("evidence", "tools"):
        if values.get(name) is not None:
            values[name] = json.loads(str(values[name]))
    return values


def dump(value: object) -> str:
    """JSON that both databases accept; raises TypeError for a value that JSON does not have."""
    return str(_clean(json.dumps(value, ensure_ascii=True, sort_keys=True)))


def _clean(value: object) -> object:
    """Without what a database rejects: NUL, lone surrogates, NaN and infinities."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping | list):
        return dump(value)
    return value
