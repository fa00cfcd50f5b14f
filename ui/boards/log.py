"""The interactions log: filter, search, open one and watch it again, take it along."""

from __future__ import annotations

import asyncio
import math
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from config.errors import RouterError
from telemetry.queries import Wanted
from telemetry.records import InteractionRow
from ui import export, wording
from ui.blocks import AT_ONCE, STREAMED, widget
from ui.boards.probes import probes_part
from ui.chat_service import ChatService
from ui.picture import empty, picture
from ui.replay import asked, cost_of, events
from ui.run import FRAME_S
from ui.view import View
from ui.wording import say

EVERY_S = 3.0
SEARCHED = 20_000
"""Requests that a search for words looks through, a bunch at a time."""
BUNCH = 2_000
SHOWN = 100
"""Requests on a page."""
MOST_PAGES = 10_000
MOST_EXPORTED = 2_000_000
REPLAY_S = 3.0
"""A replay runs at its real speed, or faster if it would take longer than this."""

KEPT_S = 600.0
"""How long an exported file stays on the server."""
SAVE = "() => requestAnimationFrame(() => document.querySelector('#export-file').click())"

OUTCOMES = {
    "answered": "answered",
    "fallback": say("log.by_the_fallback"),
    "failed": "failed",
    "stopped": "stopped",
    "liked": "liked",
    "disliked": "disliked",
}
ORDERS = ("newest", "oldest", "slowest", "dearest")


@dataclass(frozen=True, slots=True)
class Filters:
    """What the page's filters let through, as they stand in its address."""

    wanted: Wanted = field(default_factory=Wanted)
    words: tuple[str, ...] = ()
    page: int = 0

    @classmethod
    def of(cls, given: Mapping[str, object]) -> Filters:
        """What is no filter narrows nothing: an address may be older than the page."""
        outcome, order = str(given.get("outcome")), str(given.get("order"))
        wanted = Wanted(
            category=str(given.get("category") or "") or None,
            outcome=outcome if outcome in OUTCOMES else None,
            start=_number(given.get("from")),
            end=_number(given.get("to")),
            order=order if order in ORDERS else "newest",
        )
        page = int(_number(given.get("page")) or 0)
        words = str(given.get("words") or "").lower().split()
        return cls(wanted, tuple(words), min(max(page, 0), MOST_PAGES))


def _number(given: object) -> float | None:
    try:
        number = float(str(given))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def log_tab(service: ChatService, *, write: bool = False) -> None:
    with gr.Tab("Log", id="log"):
        file = gr.DownloadButton("File", elem_id="export-file", visible="hidden")
        with gr.Row(elem_classes="rt-log-row"):
            with gr.Column(scale=6, min_width=320):
                rows = widget(
                    "log", None, elem_id="log-rows", every_s=EVERY_S, events=("jsonl", "csv")
                )
            with gr.Column(scale=5, min_width=320, elem_classes="rt-beside"):
                if write:
                    probes_part(service)
                shown = widget("picture", empty(), elem_id="replay")
    _connect(service, rows, shown)
    for kind, export_rows in (("jsonl", rows.jsonl), ("csv", rows.csv)):
        export_rows(_exporter(service, kind), None, file, **AT_ONCE).then(None, None, None, js=SAVE)


def _connect(service: ChatService, rows: Any, shown: gr.HTML) -> None:
    async def look(event: gr.EventData) -> object:
        filters = Filters.of(event._data or {})
        try:
            found = await select(service, filters, SHOWN + 1)
        except RouterError as error:
            return {"rows": [], "problem": str(error)}
        return {
            "rows": [line(row, service) for row in found[:SHOWN]],
            "page": filters.page,
            "more": len(found) > SHOWN,
            "narrowed": filters != Filters(),
            "categories": list(service.router.settings.categories),
            "outcomes": OUTCOMES,
            "problem": service.router.services.log.problem,
        }

    async def open_one(event: gr.EventData) -> AsyncIterator[object]:
        request_id = str((event._data or {}).get("request_id", ""))
        row = await service.router.services.log.get(request_id)
        async for frame in replayed(row, service):
            yield frame

    async def correct(event: gr.EventData, request: gr.Request) -> None:
        sent = event._data or {}
        by, category = request.username, str(sent.get("category", ""))
        await service.correct_logged(str(sent.get("request_id", "")), category, by)

    shown.select(correct, None, None, **AT_ONCE)
    rows.refresh(look, None, rows, **AT_ONCE)
    rows.select(open_one, None, shown, **STREAMED)


