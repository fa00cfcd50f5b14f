"""The order of the models: what was declared, what was learned, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from graph.router import Router
from routing.ranking.ledger import Ledger
from routing.ranking.ranking import Ranking
from runtime.history import Courses
from runtime.reports import CategoryOrder
from telemetry.records import AuditRow
from ui import wording
from ui.blocks import AT_ONCE, widget
from ui.boards.whatif import what_if_part
from ui.chat_service import ChatService
from ui.wording import say

EVERY_S = 2.0
NEWS = 50
"""Of the newest changes, those that are looked through for the reason of an order."""

Course = Sequence[Mapping[str, object]]
"""Points of one category in the order of time; see `Courses`."""


def priorities_tab(service: ChatService) -> None:
    history = History(service.router)

    async def refresh() -> object:
        priorities = await service.router.priorities()
        said = reasons(await service.router.news(NEWS))
        return board(priorities, await history.courses(), service, said)

    with gr.Tab("Ranking", id="priorities"):
        shown = widget("priorities", None, elem_id="priorities", every_s=EVERY_S)
        shown.refresh(refresh, None, shown, **AT_ONCE)
        what_if_part(service)


def board(
    priorities: Mapping[str, CategoryOrder],
    courses: Mapping[str, Course],
    service: ChatService,
    said: Mapping[str, Reordering],
) -> dict[str, object]:
    """What `Router.priorities` returns, ready to be drawn; `said` are the noted reorderings."""
    return {
        "categories": [
            {
                "name": name,
                "observations": one["observations"],
                "changes": one["changes"],
                "why": why(one, said.get(name)),
                "entries": [_entry(e, place, service) for place, e in enumerate(one["providers"])],
                "course": courses.get(name, []),
            }
            for name, one in priorities.items()
        ]
    }


class Reordering(NamedTuple):
    """A change of the order as it was noted when it happened, for whoever reads it where."""

    after: list[str]
    why: str


def reasons(rows: Iterable[AuditRow]) -> dict[str, Reordering]:
    """By category the newest reordering; `rows` are newest first."""
    found: dict[str, Reordering] = {}
    for row in rows:
        category, after = str(row["detail"].get("category")), row["detail"].get("after")
        if row["kind"] == "reranked" and isinstance(after, list):
            found.setdefault(category, Reordering(after, str(row["detail"].get("why") or "")))
    return found


def why(one: CategoryOrder, noted: Reordering | None) -> str | None:
    """The noted reason where it is of the order in force: folding the log again words it anew."""
    if noted is not None and noted.why and noted.after == one["learned"]:
        return noted.why
    return str(one["last_change"]["why"]) if one["last_change"] else None


def _entry(entry: Mapping[str, Any], place: int, service: ChatService) -> dict[str, object]:
    kind = service.display.kind(entry["provider"])
    success = entry["success"]
    return {
        "provider": entry["provider"],
        "kind": kind,
        "mark": wording.KINDS[kind],
        "declared": entry["declared_position"] + 1,
        "place": place + 1,
        "rise": entry["declared_position"] - place,
        "mean": entry["mean"],
        "low": entry["low"],
        "high": entry["high"],
        "n": entry["n"],
        "figures": [
            [say("priorities.chance_to_be"), wording.percent(entry["p_best"])],
            [say("priorities.success_newest_most"), wording.percent(success)],
            ["First word", wording.seconds(entry["ttft_p50_ms"])],
            ["Cost", wording.usd(entry["cost_usd"]) if entry["n"] else "–"],
            ["Judged", say("priorities.up_down", liked=entry["liked"], disliked=entry["disliked"])],
        ],
        "trial": wording.percent(entry["trial"]) if entry.get("trial") else None,
    }


class History:
    """Keeps the points beside the router; only what is new is folded, in a thread.

    Begins anew when the configuration changes, and when the whole of a long log was read.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._lock = asyncio.Lock()
        self._of: Ranking | None = None
        self._courses = Courses()

    async def courses(self) -> dict[str, Course]:
        """By category, points of `at` (Unix seconds) and each provider's mean reward."""
        async with self._lock:
            ranking, settings = self._router.services.routing.ranking, self._router.settings
            if self._of is not ranking:
                self._of, self._courses = ranking, Courses()
            orders = {name: settings.order(name) for name in settings.categories}
            trials = [p.name for p in settings.providers if p.trial]
            ledger = Ledger(settings.ranking, orders, trials)
            await asyncio.to_thread(self._courses.take, ranking.held(), ledger)
            return {name: list(self._courses.points.get(name, ())) for name in orders}
