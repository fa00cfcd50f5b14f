"""Rows that are held back while many requests run: nothing that was said of them is lost."""

from __future__ import annotations

import asyncio

from graph.router import Router
from race.request import Asked, Request
from routing.ranking.standings import Standing
from tests.conftest import SettingsFor
from tests.upstream import FAULTS, Upstream


def crowd(router: Router, others: int) -> None:
    """So many other requests are under way."""
    races = router.services.races
    races.clear()
    for n in range(others):
        races[n] = Request.begin(Asked("Why?"), lambda _: None)


def known(router: Router, category: str, provider: str) -> Standing:
    entries = router.services.routing.ranking.standings(category).entries
    return next(entry for entry in entries if entry.provider == provider)


async def test_a_rating_outlives_the_row_that_was_held_back(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    async with Router(settings_for(upstream)) as router:
        await router.start()
        crowd(router, 63)
        answer = await router.answer("Why?", category="technical")
        assert known(router, "technical", "first").n == 0
        await router.feedback(answer.request_id, False)
        async with asyncio.timeout(30):  # the answer's row is only waited for a moment
            while known(router, "technical", "first").disliked != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await router.answer("How?", category="technical")
        crowd(router, 0)
        await router.answer("When?", category="technical")
        entry = known(router, "technical", "first")
    assert (entry.n, entry.disliked) == (3, 1)


async def test_what_went_wrong_is_learned_at_once(
    upstream: Upstream, settings_for: SettingsFor
) -> None:
    upstream.behave("first", FAULTS["503"])
    async with Router(settings_for(upstream)) as router:
        await router.start()
        crowd(router, 63)
        await router.answer("Why?", category="technical")
        assert known(router, "technical", "first").n > 0
