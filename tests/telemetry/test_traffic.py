"""What passed through over a time, and pages of the log."""

from __future__ import annotations

from typing import Any

import pytest

from telemetry.log import InteractionLog
from telemetry.queries import Wanted
from telemetry.traffic import SLICE, SLICES


async def ask(log: InteractionLog, number: int, at: float, **changes: Any) -> None:
    row = {
        "request_id": f"r{number}",
        "at": at,
        "category": "general",
        "success": True,
        "stopped": False,
        "fallback_used": False,
        "winner": "swift",
        "latency_ms": 100.0 + number,
        "cost_usd": 0.001,
        "prompt_hash": "h",
        **changes,
    }
    served = {"seq": 0, "provider": "swift", "role": "primary", "outcome": "ok", "served": True}
    lost = {**served, "seq": 1, "provider": "cheap", "served": False, "tokens_in": 99}
    attempts = [
        {**served, "tokens_in": 10, "tokens_out": 20, "revision": 0},
        {**lost, "revision": 0},
    ]
    await log.write(row, attempts)  # type: ignore[arg-type]


async def test_each_part_has_its_requests_and_the_tokens_of_what_was_served(
    log: InteractionLog,
) -> None:
    for number, at in enumerate([0.0, 9.9, 10.0, 39.9, 40.0]):
        await ask(log, number, at)
    parts = await log.traffic(0.0, 40.0, 4)
    assert [part.requests for part in parts] == [2, 1, 0, 1]
    assert [(one.tokens_in, one.tokens_out) for one in parts[0].sample] == [(10, 20)] * 2
    assert parts[3].sample[0].latency_ms == 103.0


async def test_a_part_with_many_requests_is_counted_whole_and_sampled(log: InteractionLog) -> None:
    most = SLICES * SLICE
    for number in range(most + 50):
        await ask(log, number, number / (most + 50))
    (part,) = await log.traffic(0.0, 1.0, 1)
    assert part.requests == most + 50
    assert len(part.sample) == most


async def ids(log: InteractionLog, limit: int = 10, skip: int = 0, **wanted: Any) -> list[str]:
    return [row["request_id"] for row in await log.page(Wanted(**wanted), limit, skip)]


@pytest.fixture
async def five(log: InteractionLog) -> InteractionLog:
    await ask(log, 0, 1.0)
    await ask(log, 1, 2.0, success=False, cost_usd=None)
    await ask(log, 2, 3.0, success=False, stopped=True, category="creative")
    await ask(log, 3, 4.0, fallback_used=True, cost_usd=0.5)
    await ask(log, 4, 5.0, stopped=None, liked=True, latency_ms=None)
    return log


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        ("answered", ["r4", "r3", "r0"]),
        ("fallback", ["r3"]),
        ("failed", ["r1"]),
        ("stopped", ["r2"]),
        ("liked", ["r4"]),
        ("disliked", []),
    ],
)
async def test_outcomes_are_distinguished(
    five: InteractionLog, outcome: str, found: list[str]
) -> None:
    assert await ids(five, outcome=outcome) == found


async def test_filters_combine_and_pages_follow_one_another(five: InteractionLog) -> None:
    assert await ids(five, category="general", start=2.0, end=5.0) == ["r3", "r1"]
    assert [await ids(five, 2, skip) for skip in (0, 2, 4)] == [["r4", "r3"], ["r2", "r1"], ["r0"]]


async def test_what_is_not_known_is_the_least(five: InteractionLog) -> None:
    assert await ids(five, order="oldest") == ["r0", "r1", "r2", "r3", "r4"]
    assert (await ids(five, order="dearest"))[0] == "r3"
    assert (await ids(five, order="dearest"))[-1] == "r1"
    assert (await ids(five, order="slowest"))[0] == "r3"
