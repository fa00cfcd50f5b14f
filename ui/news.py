"""What the router changed on its own, in words, on every page that is open; see `Router.news`."""

from __future__ import annotations

import gradio as gr

from telemetry.records import AuditRow
from ui import wording
from ui.blocks import AT_ONCE, widget
from ui.chat_service import ChatService
from ui.wording import say

SHOWN = 8
"""Changes that a page shows at once; the board has more."""


def news_line(service: ChatService) -> None:
    """A line in the corner when something changed, whatever the page shows."""

    async def news(event: gr.EventData) -> object:
        found = [item(row) for row in await service.router.news(SHOWN)]
        known = (event._data or {}).get("newest")
        return gr.skip() if found and found[0]["id"] == known else {"items": found}

    shown = widget("news", None, elem_id="news", events=("news",))
    shown.news(news, None, shown, **AT_ONCE)


def item(row: AuditRow) -> dict[str, object]:
    """One row as a line: a headline, the reason under it, and the board that shows more."""
    kind, subject, detail = row["kind"], row["subject"], row["detail"]
    category = str(detail.get("category") or "")
    where = f"{category}: " if category else ""
    reason = str(detail.get("reason") or "")
    match kind:
        case "reranked":
            state, (text, reason) = "done", _reordered(category, detail)
        case "discovery.appended":
            share = detail.get("share")
            state = "running"
            text = say("news.was_taken_in", where=where, subject=subject)
            text += say("news.with_of_the", share=wording.percent(_number(share))) if share else ""
        case "discovery.promoted":
            state, text = "done", say("news.was_promoted_from", where=where, subject=subject)
        case "discovery.rolled_back":
            state, text = "failed", say("news.was_taken_out", where=where, subject=subject)
        case "discovery.refused":
            state, text = "skipped", say("news.was_tried_and", where=where, subject=subject)
        case _:
            state, text, reason = "cancelled", say("news.a_change_was"), str(detail.get("said"))
    return {
        "id": f"{row['at']:.6f} {kind} {subject}",
        "at": row["at"],
        "state": state,
        "text": text,
        "why": reason if not reason or reason.endswith(".") else f"{reason}.",
        "board": "Ranking" if kind == "reranked" else "Find models",
    }


def _reordered(category: str, detail: dict[str, object]) -> tuple[str, str]:
    """What is different in a new order, and why without saying that again."""
    before, after = _names(detail.get("before")), _names(detail.get("after"))
    reason = str(detail.get("why") or "").removeprefix(f"{category}: ")
    if not (before and after) or before[0] == after[0]:
        return say("news.the_order_is", category=category, after=", ".join(after)), reason
    text = say("news.is_asked_first", category=category, after=after[0], before=before[0])
    return text, reason.removeprefix(f"{after[0]} before {before[0]}: ")


def _names(order: object) -> list[str]:
    return [str(name) for name in order] if isinstance(order, list | tuple) else []


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
