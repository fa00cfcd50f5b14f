"""`make demo`: simulated providers fail and recover, and the learned order follows.

Everything but the providers is real: classification, race, log and ranking, over the demo's
configuration and a log of its own that `--replay` can read afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from config.environment import quiet
from graph.router import Router

ROOT = Path(__file__).parent.parent
PROMPTS = {
    "technical": "Why does my SQL query return duplicate rows?",
    "creative": "Write a haiku about rain.",
    "general": "What should I pack for a week in Lisbon?",
}
REQUESTS = 160
"""For each category: enough for its favourite to fail, be left alone, and come back."""

AT_ONCE = 2
"""Requests of a category under way at the same time."""


async def watch(router: Router, category: str, started: float) -> dict[str, int]:
    """Ask the category's prompt again and again; print what changes. Who answered how often."""
    numbers = itertools.count(1)
    winners: dict[str, int] = {}

    async def ask() -> None:
        while (number := next(numbers)) <= REQUESTS:
            async for event in router.stream(PROMPTS[category], category=category):
                if event["type"] == "reranked":
                    say(started, category, number, event["why"])
                elif event["type"] == "answered":
                    winner = str(event["answer"]["provider"])
                    winners[winner] = winners.get(winner, 0) + 1

    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    return winners


def say(started: float, category: str, number: int, text: str) -> None:
    print(f"{time.monotonic() - started:6.1f} s  {category:<10} request {number:>3}  {text}")


async def run(data: Path, out: Path) -> int:
    started = time.monotonic()
    async with Router.from_config(ROOT / "config" / "demo", data, environ={}) as router:
        print("SIMULATION: the providers are scripted; the routing and the learning are real.\n")
        for category in PROMPTS:
            print(f"{category}: declared order {' > '.join(router.settings.order(category))}")
        print()
        found = await asyncio.gather(*(watch(router, c, started) for c in PROMPTS))
        print()
        for category, winners in zip(PROMPTS, found, strict=True):
            order = " > ".join(router.services.routing.ranking.order(category))
            answered = ", ".join(f"{name} {n}" for name, n in sorted(winners.items()))
            print(
                f"{category}: learned order {order}\n{'':{len(category)}}  answered by {answered}"
            )
        rows = await router.services.log.recent(None)
    with out.open("w", encoding="utf-8") as file:
        for row in reversed(rows):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"\n{len(rows)} interactions in {time.monotonic() - started:.0f} s, written to {out}")
    print(f"The same from the log: python app.py --config config/demo --replay {out}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Watch the router learn from simulated providers.")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "demo.jsonl")
    args = parser.parse_args()
    quiet()
    from telemetry.console import configure

    configure(json=False, level="ERROR")
    data = Path(tempfile.mkdtemp(prefix="router-demo-"))
    try:
        return asyncio.run(run(data, args.out))
    finally:
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
