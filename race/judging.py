"""Compares the two answers of some races: it learns what any race could teach, at a bounded cost.

The races are drawn before they start, so that the comparison does not depend on how they went. In
those the loser may finish, and a model that wrote neither answer is asked which one is better. All
of it happens after the request: no caller waits for it, and closing ends it. The answers are
compared in memory; the log gets the verdict, and its cost under the role `judge`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import structlog

from config.errors import StorageError
from config.models import Settings
from providers.base import CallOptions
from race.attempt import Attempt
from race.call import read_aside
from race.permits import Refused
from race.rendezvous import cancel
from race.request import Request
from race.verdict import agreed, preference, question
from race.wishes import allows
from telemetry.records import AttemptRow

if TYPE_CHECKING:
    from race.services import Services

logger = structlog.get_logger()

MOST = 32
"""Maximum number of concurrent comparisons in this process; at the limit no race is drawn."""

WITHIN_S = 60.0
"""Time limit in seconds for one reply of a judge."""

MOST_TOKENS = 1_024
"""Token limits of a reply: one word, and the reasoning before it of a model that reasons."""

UNPRICED = 1e-5
"""Assumed USD per token of a judge without a price, in its own budget only."""

DAY_S = 86_400.0

Source = Literal["judge", "late"]


@dataclass(eq=False, slots=True)
class Comparison:
    """Two answers to one request: the primary's, and that of the fallback behind it."""

    request: Request
    primary: Attempt
    fallback: Attempt
    source: Source
    finishing: asyncio.Task[None] | None = None
    """The loser's call, if it is still running."""
    written: set[int] = field(default_factory=set)
    """Attempts whose final rows are in the log."""


class Judging:
    """The comparisons of one router, in a supervised, capped set. Belongs to one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._day = 0.0
        self._spent = 0.0
        self._unpriced = 0.0

    def __len__(self) -> int:
        return len(self._tasks)

    def draw(self, services: Services, request: Request, sides: Sequence[str | None]) -> bool:
        """Whether the race that is about to begin between these two providers is compared."""
        wanted, asked = services.settings.judge, request.asked
        name, settings = wanted.provider, services.settings
        if name is None or None in sides or self._closed or len(self) >= MOST:
            return False
        if request.needs or not asked.plain or not allows(name, asked.wishes, settings):
            return False
        if not settings.enabled(name) or not services.routing.allows(name):
            return False
        if any(is_itself(settings, name, str(side)) for side in sides):
            return False
        return self._affordable(services) and services.routing.drawn(wanted.share)

    def begin(
        self,
        services: Services,
        request: Request,
        primary: Attempt,
        fallback: Attempt,
        source: Source,
        finishing: asyncio.Task[None] | None = None,
    ) -> bool:
        """Compare the two answers once the running call has ended. Returns False if that is not
        possible: the caller must then end the call."""
        name = services.settings.judge.provider
        sides = (primary.provider, fallback.provider)
        if name is None or self._closed or not request.judged or len(self) >= MOST:
            return False
        if any(is_itself(services.settings, name, side) for side in sides):
            return False
        found = Comparison(request, primary, fallback, source, finishing)
        work = self._compare(services, found, name)
        task = asyncio.create_task(work, name=f"judge-{request.run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return True

    async def settled(self) -> None:
        """Wait until the comparisons in progress are done."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """End every comparison, upstream too; their cost so far is logged."""
        self._closed = True
        for task in list(self._tasks):
            await cancel(task)

    # -- one comparison -------------------------------------------------------------------------

    async def _compare(self, services: Services, of: Comparison, judge: str) -> None:
        request, limits = of.request, services.settings.limits_for(of.request.routed["category"])
        try:
            if of.finishing is not None:
                await _end(of.finishing, of.fallback, limits.late_s)
                await self._write(services, of)
            await request.over.wait()
            said = await self._verdict(services, of, judge)
            if said is not None:
                await _note(services, request, verdict_row(of, said))
        finally:
            if of.finishing is not None and not of.finishing.done():
                await cancel(of.finishing)
            await self._write(services, of)

    async def _verdict(self, services: Services, of: Comparison, judge: str) -> float | None:
        """1: the primary's answer is better, 0: the fallback's, 0.5: neither; None: unknown."""
        one, other = of.primary, of.fallback
        if not (one.ok and other.ok) or one.prefix or other.prefix:
            return None
        if one.text.strip() == other.text.strip():
            return 0.5
        await self._count(services)
        if not self._affordable(services):
            return None
        ahead = await self._ask(services, of, judge, one.text, other.text)
        if ahead is None:
            return None
        behind = await self._ask(services, of, judge, other.text, one.text)
        return None if behind is None else agreed(ahead, 1.0 - behind)

    async def _ask(
        self, services: Services, of: Comparison, judge: str, first: str, second: str
    ) -> float | None:
        """The judge's preference for the first of these; None without a usable reply."""
        request = of.request
        granted = services.routing.grant(judge, request.routed["category"])
        if isinstance(granted, Refused):
            return None
        provider = services.providers.get(judge)
        attempt = Attempt(request, provider, "judge")
        messages = question(request.asked.prompt, request.asked.history, first, second)
        attempt.begin(granted, services.settings.provider(judge).cost, messages)
        options = CallOptions(max_tokens=MOST_TOKENS, temperature=0.0)
        if not await read_aside(attempt, provider.stream(messages, options), WITHIN_S):
            return None
        said = preference(attempt.text)
        if said is None:
            granted.dropped()  # it answers; that it cannot judge is not an outage
            attempt.end("failed", "bad_reply", f"{judge} did not say which answer is better")
        else:
            attempt.end("ok")
        return said

    async def _write(self, services: Services, of: Comparison) -> None:
        """The final rows of the calls made for the judge."""
        for attempt in list(of.request.attempts):
            if attempt.role != "judge" or attempt.running or attempt.seq in of.written:
                continue
            of.written.add(attempt.seq)
            row = attempt.row()
            row["revision"] = 1  # the request's own row may have recorded it while it was running
            if attempt is not of.fallback:
                row["text"] = None
            self._pay(row)
            await _note(services, of.request, row)

    # -- its own budget -------------------------------------------------------------------------

    def _affordable(self, services: Services) -> bool:
        limit = services.settings.judge.daily_usd
        if limit is None:
            return True
        self._turn_day(services.log.now())
        return self._spent + self._unpriced < limit

    async def _count(self, services: Services) -> None:
        """Today's cost of judging, by all replicas."""
        try:
            spent = await services.log.spent_today(role="judge")
        except StorageError:
            return  # this process's own spending is known
        self._turn_day(services.log.now())
        self._spent = max(self._spent, sum(spent.values()))

    def _pay(self, row: AttemptRow) -> None:
        cost = row["cost_usd"]
        if cost is not None:
            self._spent += cost
        else:
            self._unpriced += UNPRICED * ((row["tokens_in"] or 0) + (row["tokens_out"] or 0))

    def _turn_day(self, now: float) -> None:
        if now // DAY_S != self._day:
            self._day, self._spent, self._unpriced = now // DAY_S, 0.0, 0.0

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()):
            logger.error("judging_crashed", exc_info=bug)


