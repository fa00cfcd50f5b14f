"""The race's cases on the real clock: `python -m benchmarks.race`.

Each case of the table is played by a loopback upstream over HTTP, through the whole graph with
classification, log and all; the answer should come within 60 ms of the ideal instant.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.bench import Row, print_table, router_on
from config.environment import quiet
from tests.upstream import FAULTS, Behaviour, Upstream

TOLERANCE_MS = 60.0
RUNS = 5


def at(seconds: float) -> Behaviour:
    """A whole answer at one instant."""
    return Behaviour(text="answer", header_delay_s=seconds)


HANGS = FAULTS["hang before headers"]
CASES: list[tuple[str, Behaviour, Behaviour, dict[str, float], float]] = [
    ("primary first", at(0.2), at(3), {"ttft_s": 3}, 200),
    ("primary too late", at(3), at(0.1), {"ttft_s": 0.5}, 500),
    ("fallback slower than the limit", at(3), at(0.6), {"ttft_s": 0.3}, 600),
    ("primary fails at once", FAULTS["401"], at(0.15), {}, 150),
    ("late primary is logged later", at(0.5), at(0.25), {"ttft_s": 0.2}, 250),
    ("overtime", at(0.3), at(0.8), {"ttft_s": 0.2}, 300),
    (
        "both fail",
        Behaviour(status=401, header_delay_s=0.2),
        Behaviour(status=401, header_delay_s=0.2),
        {},
        200,
    ),
    (
        "stall after two tokens",
        Behaviour(text="one two three four", token_s=0.05, ttft_s=0.05, stall_after=2),
        at(0.02),
        {"stall_s": 0.1},
        200,
    ),
    (
        "stall and resume",
        Behaviour(text="one two", ttft_s=0.1, token_s=0.3),
        at(0.8),
        {"stall_s": 0.1},
        400,
    ),
    (
        "fallback dies after the switch",
        at(0.6),
        Behaviour(text="weak answer cut", ttft_s=0.25, token_s=0.15, cut_after=2),
        {"ttft_s": 0.2},
        600,
    ),
    ("both hang, hard cap", HANGS, HANGS, {"deadline_s": 0.4}, 400),
]


async def measure(folder: Path) -> list[Row]:
    rows: list[Row] = []
    async with Upstream() as upstream:
        for number, (name, primary, fallback, limits, ideal_ms) in enumerate(CASES):
            upstream.behave("first", primary)
            upstream.behave("cheap", fallback)
            async with router_on(upstream, folder / str(number), limits=limits) as router:
                took = []
                for _ in range(RUNS + 1):
                    router.services.routing.forget_breakers()
                    async for event in router.stream("Is everything well?"):
                        if event["type"] == "answered":
                            took.append(event["answer"]["latency_ms"])
                median = statistics.median(took[1:])
            ok = abs(median - ideal_ms) <= TOLERANCE_MS
            rows.append((name, f"{ideal_ms:.0f}", f"{median:.0f}", "ok" if ok else "MISSED"))
    return rows


def main() -> int:
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure(Path(folder)))
    print_table("Race, ms to the whole answer", ("case", "ideal", "measured", ""), rows)
    return 1 if any(row[-1] == "MISSED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
