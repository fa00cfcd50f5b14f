"""What an outage adds to a request: every wait counted on virtual time, and a race in real time.

On virtual time the clock moves only by what the product itself waits for, and each wait that an
outage leaves open runs to its very bound, so that the count is what a request can be kept at most,
exactly and on any machine. The real log and the real knowledge base take part, below that clock.
In real time, requests to the service in its outage and to its twin without one take turns on one
machine: what they differ by is the outage.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from statistics import median
from typing import Any

from graph.router import Router
from tests.graph.virtual import Call, Scripted, Stage, fails, on_virtual_time, whole

QUESTION = "How high is the tower?"
IN_A_ROW, AT_ONCE = 3, 8
LEAST, MOST = 5, 60
"""Turns taken in real time: as many as it needs until their medians settle."""
HANGS_S = 4.0
"""Whoever waits for what is out waits longer: for a connection or a lock 5 s, else for good."""
NAMED_S, TICK_S = 2.0, 0.02


@dataclass(frozen=True, slots=True)
class Took:
    """A request's times in seconds: until its first token, and in all."""

    request_id: str
    first_s: float
    all_s: float


async def ask(router: Router, clock: Callable[[], float], question: str = QUESTION) -> Took:
    began, first_s, request_id, answered = clock(), 0.0, "", False
    async with aclosing(router.stream(question)) as events:
        async for event in events:
            request_id = event["request_id"]
            if event["type"] == "token" and not first_s:
                first_s = clock() - began
            elif event["type"] == "answered":
                answered = bool(event["answer"]["success"])
    assert answered, "every request is answered"
    return Took(request_id, first_s, clock() - began)


PRIMARY_WELL = Call([(10, "It is "), (15, "93 m."), (20, "end")])


def counted(*, primary_fails: bool = False, **parts: Any) -> list[Took]:
    """Requests on virtual time, some in a row and then some at once, over these real parts."""

    async def play() -> list[Took]:
        script = fails(5, "bad_request") if primary_fails else PRIMARY_WELL
        primary, fallback = Scripted("primary", [script]), Scripted("fallback", [whole(5, "93 m.")])
        stage = Stage(primary, fallback, parts=parts)
        clock = asyncio.get_running_loop().time
        took = [await ask(stage.router, clock) for _ in range(IN_A_ROW)]
        took += await asyncio.gather(*(ask(stage.router, clock) for _ in range(AT_ONCE)))
        await stage.router.settled()
        return took

    found: list[Took] = on_virtual_time(play())
    return found


def assert_each_within(took: Sequence[Took], usual: Sequence[Took], adds_s: float) -> None:
    """Not one request waits longer than that for what is out."""
    first_s = max(t.first_s for t in usual) + adds_s
    all_s = max(t.all_s for t in usual) + adds_s
    late = [t for t in took if t.first_s > first_s or t.all_s > all_s]
    assert not late, f"within {first_s:.3f} and {all_s:.3f} s: {late}"


@dataclass
class Turns:
    """Requests in real time, to the service in its outage and to its twin."""

    out: list[Took]
    well: list[Took]

    @classmethod
    async def take(cls, out: Router, well: Router, adds_s: float) -> Turns:
        """Until what the medians differ by is below `adds_s`, or clearly is not."""
        turns = cls([], [])
        while len(turns.out) < LEAST or (turns.adds_s() > adds_s and len(turns.out) < MOST):
            turns.well.append(await ask(well, time.monotonic))
            turns.out.append(await ask(out, time.monotonic))
        return turns

    def adds_s(self) -> float:
        """What the outage adds to the first token or to the whole, whichever is more."""
        return max(
            median(getattr(t, part) for t in self.out) - median(getattr(t, part) for t in self.well)
            for part in ("first_s", "all_s")
        )


async def is_named(problems: Callable[[], str], what: str) -> bool:
    """Whether it is named within two seconds, counted in ticks of this very process: one that the
    machine holds up has as many of them, only longer."""
    for _ in range(round(NAMED_S / TICK_S)):
        if what in problems():
            return True
        await asyncio.sleep(TICK_S)
    return False


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - health can only be asked
            await asyncio.sleep(TICK_S)
