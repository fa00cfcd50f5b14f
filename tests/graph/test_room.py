"""A crowd on virtual time: a search for passages that may be for nobody comes after those who wait
to be classified."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from race.services import Thinkers
from tests.graph.test_cases import fallback, primary
from tests.graph.virtual import HANGS, Inline, Played, Stage, fails, on_virtual_time, whole


class Busy(Inline):
    """Runs at once what requests want, and keeps the crowd's prompts until they are released."""

    def __init__(self) -> None:
        self.kept: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if fn is not crowd:
            return super().submit(fn, *args, **kwargs)
        self.kept.append(Future())
        return self.kept[-1]


def crowd() -> None:
    """A prompt of somebody else."""


class Crowd:
    """So many prompts at one thread, each classified at its instant."""

    def __init__(self, *instants_ms: float) -> None:
        self.busy = Busy()
        self.thinkers = Thinkers(self.busy, 1)
        self.instants_ms = instants_ms

    async def __aenter__(self) -> Crowd:
        loop = asyncio.get_running_loop()
        self.prompts = [loop.create_task(self.thinkers.run(crowd)) for _ in self.instants_ms]
        await asyncio.sleep(0)
        for instant_ms, prompt in zip(self.instants_ms, self.busy.kept, strict=True):
            loop.call_later(instant_ms / 1000, prompt.set_result, None)
        return self

    async def __aexit__(self, *_: object) -> None:
        for prompt in self.prompts:
            prompt.cancel()


def searched_at_ms(played: Played) -> list[float]:
    """When the passages were there, 10 ms after the search began."""
    return [event["at_ms"] for event in played.of("retrieved")]


@pytest.mark.parametrize(
    ("answers", "crowd_ms", "limits", "at_ms"),
    [
        (whole(400, "P"), (), {}, 10),
        (whole(400, "P"), (100_000,), {}, 10),
        (whole(400, "P"), (200, 300), {}, 210),
        (whole(400, "P"), (100_000, 100_000), {}, None),
        (whole(2500, "P"), (100_000, 100_000), {"ttft_s": 9}, 1010),
        (whole(2500, "P"), (100_000, 100_000), {"ttft_s": 0.6}, 210),
        (fails(50, "auth"), (100_000, 100_000), {}, 60),
        (HANGS, (200, 300, 400), {"ttft_s": 9}, 310),
    ],
    ids=[
        "nobody else",
        "a thread for each",
        "until there is room",
        "the primary answers meanwhile",
        "a second at most",
        "a third of the first token's limit",
        "the primary fails",
        "as soon as none waits",
    ],
)
def test_passages_are_searched_for_when(answers, crowd_ms, limits, at_ms):
    async def play():
        stage_crowd = Crowd(*crowd_ms)
        parts = {"thinkers": stage_crowd.thinkers}
        stage = Stage(primary(answers), fallback(whole(10, "F")), parts=parts, **limits)
        async with stage_crowd:
            played = await stage.play()
        expected = [] if at_ms is None else [pytest.approx(at_ms, abs=1)]
        assert searched_at_ms(played) == expected
        assert played.answer["success"]

    on_virtual_time(play())


def test_a_hedge_does_not_wait_for_room():
    async def play():
        stage_crowd = Crowd(100_000, 100_000)
        stage = Stage(
            primary(whole(400, "P")),
            fallback(whole(10, "F")),
            fallback={"start": "hedged"},
            parts={"thinkers": stage_crowd.thinkers},
        )
        async with stage_crowd:
            played = await stage.play()
        assert searched_at_ms(played) == [pytest.approx(10, abs=1)]

    on_virtual_time(play())


def test_who_waits_for_room_is_let_in_one_by_one_and_all_at_the_end():
    async def play():
        stage_crowd = Crowd(100, 200, 300)
        async with stage_crowd:
            turns = [stage_crowd.thinkers.room() for _ in range(4)]
            turns[1].cancel()
            seen = []
            for at_s in (0.15, 0.1, 0.1):
                await asyncio.sleep(at_s)
                seen.append([turn.done() for turn in turns])
        assert seen == [[False, True, False, False], [True, True, False, False], [True] * 4]
        assert stage_crowd.thinkers.room().done()

    on_virtual_time(play())
