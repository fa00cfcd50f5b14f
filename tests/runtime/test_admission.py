"""The gate: so many at once, and what the rest of a request after its race costs the others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from config.errors import OverloadedError
from config.models import Admission
from runtime.admission import Gate, yielding


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


async def hold(gate: Gate, ended: asyncio.Event) -> None:
    """A request that takes a place and keeps it until `ended`."""
    async with gate.place():
        await ended.wait()


async def behind(gate: Gate, ended: asyncio.Event) -> None:
    """The same for a line of a batch."""
    with yielding():
        await hold(gate, ended)


async def turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_lines_of_batches_wait_while_callers_take_every_place() -> None:
    gate, ended = Gate(Admission(races=1, queue=5, batch=1)), asyncio.Event()
    served = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        async with gate.place():
            group.create_task(behind(gate, ended))
            await turns()
            group.create_task(hold(gate, served))
            await turns()
        await turns()
        assert (gate.racing, gate.batch) == (1, 0)  # who came later is let in first
        served.set()
        await turns()
        assert (gate.racing, gate.batch) == (1, 1)
        ended.set()
    assert (gate.racing, gate.batch) == (0, 0)


async def test_batches_have_a_quarter_of_their_places_while_callers_are_answered() -> None:
    gate, ended = Gate(Admission(races=64, queue=5, batch=8)), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        async with gate.place():
            for _ in range(20):
                group.create_task(behind(gate, ended))
            await turns()
            assert gate.batch == 2
        await turns()
        assert gate.batch == 8
        ended.set()
    assert (gate.racing, gate.batch) == (0, 0)


async def test_a_line_that_gives_up_waiting_leaves_nothing_behind() -> None:
    gate, ended = Gate(Admission(races=1, queue=0, batch=1)), asyncio.Event()
    async with gate.place():
        waiting = asyncio.create_task(behind(gate, ended))
        await turns()
        waiting.cancel()
        await asyncio.wait({waiting})
    assert (gate.racing, gate.batch) == (0, 0)