def is_itself(settings: Settings, judge: str, other: str) -> bool:
    """Whether it is the same provider, or the same model at another host."""
    if judge == other:
        return True
    names = [
        settings.provider(name).resolved_model.rpartition("/")[2].partition(":")[0].lower()
        for name in (judge, other)
    ]
    return bool(names[0]) and names[0] == names[1]


def verdict_row(of: Comparison, said: float) -> AttemptRow:
    """The verdict as a row of the log, after the calls that led to it."""
    words = {1.0: "better than", 0.0: "worse than", 0.5: "as good as"}[said]
    row = of.primary.row()
    return AttemptRow(
        request_id=row["request_id"],
        seq=len(of.request.attempts),
        at=row["at"],
        category=row["category"],
        confidence=row["confidence"],
        provider=of.primary.provider,
        model=of.primary.model,
        host=of.primary.host,
        role="compare",
        outcome="ok",
        detail=f"a judge found its answer {words} that of {of.fallback.provider}",
        served=False,
        revision=1,
        against=of.fallback.provider,
        against_role="fallback",
        verdict=said,
        source=of.source,
    )


async def _end(finishing: asyncio.Task[None], attempt: Attempt, within_s: float) -> None:
    """Wait for the loser's answer, at most so long."""
    await asyncio.wait({finishing}, timeout=within_s)
    if attempt.running:
        attempt.end("timed_out", "timeout")
    if not finishing.done():
        await cancel(finishing)


async def _note(services: Services, request: Request, row: AttemptRow) -> None:
    """Write a row and learn from it; if the log fails, only this evidence is lost."""
    if not services.settings.log.text:
        row["text"] = None
    try:
        if row["role"] == "judge":
            services.metrics.observe_late(row)
        await services.log.revise(row)
        await services.routing.catch_up(services.log, revised=True)
    except StorageError as error:
        services.metrics.log_failed()
        logger.error("log_failed", request=request.request_id, error=str(error))