def _exporter(service: ChatService, kind: str) -> Callable[[gr.EventData], Awaitable[str]]:
    """What the filters let through, as a file that the browser saves at once."""

    async def write(event: gr.EventData) -> str:
        filters = replace(Filters.of(event._data or {}), page=0)
        found = await select(service, filters, None)
        file = await asyncio.to_thread(_write, found, kind)
        forget = partial(shutil.rmtree, file.parent, ignore_errors=True)
        asyncio.get_running_loop().call_later(KEPT_S, forget)
        return str(file)

    return write


def _write(rows: list[InteractionRow], kind: str) -> Path:
    """Row by row, for the whole log as one text would block every request for a second."""
    file = Path(tempfile.mkdtemp(prefix="router-export-")) / f"interactions.{kind}"
    with file.open("w", encoding="utf-8", newline="") as out:
        (export.jsonl if kind == "jsonl" else export.csv)(rows, out)
    return file


async def select(service: ChatService, filters: Filters, limit: int | None) -> list[InteractionRow]:
    """So many of the page's requests; with None all that the filters let through.

    Words are looked for in the SEARCHED requests that come first in the order.
    """
    log, skip = service.router.services.log, filters.page * SHOWN
    if limit is None:
        found = await log.page(filters.wanted, MOST_EXPORTED)
        return [row for row in found if matches(row, filters.words)]
    if not filters.words:
        return await log.page(filters.wanted, limit, skip)
    matched: list[InteractionRow] = []
    for start in range(0, SEARCHED, BUNCH):
        rows = await log.page(filters.wanted, BUNCH, start)
        matched += [row for row in rows if matches(row, filters.words)]
        if len(rows) < BUNCH or len(matched) >= skip + limit:
            break
    return matched[skip : skip + limit]


def matches(row: InteractionRow, words: Sequence[str]) -> bool:
    """Every word occurs somewhere in what the row says."""
    if not words:
        return True
    searched: list[object] = [row.get(k) for k in ("request_id", "category", "winner", "prompt")]
    searched += [row.get("error"), row.get("answer"), row.get("role")]
    for attempt in row.get("attempts") or []:
        searched += [attempt.get(k) for k in ("provider", "model", "outcome", "error", "detail")]
    text = " ".join(str(one) for one in searched if one).lower()
    return all(word in text for word in words)


_STATES = {
    "answered": "done",
    say("log.by_the_fallback"): "late",
    "failed": "failed",
    "stopped": "cancelled",
}


def outcome_of(row: InteractionRow) -> str:
    """What a request came to, as one of `OUTCOMES`: who stops an answer has not seen a failure."""
    if row.get("stopped"):
        return "stopped"
    if not row["success"]:
        return "failed"
    return say("log.by_the_fallback") if row.get("fallback_used") else "answered"


def line(row: InteractionRow, service: ChatService) -> dict[str, object]:
    """One request as a line of the table."""
    winner = row.get("winner")
    kind = service.display.kind(winner) if winner and winner != "passages" else "remote"
    found = outcome_of(row)
    calls = [a for a in row.get("attempts") or [] if a["outcome"] != "skipped"]
    return {
        "id": row["request_id"],
        "at": row["at"],
        "category": row["category"],
        "prompt": row.get("prompt"),
        "winner": winner,
        "kind": kind,
        "mark": wording.KINDS[kind],
        "state": _STATES[found],
        "word": found,
        "calls": len(calls),
        "took": wording.seconds(row["latency_ms"]),
        "cost": wording.usd(cost_of(row)),
        "liked": row.get("liked"),
    }


async def replayed(row: InteractionRow, service: ChatService) -> AsyncIterator[dict[str, object]]:
    """The request as it happened, from its first event to its last."""
    view = View(asked(row), service.display)
    story = events(row)
    length = max((event["at_ms"] for event in story), default=0.0) / 1000
    pace = max(1.0, length / REPLAY_S)
    waited = 0.0
    for event in story:
        due = event["at_ms"] / 1000 / pace
        if due - waited >= FRAME_S:
            yield picture(view)
            await asyncio.sleep(due - waited)
            waited = due
        view.apply(event)
    view.end()
    yield picture(view)
