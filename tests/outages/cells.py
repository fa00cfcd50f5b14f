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
WAITED = "waits for the disk, is in the log once after the outage"
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
    Cell("disk", "silent", SERVING, 300, WAITED, "the disk that they wait for", "disk_silent"),
    Cell("data folder", "gone", SERVING, 100, "waits in memory", "was removed", "folder_gone"),
    Cell("classifier cache", "corrupt", START, 100, WRITTEN, "", "classifier_corrupt"),
    Cell("classifier cache", "gone", START, 100, WRITTEN, "", "classifier_gone"),
    Cell("classifier training", "10 s slow", SERVING, 100, WRITTEN, "", "classifier_gone"),
    Cell("configuration", "corrupt", SERVING, 100, WRITTEN, "stays in force", "config_corrupt"),
    Cell("configuration", "gone", SERVING, 100, WRITTEN, "stays in force", "config_gone"),
    Cell("configuration", "corrupt", START, None, REFUSED_AT_START, "", "config_corrupt_start"),
    Cell("knowledge ingest", "10 s slow", SERVING, 100, WRITTEN, "", "ingest_slow"),
    Cell("fold of a long log", "10 s slow", START, 100, WRITTEN, "still being read", "fold_slow"),
)

WHATS = (
    "log database",
    "Chroma server",
    "disk",
    "classifier cache",
    "configuration",
    "data folder",
    "knowledge ingest",
    "classifier training",
    "fold of a long log",
)
HOWS = ("refused", "silent", "10 s slow", "corrupt", "gone")
WHENS = (SERVING, START)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Cells without a test of their own, and why."""

    whats: tuple[str, ...]
    hows: tuple[str, ...]
    whens: tuple[str, ...]
    why: str


LEFT_OUT = (
    LeftOut(("log database",), ("refused",), (SERVING,), "the same as gone: nothing listens there"),
    LeftOut(("log database",), ("gone",), (START,), "the same as refused"),
    LeftOut(
        ("log database",),
        ("10 s slow",),
        (START,),
        "the start waits half a second for it, as for a silent one",
    ),
    LeftOut(("Chroma server",), ("refused",), (SERVING,), "the same as gone"),
    LeftOut(("Chroma server",), ("gone",), (START,), "the same as refused"),
    LeftOut(
        ("Chroma server",),
        ("silent",),
        (START,),
        "it is asked behind the service, within the same bound as while serving",
    ),
    LeftOut(("Chroma server",), ("10 s slow",), WHENS, "the bound is 0.3 s: the same as silent"),
    LeftOut(("Chroma server",), ("corrupt",), WHENS, "it answers with an error: the same as gone"),
    LeftOut(("disk",), ("refused", "corrupt", "gone"), WHENS, "that is the data folder's"),
    LeftOut(("disk",), ("10 s slow",), WHENS, "the bound is 0.25 s: the same as silent"),
    LeftOut(("disk",), ("silent",), (START,), "no file can be opened: nothing starts on it"),
    LeftOut(("disk",), ("full",), (START,), "a log that is there can be opened: as while serving"),
    LeftOut(
        ("classifier cache",),
        ("refused",),
        WHENS,
        "a file that cannot be read is one that is not there",
    ),
    LeftOut(("classifier cache",), ("silent", "10 s slow"), WHENS, "that is the disk's"),
    LeftOut(("classifier cache",), ("corrupt", "gone"), (SERVING,), "it is read once, at start"),
    LeftOut(
        ("configuration",), ("refused",), WHENS, "a file that cannot be read is one that is gone"
    ),
    LeftOut(("configuration",), ("silent", "10 s slow"), (SERVING,), "it is read in a thread"),
    LeftOut(("configuration",), ("silent", "10 s slow"), (START,), "nothing can be started"),
    LeftOut(("configuration",), ("gone",), (START,), "the start is refused with the same line"),
    LeftOut(("data folder",), ("refused",), (START,), "the start is refused with one line"),
    LeftOut(("data folder",), ("refused",), (SERVING,), "the same as a full disk"),
    LeftOut(("data folder",), ("silent", "10 s slow"), WHENS, "that is the disk's"),
    LeftOut(("data folder",), ("corrupt",), WHENS, "each of its files has a line of its own"),
    LeftOut(("data folder",), ("gone",), (START,), "it is created"),
    LeftOut(
        ("knowledge ingest", "classifier training", "fold of a long log"),
        ("refused", "corrupt", "gone"),
        WHENS,
        "work of this process, not a service",
    ),
    LeftOut(
        ("knowledge ingest", "classifier training", "fold of a long log"),
        ("silent",),
        WHENS,
        "the same as slow: it goes on behind the requests, however long",
    ),
    LeftOut(
        ("knowledge ingest", "classifier training"),
        ("10 s slow",),
        (START,),
        "it begins behind the service: as while serving",
    ),
    LeftOut(
        ("fold of a long log",), ("10 s slow",), (SERVING,), "it began with the start: the same"
    ),
)


INTRODUCTION = """# Outages

What an outage of something beside a request may cost the request, and what becomes of its row.
Each line is a test of `tests/outages/test_table.py`, over real servers (PostgreSQL and Chroma
under SIGSTOP); `python -m docs.outages` makes this page of them. `/health` names each problem
within two seconds, and forgets it by itself when its cause is over."""

EXPLANATION = """\
A row is awaited for 50 ms; after two that were not committed in time, or one error, rows
go to the spool at once: append-only files in the data folder, 256 MB at most, that survive
SIGKILL and are handed on by whichever process finds them. While the disk stalls too, one row
waits 0.25 s for it and the others do not: they are in memory until it goes on. When the spool
is full or its disk is gone, 5,000 rows wait in memory; what has no room there is counted as
lost, in `/health` and in `/metrics` (`router_log_lost_rows`). A power cut may take what was
spooled in its last moments: the spool is written at once and synced right after. A row that
comes later than the log's baseline (see `retention`) is folded into the ranking where the
baseline ends."""


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
    for left in LEFT_OUT:
        named = (" and ".join(one) for one in (left.whats, left.hows, left.whens))
        lines.append(f"- {', '.join(named)}: {left.why}.")
    lines += ["", *EXPLANATION.splitlines()]
    return "\n".join(lines) + "\n"
