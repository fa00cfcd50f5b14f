"""`--priorities`: declared and learned order of each category, with its figures."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from rich.table import Table

from config.loader import load
from config.redaction import json_text
from race.routing_state import RoutingState
from runtime.learning import Learning, reread
from runtime.reports import PROVISIONAL, CategoryOrder, priorities
from telemetry.console import Terminal
from telemetry.log import InteractionLog

AT_ONCE = 20_000
"""Requests folded in while the user waits: a second or two."""

COLUMNS = ("", "provider", "n", "success", "p50 s", "p95 s", "cost $", "+/−", "mean", "90%")


def run(args: argparse.Namespace) -> int:
    priorities = asyncio.run(_read(args))
    if args.json:
        print(json_text(json.dumps(priorities, ensure_ascii=False)))
        return 0
    console = Terminal()
    for category, standing in priorities.items():
        console.print(_table(category, standing))
        if standing["last_change"]:
            console.print(f"last change: {standing['last_change']['why']}\n", highlight=False)
    return 0


async def _read(args: argparse.Namespace) -> dict[str, CategoryOrder]:
    """From the log alone: nothing is classified, so no model is loaded."""
    settings = load(args.config, args.data)
    log = InteractionLog.open(settings.environment.database_url, settings.data_dir)
    learning = Learning(settings)
    routing = RoutingState(settings, memory=learning)
    try:
        await routing.ready(log)
        if routing.provisional and await log.count() <= AT_ONCE:
            ranking, cursor, _ = await reread(settings, log)
            routing.replace(ranking, cursor)
        found = await priorities(settings, routing, log)
        if routing.provisional:
            print(f"note: {PROVISIONAL}: the service does that", file=sys.stderr)
        await learning.keep(routing, log, now=True)
        return found
    finally:
        await log.close()


def _table(category: str, standing: CategoryOrder) -> Table:
    declared = " > ".join(standing["declared"]) or "no provider is enabled"
    title = f"[bold]{category}[/bold]  declared: {declared}"
    table = Table(title=title, title_justify="left", title_style="", box=None, padding=(0, 2, 0, 0))
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "provider" else "right", no_wrap=True)
    for place, row in enumerate(standing["providers"], 1):
        trial = f" (trial {row['trial']:.0%})" if row["trial"] else ""
        table.add_row(
            str(place),
            row["provider"] + trial,
            str(row["n"]),
            _figure(row["success"], "{:.2f}"),
            _figure(row["ttft_p50_ms"], "{:.2f}", 1000),
            _figure(row["ttft_p95_ms"], "{:.2f}", 1000),
            _figure(row["cost_usd"], "{:.5f}"),
            f"{row['liked']}/{row['disliked']}",
            _figure(row["mean"], "{:.2f}"),
            f"{row['low']:.2f}–{row['high']:.2f}",
        )
    return table


def _figure(value: float | None, form: str, scale: float = 1.0) -> str:
    return "–" if value is None else form.format(value / scale)
