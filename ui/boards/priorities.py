"""The order of the models: what was declared, what was learned, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import gradio as gr

from config.models import Settings
from graph.router import Router
from routing.ranking.ranking import Ranking
from routing.ranking.reward import observations
from ui import wording
from ui.blocks import AT_ONCE, widget
from ui.chat_service import ChatService

EVERY_S = 2.0
MOST_POINTS = 240
"""Points kept for each category; beyond that every other one is let go."""


def priorities_tab(service: ChatService) -> None:
    history = History(service.router)

    async def refresh() -> Any:
        priorities = await service.router.priorities()
        return board(priorities, await history.courses(), service)

    with gr.Tab("Priorities", id="priorities"):
        shown = widget("priorities", None, elem_id="priorities", every_s=EVERY_S)
        shown.refresh(refresh, None, shown, **AT_ONCE)


def board(
    priorities: dict[str, Any], courses: dict[str, list[dict[str, Any]]], service: ChatService
) -> dict[str, Any]:
    """What `Router.priorities` returns, ready to be drawn."""
    return {
        "categories": [
            {
                "name": name,
                "observations": one["observations"],
                "changes": one["changes"],
                "why": (one["last_change"] or {}).get("why"),
                "entries": [_entry(e, place, service) for place, e in enumerate(one["providers"])],
                "course": courses.get(name, []),
            }
            for name, one in priorities.items()
        ]
    }


def _entry(entry: dict[str, Any], place: int, service: ChatService) -> dict[str, Any]:
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
            ["Chance to be best", wording.percent(entry["p_best"])],
            ["Success", wording.percent(success)],
            ["First word", wording.seconds(entry["ttft_p50_ms"])],
            ["Cost", wording.usd(entry["cost_usd"]) if entry["n"] else "–"],
            ["Judged", f"{entry['liked']} up, {entry['disliked']} down"],
        ],
        "trial": wording.percent(entry["trial"]) if entry.get("trial") else None,
    }


class History:
    """Folds the log a second time, beside the router, and notes the means on the way.

    Cheap to keep: only what is new is read. Begins anew when the configuration changes.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._lock = asyncio.Lock()
        self._settings: Settings | None = None
        self._cursor: Any = None
        self._points: dict[str, list[dict[str, Any]]] = {}

    async def courses(self) -> dict[str, list[dict[str, Any]]]:
        """By category, points of `at` (Unix seconds) and each provider's mean reward."""
        async with self._lock:
            if self._settings is not self._router.settings:
                self._begin(self._router.settings)
            log = self._router.services.log
            while True:
                rows, self._cursor = await log.since(self._cursor)
                if not rows:
                    break
                await asyncio.to_thread(self._take, rows)
            return {name: list(points) for name, points in self._points.items()}

    def _begin(self, settings: Settings) -> None:
        self._settings = settings
        self._cursor = None
        orders = {name: settings.order(name) for name in settings.categories}
        self._ranking = Ranking(settings.ranking, orders)
        self._points = {name: [] for name in orders}

    def _take(self, rows: Sequence[Any]) -> None:
        step = max(1, len(rows) // MOST_POINTS)
        for start in range(0, len(rows), step):
            bunch = rows[start : start + step]
            self._ranking.fold(o for o in observations(bunch) if o.category in self._points)
            for category in {row["category"] for row in bunch} & self._points.keys():
                self._note(category, bunch[-1]["at"])

    def _note(self, category: str, at: float) -> None:
        entries = self._ranking.standings(category).entries
        points = self._points[category]
        means = {entry.provider: round(entry.mean, 4) for entry in entries}
        if points and at < points[-1]["at"]:
            return
        points.append({"at": at, "means": means})
        if len(points) > MOST_POINTS:
            del points[1:-1:2]
