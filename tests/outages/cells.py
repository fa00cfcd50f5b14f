"""The outage table: what breaks, how, when, and what must hold; `docs/outages.md` is made of it."""

from __future__ import annotations

from dataclasses import dataclass

REFUSED_AT_START = "the start is refused with one line"


@dataclass(frozen=True, slots=True)
class Cell:
    """One outage. `adds_ms` is what it may add to a request, `row` what becomes of the log's row,
    `health` a part of what `/health` says within two seconds."""

    what: str
    how: str
    when: str
    adds_ms: int | None
    row: str
    health: str
    test: str


SPOOLED = "waits in the spool, is in the log once after the outage"
WRITTEN = "written as ever"
SERVING, START = "while serving", "at start"

CELLS = (
    Cell("log database", "silent", SERVING, 100, SPOOLED, "has not answered", "postgresql_silent"),
    Cell("log database", "gone", SERVING, 100, SPOOLED, "cannot be written", "postgresql_gone"),
    Cell("log database", "10 s slow", SERVING, 100, SPOOLED, "has not answered", "sqlite_locked"),
    Cell("log database", "corrupt", SERVING, 100, SPOOLED, "cannot be written", "sqlite_broken"),
    Cell(
        "log database", "silent", START, 100, SPOOLED, "cannot be used", "postgresql_silent_start"
    ),
    Cell("log database", "refused", START, 100, SPOOLED, "cannot be used", "postgresql_refused"),
    Cell("log database", "corrupt", START, None, REFUSED_AT_START, "", "sqlite_corrupt_start"),
    Cell("Chroma server", "silent", SERVING, 300, WRITTEN, "does not answer", "chroma_silent"),
    Cell("Chroma server", "gone", SERVING, 300, WRITTEN, "cannot be used", "chroma_gone"),
    Cell("Chroma server", "refused", START, 300, WRITTEN, "cannot be used", "chroma_refused"),
    Cell("disk", "full", SERVING, 100, SPOOLED, "cannot be written", "disk_full"),
    Cell("data folder", "gone", SERVING, 100, "waits in memory", "was removed", "folder_gone"),
    Cell("classifier cache", "corrupt", START, 100, WRITTEN, "", "classifier_corrupt"),
    Cell("classifier cache", "gone", START, 100, WRITTEN, "", "classifier_gone"),
    Cell("classifier training", "slow", SERVING, 100, WRITTEN, "", "classifier_gone"),
    Cell("configuration", "corrupt", SERVING, 100, WRITTEN, "stays in force", "config_corrupt"),
    Cell("configuration", "gone", SERVING, 100, WRITTEN, "stays in force", "config_gone"),
    Cell("configuration", "corrupt", START, None, REFUSED_AT_START, "", "config_corrupt_start"),
    Cell("knowledge ingest", "slow", SERVING, 100, WRITTEN, "", "ingest_slow"),
    Cell("fold of a long log", "slow", START, 100, WRITTEN, "still being read", "fold_slow"),
)

LEFT_OUT = (
    ("log database, refused or gone at start", "the same as refused: nothing listens there"),
    (
        "log database, 10 s slow at start",
        "the start waits half a second for it, as for a silent one",
    ),
    ("Chroma server, corrupt", "it says so itself, with an error: the same as gone"),
    ("Chroma server, 10 s slow", "the bound is 0.2 s: the same as silent"),
    (
        "disk full, refused or silent",
        "a disk is full or it is not; one that hangs is the data folder's",
    ),
    ("data folder, gone at start", "it is created"),
    ("classifier cache, silent or slow", "a file of the data folder, read once at start"),
    ("configuration, silent or slow", "read in a thread beside the requests"),
    ("ingest, training, fold: refused, corrupt, gone", "work of this process, not a service"),
)


INTRODUCTION = """# Outages

What an outage of something beside a request may cost the request, and what becomes of its row.
Each line is a test of `tests/outages/test_table.py`, over real servers (PostgreSQL and Chroma
under SIGSTOP); `python -m docs.outages` makes this page of them. `/health` names each problem
within two seconds, and forgets it by itself when its cause is over."""

EXPLANATION = """\
A row is awaited for 50 ms; after two that were not committed in time, or one error, rows
go to the spool at once: append-only files in the data folder, 256 MB at most, that survive
SIGKILL and are handed on by whichever process finds them. When the spool is full or its disk
is gone, 5,000 rows wait in memory; what has no room there is counted as lost, in `/health` and
in `/metrics` (`router_log_lost_rows`). A power cut may take what was spooled in its last
moments: the spool is written at once and synced right after. A row that comes later than the
log's baseline (see `retention`) is folded into the ranking where the baseline ends."""


def table() -> str:
    """The document."""
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        "| what | how | when | adds at most | the log's row | `/health` says |",
        "|---|---|---|---|---|---|",
    ]
    for c in CELLS:
        adds = "no request yet" if c.adds_ms is None else f"{c.adds_ms} ms"
        says = f"… {c.health} …" if c.health else "nothing is wrong"
        lines.append(f"| {c.what} | {c.how} | {c.when} | {adds} | {c.row} | {says} |")
    lines += ["", "Left out, and why:", ""]
    lines += [f"- {what}: {why}." for what, why in LEFT_OUT]
    lines += ["", *EXPLANATION.splitlines()]
    return "\n".join(lines) + "\n"
