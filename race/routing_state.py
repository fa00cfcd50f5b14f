"""What the router knows of its providers: breakers, the learned order, what may be asked now."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import structlog

from config.errors import StorageError
from config.models import Provider, Settings
from providers.base import ProviderError
from race.breaker import MISCONFIGURED, NEUTRAL, Breaker, State, Transition, nearest
from race.budget import Allowance
from race.hedge import HedgeBudget
from routing.ranking.observation import observations
from routing.ranking.ranking import Ranking
from routing.ranking.standings import Change, Choice
from telemetry.records import AttemptRow, InteractionRow

logger = structlog.get_logger()

SPENT_S = 5.0
"""How often the day's cost is summed up from the log; what this process spends counts at once."""

PIECE = 250
"""Rows that are folded in before other requests have their turn: some 5 ms."""

CROWD = 8
"""One request's row is held back for each full so many that are running."""

WELL = frozenset({"ok", "cancelled", "skipped"})
"""Outcomes of which nothing hangs on being learned at once."""


class Rows(Protocol):
    """The part of the log that the routing state reads."""

    async def since(
        self, cursor: int | None = None, limit: int = ...
    ) -> tuple[list[InteractionRow], int]: ...

    async def spent_today(self) -> dict[str, float]: ...


class Watch:
    """One call under a breaker's eye; what is told first counts, the rest does not."""

    def __init__(self, breaker: Breaker, slow_s: float, clock: Callable[[], float]) -> None:
        self._breaker = breaker
        self._slow_s = slow_s
        self._clock = clock
        self._told = False
        self._sign_ms: float | None = None

    def sign_of_life(self, after_ms: float) -> None:
        """The call's first reasoning or content came so long after it began."""
        self._sign_ms = after_ms if self._sign_ms is None else self._sign_ms

    def ended(self, row: AttemptRow, error: ProviderError | None) -> None:
        """The call came to its end."""
        if error is None:
            first_ms = self._sign_ms if self._sign_ms is not None else row["ttft_ms"] or 0.0
            self._tell(True, slow=first_ms > self._slow_s * 1000)
        else:
            self._tell(
                False,
                retry_after_s=error.retry_after_s,
                counts=error.kind not in NEUTRAL,
                fatal=error.kind in MISCONFIGURED,
            )

    def too_late(self) -> None:
        """The race was decided without it: that is slow, whatever comes of it."""
        self._tell(True, slow=True)

    def dropped(self) -> None:
        """The call was cancelled through no fault of the provider."""
        if not self._told:
            self._told = True
            self._breaker.release(self._clock())

    def _tell(self, ok: bool, **how: Any) -> None:
        if not self._told:
            self._told = True
            self._breaker.record(ok, self._clock(), **how)


