"""The interactions log: filter, search, open one and watch it again, take it along."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from config.errors import RouterError
from telemetry.records import InteractionRow
from ui import export, wording
from ui.blocks import AT_ONCE, STREAMED, widget
from ui.chat_service import ChatService
from ui.picture import empty, picture
from ui.replay import asked, cost_of, events
from ui.run import FRAME_S
from ui.view import View

EVERY_S = 3.0
SEARCHED = 2_000
"""The newest requests that a search looks through."""
SHOWN = 100
REPLAY_S = 3.0
"""A replay runs at its real speed, or faster if it would take longer than this."""

KEPT_S = 600.0
"""How long an exported file stays on the server."""
SAVE = "() => requestAnimationFrame(() => document.querySelector('#export-file').click())"

OUTCOMES = ("all", "answered", "by the fallback", "failed", "stopped", "liked", "disliked")


def log_tab(service: ChatService) -> None:
    with gr.Tab("Log", id="log"):
        with gr.Row(elem_classes="rt-filters"):
            words = gr.Textbox(
                label="Search",
                placeholder="Model, prompt, error",
                max_lines=1,
                elem_id="log-search",
            )
            category = gr.Dropdown(_categories(service), value="", label="Category")
            outcome = gr.Dropdown(
                list(OUTCOMES), value="all", label="Outcome", elem_id="log-outcome"
            )
            jsonl = gr.Button("Export JSONL", elem_id="export-jsonl", min_width=120)
            csv = gr.Button("Export CSV", elem_id="export-csv", min_width=120)
            file = gr.DownloadButton("File", elem_id="export-file", visible="hidden")
        with gr.Row(elem_classes="rt-log-row"):
            with gr.Column(scale=6, min_width=320):
                rows = widget("log", None, elem_id="log-rows", every_s=EVERY_S)
            with gr.Column(scale=5, min_width=320, elem_classes="rt-beside"):
                shown = widget("picture", empty(), elem_id="replay")
    filters: list[gr.Textbox | gr.Dropdown] = [words, category, outcome]
    _connect(service, filters, rows, shown)
    _connect_export(service, filters, {"jsonl": jsonl, "csv": csv}, file)


def _categories(service: ChatService) -> list[tuple[str, str]]:
    return [("all", ""), *((name, name) for name in service.router.settings.categories)]


def _connect(
    service: ChatService, filters: Sequence[gr.Textbox | gr.Dropdown], rows: Any, shown: gr.HTML
) -> None:
    async def refresh(words: str, category: str, outcome: str) -> object:
        try:
            found = await select(service, words, category, outcome)
        except RouterError as error:
            return {"rows": [], "found": 0, "problem": str(error)}
        return {
            "rows": [line(row, service) for row in found[:SHOWN]],
            "found": len(found),
            "narrowed": bool(words or category or outcome != "all"),
            "problem": service.router.services.log.problem,
        }

    async def open_one(event: gr.EventData) -> AsyncIterator[object]:
        request_id = str((event._data or {}).get("request_id", ""))
        row = await service.router.services.log.get(request_id)
        async for frame in replayed(row, service):
            yield frame

    rows.refresh(refresh, filters, rows, **AT_ONCE)
    for one in filters:
        one.change(refresh, filters, rows, trigger_mode="always_last", **AT_ONCE)
    rows.select(open_one, None, shown, trigger_mode="multiple", **STREAMED)


def _connect_export(
    service: ChatService,
    filters: Sequence[gr.Textbox | gr.Dropdown],
    buttons: dict[str, gr.Button],
    file: gr.DownloadButton,
) -> None:
    """What the filters let through, as a file that the browser saves at once."""

    def writer(kind: str) -> Callable[[str, str, str], Awaitable[str]]:
        async def write(words: str, category: str, outcome: str) -> str:
            found = await select(service, words, category, outcome, limit=None)
            file = await asyncio.to_thread(_write, found, kind)
            forget = partial(shutil.rmtree, file.parent, ignore_errors=True)
            asyncio.get_running_loop().call_later(KEPT_S, forget)
            return str(file)

        return write

    for kind, button in buttons.items():
        button.click(writer(kind), filters, file, **AT_ONCE).then(None, None, None, js=SAVE)


def _write(rows: list[InteractionRow], kind: str) -> Path:
    """Row by row, for the whole log as one text would block every request for a second."""
    file = Path(tempfile.mkdtemp(prefix="router-export-")) / f"interactions.{kind}"
    with file.open("w", encoding="utf-8", newline="") as out:
        (export.jsonl if kind == "jsonl" else export.csv)(rows, out)
    return file


async def select(
    service: ChatService, words: str, category: str, outcome: str, limit: int | None = SEARCHED
) -> list[InteractionRow]:
    """The newest requests that match all filters, newest first."""
    rows = await service.router.interactions(limit=limit, category=category or None)
    wanted = (words or "").lower().split()
    return [row for row in rows if _is(row, outcome) and matches(row, wanted)]


def matches(row: InteractionRow, words: list[str]) -> bool:
    """Every word occurs somewhere in what the row says."""
    if not words:
        return True
    searched: list[object] = [row.get(k) for k in ("request_id", "category", "winner", "prompt")]
    searched += [row.get("error"), row.get("answer"), row.get("role")]
    for attempt in row.get("attempts") or []:
        searched += [attempt.get(k) for k in ("provider", "model", "outcome", "error", "detail")]
    text = " ".join(str(one) for one in searched if one).lower()
    return all(word in text for word in words)


def _is(row: InteractionRow, outcome: str) -> bool:
    match outcome:
        case "answered":
            return row["success"]
        case "by the fallback" | "failed" | "stopped":
            return outcome_of(row) == outcome
        case "liked":
            return row.get("liked") is True
        case "disliked":
            return row.get("liked") is False
        case _:
            return True


_STATES = {
    "answered": "done",
    "by the fallback": "late",
    "failed": "failed",
    "stopped": "cancelled",
}


def outcome_of(row: InteractionRow) -> str:
    """What a request came to, as one of `OUTCOMES`: who stops an answer has not seen a failure."""
    if row.get("stopped"):
        return "stopped"
    if not row["success"]:
        return "failed"
    return "by the fallback" if row.get("fallback_used") else "answered"


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
