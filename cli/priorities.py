"""`--priorities`: declared and learned order of each category, with the figures behind it."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from graph.router import Router


def run(args: argparse.Namespace) -> int:
    priorities = asyncio.run(_read(args))
    if args.json:
        print(json.dumps(priorities, ensure_ascii=False))
        return 0
    console = Console()
    for category, standing in priorities.items():
        console.print(_table(category, standing))
        if standing.get("last_change"):
            console.print(f"  last change: {standing['last_change']['why']}", highlight=False)
    return 0


async def _read(args: argparse.Namespace) -> dict[str, Any]:
    async with Router.from_config(args.config, args.data) as router:
        return await router.priorities()


def _table(category: str, standing: dict[str, Any]) -> Table:
    declared = " > ".join(standing["declared"]) or "no provider is enabled"
    table = Table(title=f"{category}   declared: {declared}", title_justify="left")
    for name in ("", "provider", "n", "success", "p50 s", "p95 s", "cost $", "liked", "mean", "in"):
        table.add_column(name, justify="left" if name == "provider" else "right")
    for place, row in enumerate(standing["providers"], 1):
        table.add_row(
            str(place),
            row["provider"],
            str(row["n"]),
            _figure(row["success"], "{:.2f}"),
            _figure(row["ttft_p50_ms"], "{:.2f}", 1000),
            _figure(row["ttft_p95_ms"], "{:.2f}", 1000),
            _figure(row["cost_usd"], "{:.5f}"),
            _figure(row["liked"], "{:.2f}"),
            _figure(row["mean"], "{:.3f}"),
            f"{row['low']:.2f}–{row['high']:.2f}",
        )
    return table


def _figure(value: float | None, form: str, scale: float = 1.0) -> str:
    return "–" if value is None else form.format(value / scale)