class RoutingState:
    """Shared by all requests of a process; every method is quick and none awaits but `catch_up`."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._draw = draw
        self._cursor: int | None = None
        self._held: list[InteractionRow] = []  # written, not yet folded in
        self._ready = False
        self._unshared: dict[str, Breaker] = {}
        self._hearing = False
        self.breakers = {p.name: self._breaker(p.name) for p in settings.providers}
        self.ranking = ranking_of(settings)
        self.hedges = HedgeBudget()
        self._spent: dict[str, float] = {}
        self._ask_spent_at = 0.0
        self._free = {p.name for p in settings.providers if is_free(settings, p)}

    def with_settings(self, settings: Settings) -> RoutingState:
        """A state for a new configuration; providers that stayed as they were keep their breaker.

        It has yet to read the log: `ready` does.
        """
        routing = RoutingState(settings, clock=self._clock, draw=self._draw)
        routing._unshared = self._unshared  # the breakers that stay report there
        before = {p.name: p for p in self._settings.providers}
        for provider in settings.providers:
            name = provider.name
            same = before.get(name) == provider and settings.breaker == self._settings.breaker
            if same and identity(settings, name) == identity(self._settings, name):
                routing.breakers[name] = self.breakers[name]
        return routing

    # -- breakers -----------------------------------------------------------------------------

    def allows(self, name: str) -> bool:
        """A call to this provider would be let through now, by its breaker and by the budget."""
        return self.breakers[name].usable(self._clock()) and self.barred(name) is None

    @property
    def allowance(self) -> Allowance:
        """What today's spending leaves."""
        return Allowance(self._settings.budget, self._spent)

    def barred(self, name: str) -> str | None:
        """Why the budget lets nothing be spent on this provider any more today, or None."""
        return self.allowance.barred(name, free=name in self._free)

    def nearest(self, names: Sequence[str]) -> str | None:
        """Of providers that are all left alone now, the one whose time comes first.

        A host that named its own time is not asked before it while the fallback can answer.
        """
        now = self._clock()
        spare = names = [name for name in names if self.barred(name) is None]
        if self.allows(self._settings.fallback.provider):
            spare = [name for name in names if not self.breakers[name].told_to_wait(now)]
        return nearest(((name, self.breakers[name]) for name in spare), now)

    def forget_breakers(self) -> None:
        """Every provider may be asked again: after a mended configuration, or between two tests."""
        self._unshared.clear()
        for name in self.breakers:
            self.breakers[name] = self._breaker(name)

    def why_not(self, name: str) -> str:
        if barred := self.barred(name):
            return barred
        breaker = self.breakers[name]
        wait_s = max((breaker.retry_at or 0.0) - self._clock(), 0.0)
        return f"its circuit breaker is open for another {wait_s:.0f} s ({breaker.why})"

    @contextmanager
    def watch(self, name: str, category: str) -> Iterator[Watch]:
        """Call the provider inside; a call that ends without a word was dropped."""
        breaker = self.breakers[name]
        breaker.allow(self._clock(), forced=True)
        slow_s = self._settings.breaker.slow_s
        limit = self._settings.limits_for(category).ttft_s
        watch = Watch(breaker, limit if slow_s is None else slow_s, self._clock)
        try:
            yield watch
        finally:
            watch.dropped()

    def _breaker(self, name: str) -> Breaker:
        return Breaker(self._settings.breaker, partial(self._breaker_changed, name))

    def _breaker_changed(self, name: str, change: Transition) -> None:
        logger.info("breaker", provider=name, state=change.after, why=change.why)
        breaker = self.breakers[name]
        if change.after == "open" and not self._hearing and breaker.told_to_wait(change.at):
            self._unshared[name] = breaker

    def states(self) -> dict[str, State]:
        """Each provider's breaker's state."""
        now = self._clock()
        return {name: breaker.state(now) for name, breaker in self.breakers.items()}

    def snapshot(self, name: str) -> dict[str, object]:
        """A provider's breaker for people; see `Breaker.snapshot`."""
        return self.breakers[name].snapshot(self._clock())

    def waits(self) -> dict[str, float]:
        """Providers whose hosts asked this process to wait, and for how many seconds still, as
        far as the other replicas do not know yet (see `shared`)."""
        now = self._clock()
        for name, breaker in list(self._unshared.items()):
            if self.breakers.get(name) is not breaker or not breaker.told_to_wait(now):
                del self._unshared[name]  # it was replaced, or its time has passed
        return {name: (b.retry_at or now) - now for name, b in self._unshared.items()}

    def shared(self, name: str) -> None:
        """The other replicas know of this one."""
        self._unshared.pop(name, None)

    def hear(self, name: str, wait_s: float) -> None:
        """A host asked another replica to wait: it means all of them."""
        self._hearing = True
        try:
            self.breakers[name].record(False, self._clock(), retry_after_s=wait_s)
        finally:
            self._hearing = False

    # -- the order ----------------------------------------------------------------------------

    def choose(self, category: str) -> Choice:
        """The order to ask in, and with what probability its first was chosen.

        Providers that may not be asked now come last; the first is one of them only if all are.
        """
        order = self.ranking.order(category)
        allowed = [name for name in order if self.allows(name)]
        lean = self.allowance.lean
        choice = self.ranking.choose(category, allowed, self._draw(), lean)
        barred = tuple(name for name in order if name not in allowed)
        return Choice((*choice.order, *barred), choice.explored, choice.propensity)

    def hedge_after_s(self, name: str) -> float:
        """How long a hedged fallback waits: the learned p95 of the primary's first token."""
        return self.ranking.ttft_p95_s(name) or 0.0

    async def ready(self, log: Rows) -> None:
        """The whole log is folded in, once. One that cannot be read costs the learned order, not
        the answer."""
        if not self._ready:
            self._ready = True
            try:
                await self.catch_up(log)
            except StorageError as error:
                logger.error("log_unreadable", error=str(error))
            self.ranking.settle()

    async def catch_up(self, log: Rows, *, revised: bool = False) -> None:
        """Fold in what was written since the last time, by whatever replica, and what it cost.

        `revised`: a row of this process was, and its cost counts at once.
        """
        if revised or self._clock() >= self._ask_spent_at:
            self._spent = await log.spent_today()
            self._ask_spent_at = self._clock() + SPENT_S
        while True:
            rows, self._cursor = await log.since(self._cursor)
            held, self._held = self._held, []
            fresh = [*held, *rows]  # what the log says of a row holds
            for begin in range(0, len(fresh), PIECE):
                self.ranking.fold(observations(fresh[begin : begin + PIECE]))
                await asyncio.sleep(0)
            if not rows:
                return

    def fold(self, rows: Sequence[InteractionRow], category: str, running: int = 1) -> str | None:
        """Fold in fresh rows; the cause to look at the category's order again, if there is one.

        While many requests are `running`, rows of such that went well are held back for a moment
        and folded in together: requests end in another order than they started, and each that was
        overtaken takes the fold back a stretch.
        """
        self._held += rows
        well = all(a["outcome"] in WELL for row in rows for a in row["attempts"])
        if not well or len(self._held) * CROWD >= running:
            self.ranking.fold(observations(self._held))
            self._held = []
        for attempt in (a for row in rows for a in row["attempts"]):
            name, cost_usd = attempt["provider"], attempt.get("cost_usd") or 0.0
            self._spent[name] = self._spent.get(name, 0.0) + cost_usd
        return self.ranking.due(category)

    def rerank(self, category: str) -> Change | None:
        """Take over the order that the rows so far give; the change if it is another one."""
        return self.ranking.rerank(category)


def identity(settings: Settings, name: str) -> str:
    """Changes whenever another model, another host or another key stands behind the name."""
    provider = settings.provider(name)
    host = settings.hosts[provider.host]
    key = host.key.get_secret_value() if host.key else ""
    said = f"{provider.resolved_model}|{host.url}|{key}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def is_free(settings: Settings, provider: Provider) -> bool:
    """Costs nothing to ask: a price of zero, or no vendor behind it. Unknown is not free."""
    if settings.hosts[provider.host].kind == "llama_cpp":
        return True
    return provider.cost is not None and provider.cost.input == provider.cost.output == 0


def ranking_of(settings: Settings, on_change: Callable[[Change], None] | None = None) -> Ranking:
    """The learner over the enabled providers, before it has seen a row."""
    declared = {name: settings.order(name) for name in settings.categories}
    trials = {p.name: p.trial.share for p in settings.providers if p.trial}
    return Ranking(settings.ranking, declared, trials, on_change)
