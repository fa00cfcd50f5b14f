"""What the router knows of its providers, beside the requests."""

from __future__ import annotations

import asyncio

from race.routing_state import RoutingState
from tests.conftest import SettingsFor


class LongLog:
    """A page of five thousand rows, then nothing more."""

    def __init__(self) -> None:
        attempt = {"seq": 0, "provider": "first", "outcome": "ok", "ttft_ms": 90.0, "quality": 1.0}
        self.rows = [
            {"request_id": f"r{n}", "at": n, "category": "general", "attempts": [attempt]}
            for n in range(5_000)
        ]

    async def since(self, cursor=None, limit=5_000):
        rows, self.rows = self.rows, []
        return rows, len(rows)

    async def position(self):
        return 0

    async def recent(self, limit=None, category=None):
        return []

    async def spent_today(self):
        return {}


async def test_requests_have_their_turn_while_a_long_log_is_folded_in(
    settings_for: SettingsFor,
) -> None:
    routing, log = RoutingState(settings_for()), LongLog()
    others, log.rows = log.rows, []
    await routing.ready(log)
    log.rows = others  # another replica's, all at once
    folding = asyncio.create_task(routing.catch_up(log))
    turns = 0
    while not folding.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 20  # one for each 250 rows
    assert routing.ranking.standings("general").observations == 5_000
