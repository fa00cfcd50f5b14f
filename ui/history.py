"""How each category's learned figures moved, row by row of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from config.models import Settings
from graph.router import Router
from routing.ranking.ranking import Ranking
from routing.ranking.reward import observations

MOST_POINTS = 240
"""Points kept for each category; beyond that every other one is let go."""


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
