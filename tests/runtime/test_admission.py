"""The gate: so many at once, and what the rest of a request after its race costs the others."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from config.errors import OverloadedError
from config.models import Admission
from runtime.admission import Gate


async def test_a_decided_race_gives_its_place_to_the_next() -> None:
    gate = Gate(Admission(races=1, queue=0))
    async with gate.place() as leave:
        with pytest.raises(OverloadedError):
            await gate.place().__aenter__()
        leave()
        async with gate.place():
            assert gate.racing == 1
    assert gate.racing == 0


async def test_what_is_left_to_do_after_the_races_is_bounded_too() -> None:
    gate = Gate(Admission(races=1, queue=0))
    async with gate.place() as leave:
        leave()
        async with gate.place() as stay:
            stay()  # one is at its rest already: this one keeps its place
            with pytest.raises(OverloadedError):
                await gate.place().__aenter__()
    async with gate.place() as leave:
        leave()
        async with gate.place():
            assert gate.racing == 1


async def test_a_place_that_was_kept_is_given_back_when_another_request_is_over() -> None:
    gate = Gate(Admission(races=1, queue=0))
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        leave = await first.enter_async_context(gate.place())
        leave()
        stay = await second.enter_async_context(gate.place())
        stay()
        assert (gate.racing, gate.ending) == (1, 1)
        await first.aclose()
        assert (gate.racing, gate.ending) == (0, 1)
    assert (gate.racing, gate.ending) == (0, 0)


async def test_a_place_is_given_back_once() -> None:
    gate = Gate(Admission(races=2, queue=0))
    async with gate.place() as leave:
        leave()
        leave()
    leave()  # the race was decided at the very end
    assert gate.racing == 0
    async with gate.place() as late:
        pass
    late()
    assert gate.racing == 0
