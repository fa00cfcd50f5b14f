"""The outage table: what breaks, how, when, and what must hold; `docs/outages.md` is made of it."""

from __future__ import annotations

from dataclasses import dataclass

REFUSED_AT_START = "the start is refused with one line"


@dataclass(frozen=True, slots=True)
class Cell:
    """One outage. `adds_ms` is what it may add to a request, `row` what becomes of the log's row,
    `health` a part of what `/health` says within two seconds, `over` what happens when the cause
    ends, by itself."""

    what: str
    how: str
    when: str
    adds_ms: int | None
    row: str
    health: str
    over: str
    test: str


SPOOLED = "waits in the spool, is in the log once after the outage"
WRITTEN = "written as ever"
WAITED = "waits for the disk, is in the log once after the outage"
IN_MEMORY = "waits in memory, is in the new log once"
SERVING, START = "while serving", "at start"

HANDED_ON = "the rows that wait are handed on, then rows go to the log directly again"
HYBRID = "passages are found by vectors again"
AS_EDITED = "the mended files are taken in"
TRAINED = "prompts are classified by the trained classifier"
NO_START = "the next start finds it mended"

LOG, CHROMA, CLASSIFIER = "log database", "Chroma server", "classifier cache"
CONFIG, FORCE = "configuration", "stays in force"
CELLS = (
    Cell(LOG, "silent", SERVING, 100, SPOOLED, "has not answered", HANDED_ON, "postgresql_silent"),
    Cell(LOG, "gone", SERVING, 100, SPOOLED, "cannot be written", HANDED_ON, "postgresql_gone"),
    Cell(LOG, "10 s slow", SERVING, 100, SPOOLED, "has not answered", HANDED_ON, "sqlite_locked"),
    Cell(LOG, "corrupt", SERVING, 100, SPOOLED, "cannot be written", HANDED_ON, "sqlite_broken"),
    Cell(
        LOG,
        "silent",
        START,
        100,
        SPOOLED,
        "has not answered",
        HANDED_ON,
        "postgresql_silent_start",
    ),
    Cell(LOG, "refused", START, 100, SPOOLED, "cannot be used", HANDED_ON, "postgresql_refused"),
    Cell(LOG, "corrupt", START, None, REFUSED_AT_START, "", NO_START, "sqlite_corrupt_start"),
    Cell(CHROMA, "silent", SERVING, 300, WRITTEN, "does not answer", HYBRID, "chroma_silent"),
    Cell(CHROMA, "10 s slow", SERVING, 300, WRITTEN, "does not answer", HYBRID, "chroma_slow"),
    Cell(CHROMA, "corrupt", SERVING, 300, WRITTEN, "The Chroma server", HYBRID, "chroma_corrupt"),
    Cell(CHROMA, "gone", SERVING, 300, WRITTEN, "cannot be used", HYBRID, "chroma_gone"),
    Cell(CHROMA, "silent", START, 300, WRITTEN, "does not answer", HYBRID, "chroma_silent_start"),
    Cell(CHROMA, "refused", START, 300, WRITTEN, "cannot be used", HYBRID, "chroma_refused"),
    Cell("disk", "full", SERVING, 100, SPOOLED, "cannot be written", HANDED_ON, "disk_full"),
    Cell(
        "disk",
        "silent",
        SERVING,
        100,
        WAITED,
        "the disk that they wait for",
        HANDED_ON,
        "disk_silent",
    ),
    Cell(
        "data folder",
        "gone",
        SERVING,
        100,
        IN_MEMORY,
        "was removed",
        "once the folder is there, the rows go to a new log in it",
        "folder_gone",
    ),
    Cell(CLASSIFIER, "corrupt", START, 100, WRITTEN, "trained", TRAINED, "classifier_corrupt"),
    Cell(CLASSIFIER, "gone", START, 100, WRITTEN, "trained", TRAINED, "classifier_gone"),
    Cell(
        "classifier training",
        "10 s slow",
        SERVING,
        100,
        WRITTEN,
        "trained",
        TRAINED,
        "training_slow",
    ),
    Cell(
        "configuration",
        "corrupt",
        SERVING,
        100,
        WRITTEN,
        "stays in force",
        AS_EDITED,
        "config_corrupt",
    ),
    Cell(
        "configuration", "gone", SERVING, 100, WRITTEN, "stays in force", AS_EDITED, "config_gone"
    ),
    Cell(
        "configuration",
        "corrupt",
        START,
        None,
        REFUSED_AT_START,
        "",
        NO_START,
        "config_corrupt_start",
    ),
    Cell(
        "knowledge ingest",
        "10 s slow",
        SERVING,
        100,
        WRITTEN,
        "still being read in",
        "passages come from the new documents too",
        "ingest_slow",
    ),
    Cell(
        "fold of a long log",
        "10 s slow",
        START,
        100,
        WRITTEN,
        "still being read",
        "the order comes from the whole log",
        "fold_slow",
    ),
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
    LeftOut(("Chroma server",), ("10 s slow",), (START,), "the bound is 0.3 s: the same as silent"),
    LeftOut(("Chroma server",), ("corrupt",), (START,), "it fails at its first use: as serving"),
    LeftOut(("disk",), ("refused", "corrupt", "gone"), WHENS, "that is the data folder's"),
    LeftOut(("disk",), ("10 s slow",), WHENS, "the bound is 0.03 s: the same as silent"),
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
under SIGSTOP); `python -m docs.outages` makes this page of them.

*Adds at most* holds for the first token and for the whole of every request, alone or in a crowd,
from the first one that meets the outage: on a clock that moves only by what the router waits for,
with the real log and the real knowledge base below it, none waits longer. In real time the medians
of requests with and without the outage, asked in turns, differ by less than it. `/health` names
each problem within two seconds, whether or not a request has met it (a full disk, and one that
does not answer, are met by the first row), and forgets it by itself when its cause is over."""

EXPLANATION = """\
A row is awaited for 40 ms; after two that were not committed in time, or one error, rows
go to the spool at once: append-only files in the data folder, 256 MB at most, that survive
SIGKILL and are handed on by whichever process of the folder finds them. What is damaged there
is set aside (`*.damaged`) and counted as lost. While the disk stalls too, one row
waits 30 ms for it and the others do not: they are in memory until it goes on. When the spool
is full or its disk is gone, 5,000 rows wait in memory; what has no room there is counted as
lost, in `/health` and in `/metrics` (`router_log_lost_rows`). A power cut may take what was
spooled in its last moments: the spool is written at once and synced right after. A row that
comes later than the log's baseline (see `retention`) is folded into the ranking where the
baseline ends. Before `/ready` a request waits 20 ms more, for what the log has taught."""


def table() -> str:
    """The document."""
    lines = [
        *INTRODUCTION.splitlines(),
        "",
        "| what | how | when | adds at most | the log's row | `/health` says | when it ends |",
        "|---|---|---|---|---|---|---|",
    ]
    for c in CELLS:
        adds = "no request yet" if c.adds_ms is None else f"{c.adds_ms} ms"
        says = f"… {c.health} …" if c.health else "the process ends"
        lines.append(f"| {c.what} | {c.how} | {c.when} | {adds} | {c.row} | {says} | {c.over} |")
    lines += ["", "Left out, and why:", ""]
    for left in LEFT_OUT:
        named = (" and ".join(one) for one in (left.whats, left.hows, left.whens))
        lines.append(f"- {', '.join(named)}: {left.why}.")
    lines += ["", *EXPLANATION.splitlines()]
    return "\n".join(lines) + "\n"
