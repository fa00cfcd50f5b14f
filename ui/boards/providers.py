"""Each provider: may it be asked, how well does it do, what has it cost today?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import gradio as gr

from ui import wording
from ui.desk import Desk
from ui.widget import AT_ONCE, widget

EVERY_S = 2.0
RECENT = 400
"""Requests that the figures are taken from."""

_BREAKERS = {
    "closed": ("done", "Closed: it is asked"),
    "open": ("failed", "Open: it is left alone"),
    "half_open": ("late", "Half-open: one call tries it"),
}


def providers_tab(desk: Desk) -> None:
    async def refresh() -> Any:
        router = desk.router
        rows = await router.interactions(limit=RECENT)
        spent = await router.services.log.spent_today()
        return board(router.health()["providers"], rows, spent, desk)

    with gr.Tab("Providers", id="providers"):
        shown = widget("providers", None, elem_id="providers", every_s=EVERY_S)
        shown.refresh(refresh, None, shown, **AT_ONCE)


def board(
    health: Mapping[str, Any], rows: Iterable[Any], spent: Mapping[str, float], desk: Desk
) -> dict[str, Any]:
    figures = seen(rows)
    budget = desk.router.settings.budget
    cards = [
        _card(name, one, figures.get(name, {}), spent.get(name, 0.0), desk)
        for name, one in health.items()
    ]
    total, limit = sum(spent.values()), budget.daily_usd
    return {
        "cards": sorted(cards, key=lambda card: card["state"] == "off"),
        "spent": spent_so_far(total),
        "budget": None if limit is None else wording.usd(limit),
        "share": None if not limit else min(1.0, total / limit),
    }


def seen(rows: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """By provider: calls, calls that succeeded, and times to the first token, of these requests.

    A call that was cancelled or skipped says nothing about its provider.
    """
    found: dict[str, dict[str, Any]] = defaultdict(lambda: {"calls": 0, "ok": 0, "first": []})
    for row in rows:
        for attempt in row.get("attempts") or []:
            if attempt["outcome"] in ("cancelled", "skipped"):
                continue
            mine = found[attempt["provider"]]
            mine["calls"] += 1
            mine["ok"] += attempt["outcome"] == "ok"
            if attempt.get("ttft_ms") is not None:
                mine["first"].append(attempt["ttft_ms"])
    return dict(found)


def spent_so_far(usd: float) -> str:
    return wording.usd(usd) if usd else "$0"


def _card(
    name: str, one: Mapping[str, Any], mine: Mapping[str, Any], cost: float, desk: Desk
) -> dict[str, Any]:
    kind, breaker = desk.terms.kind(name), one["breaker"]
    state, word = _BREAKERS[breaker["state"]]
    if breaker["state"] == "open":
        word += f", for {breaker['retry_in_s']:.0f} s more"
    calls, first = mine.get("calls", 0), sorted(mine.get("first", []))
    limit = desk.router.settings.budget.providers.get(name)
    return {
        "name": name,
        "kind": kind,
        "mark": wording.KINDS[kind],
        "model": one["model"],
        "host": one["host"],
        "state": "off" if one["unavailable"] else state,
        "word": "Not available" if one["unavailable"] else word,
        "why": one["unavailable"] or (breaker["why"] if breaker["state"] != "closed" else ""),
        "figures": [
            ["Success", wording.percent(mine["ok"] / calls) if calls else "–"],
            ["Calls", str(calls)],
            ["First word, median", wording.seconds(first[len(first) // 2] if first else None)],
            ["First word, 95 %", wording.seconds(first[int(len(first) * 0.95)] if first else None)],
            ["Cost today", spent_so_far(cost)],
            ["Budget", "no limit" if limit is None else wording.usd(limit)],
        ],
        "share": None if not limit else min(1.0, cost / limit),
    }
