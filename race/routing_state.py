"""What the router knows about its providers: breakers, the learned order, which may be called
now."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from config.errors import StorageError
from config.models import Settings
from race.budget import HedgeBudget
from race.conversations import Conversations, Held, Thread, saved_usd
from race.permits import Needs, Permits
from race.wishes import Loops
from routing.ranking.fold import Held as Learned
from routing.ranking.ranking import Ranking
from routing.ranking.reward import observations
from routing.ranking.standings import Change, Choice
from telemetry.records import InteractionRow

logger = structlog.get_logger()

SPENT_S = 5.0
"""How often the day's cost is summed up from the log; this process's own spending counts at
once."""

LIMITED_S = 1.0
"""The same if the budget sets a limit, of which each replica may spend its part between two sums:
see `race/budget.py`."""

PIECE = 250
"""Rows folded in before other tasks get a turn: about 5 ms."""

PROVISIONAL = 2_000
"""The newest requests of the log, from which a start without a snapshot learns at once."""

READ_PER_S = {"llama_cpp": 170.0}
"""Tokens of a prompt that the embedded LLaMA reads in a second (measured),"""
HOSTS_READ_PER_S = 5_000.0
"""and what hosts are taken to read: a cautious guess, for the time that a cached prompt saves."""

CROWD = 3
"""One request's row is held back for every so many running requests."""

WELL = frozenset({"ok", "cancelled", "skipped"})
"""Outcomes that need not be learned at once."""


class Rows(Protocol):
    """The part of the log that the routing state reads."""

    async def since(
        self, cursor: int | None = None, limit: int = ...
    ) -> tuple[list[InteractionRow], int]: ...

    async def spent_today(self) -> dict[str, float]: ...

    async def recent(self, limit: int | None = ...) -> list[InteractionRow]: ...

    async def position(self) -> int: ...


class Memory(Protocol):
    """What was learned from the log, beyond the end of a process; see `runtime.learning`."""

    async def recall(self, log: Rows) -> tuple[Learned, int] | None:
        """The fold and its place in the log; None if nothing fits. Raises StorageError."""

    async def keep(self, routing: RoutingState, log: Rows, *, now: bool = False) -> None:
        """Store it for the next process, if that is due. Raises StorageError."""

    def reread_if_due(self, routing: RoutingState, log: Rows) -> None:
        """Start reading the whole log again, if that is due."""

    async def stop(self) -> None:
        """Stop background work."""


class RoutingState(Permits):
    """Which providers may be called now, and in which order. Shared by all requests of a process;
    every method is fast and none awaits except `ready` and `catch_up`."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(settings, clock=clock)
        self._draw = draw
        self._cursor: int | None = None
        self._held: list[InteractionRow] = []  # written, but not yet folded in
        self._ready = False
        self.memory = memory
        self._learning: asyncio.Task[None] | None = None
        self._learning_since = 0.0
        self._folding = 0
        self._unreadable: StorageError | None = None
        self.provisional = False
        """Only the newest rows of a long log are folded in so far."""
        self.ranking = ranking_of(settings)
        self.hedges = HedgeBudget()
        self.loops = Loops()
        self.conversations = Conversations(settings.affinity.ttl_s, clock)
        self._enabled = [p.name for p in settings.providers if p.disabled is None]
        self._ask_spent_at = 0.0

    def with_settings(self, settings: Settings, memory: Memory | None = None) -> RoutingState:
        """A state for a new configuration; unchanged providers keep their breakers.

        It has not read the log yet: `ready` does that.
        """
        routing = RoutingState(settings, clock=self._clock, draw=self._draw, memory=memory)
        routing.conversations = self.conversations.with_ttl(settings.affinity.ttl_s)
        routing._unshared = self._unshared  # the breakers that are kept report there
        before = {p.name: p for p in self._settings.providers}
        for provider in settings.providers:
            name = provider.name
            same = before.get(name) == provider and settings.breaker == self._settings.breaker
            if same and identity(settings, name) == identity(self._settings, name):
                routing.breakers[name] = self.breakers[name]
        return routing

    def drawn(self, share: float) -> bool:
        """True in this share of the times."""
        return self._draw() < share

    # -- the order ----------------------------------------------------------------------------

    def choose(self, category: str, needs: Needs = ()) -> Choice:
        """The order to ask in, and the probability with which its first provider was chosen.

        Providers that may not be called now come last; one of them is first only if all are barred.
        One that is due for another try after trouble goes first, once: the fallback stands behind
        it, and its rank has fallen with its failures. If more than text is needed, models of other
        categories follow behind these.
        """
        order = self.ranking.order(category)
        if needs:
            order = (*order, *(name for name in self._enabled if name not in order))
        allowed = [name for name in order if self.allows(name, needs)]
        lean = self.allowance.lean
        choice = self.ranking.choose(category, allowed, self._draw(), lean)
        others = [name for name in order if name not in choice.order]
        others.sort(key=lambda name: name not in allowed)
        due = self.in_doubt([name for name in choice.order if name in allowed])
        if due is not None:
            rest = (name for name in (*choice.order, *others) if name != due)
            return Choice((due, *rest), False, None)
        return Choice((*choice.order, *others), choice.explored, choice.propensity)

    def why(self, choice: Choice, category: str) -> str:
        """Why the first of this choice is asked, unless the caller chose it."""
        if not choice.order:
            return f"{category} has no provider that is enabled"
        first, able = choice.order[0], [name for name in choice.order if self.allows(name)]
        if not able:
            return f"no provider of {category} may be asked now"
        if len(able) == 1 < len(choice.order):
            return f"only one: of {category} only {first} may be asked now"
        if choice.propensity is None:
            return f"trial: {first} is due to be tried again after trouble"
        if choice.explored:
            return (
                f"exploration: {first} was drawn, with a chance of {choice.propensity:.1%},"
                " to learn more of it"
            )
        if self.allowance.lean > 0.0:
            return f"budget: today's is nearly spent, so prices count more, and {first} is first"
        return f"learned order: {first} is first in {category}"

    def stays(self, thread: Thread, category: str, needs: Needs = ()) -> str | None:
        """The provider that holds the conversation's prompt cache, while it may be asked and what
        the cache saves outweighs by how much others have done better; None: the order decides."""
        held = self.conversations.holder(thread)
        behind = self.ranking.behind(category, held.provider) if held is not None else None
        if held is None or behind is None or not self.allows(held.provider, needs):
            return None
        return held.provider if behind <= self._saved(held, category) else None

    def _saved(self, held: Held, category: str) -> float:
        """What the holder's cache is expected to save at the next turn, as a reward."""
        tokens, provider = self.conversations.cached(held), self._settings.provider(held.provider)
        kind = self._settings.hosts[provider.host].kind
        seconds = tokens / READ_PER_S.get(kind, HOSTS_READ_PER_S)
        return self.ranking.worth(category, saved_usd(tokens, provider.cost), seconds)

    def hedge_after_s(self, name: str) -> float:
        """How long in seconds a hedged fallback waits: the learned p95 of the primary's first
        token."""
        return self.ranking.ttft_p95_s(name) or 0.0

    async def ready(self, log: Rows, within_s: float | None = None) -> None:
        """Make some order available: from a stored snapshot and the rows since, or from the newest
        rows (then `provisional`).

        Waits at most so long. A log that cannot be read costs the learned order, not the answer;
        the next call tries again.
        """
        if self._ready:
            return
        loop = asyncio.get_running_loop()
        if self._learning is None or self._learning.done() or self._learning.get_loop() is not loop:
            self._learning = loop.create_task(self._learn(log), name="learn-from-the-log")
            self._learning_since = loop.time()
        left_s = None
        if within_s is not None:
            left_s = self._learning_since + within_s - loop.time()
            if left_s <= 0:
                return
        await asyncio.wait({self._learning}, timeout=left_s)

    async def _learn(self, log: Rows) -> None:
        try:
            known = await self.memory.recall(log) if self.memory is not None else None
            if known is not None:
                held, self._cursor = known
                self.ranking.resume(held)
            else:
                position = await log.position()
                newest = await log.recent(PROVISIONAL)
                await self._fold_in(newest)
                self._cursor, self.provisional = position, len(newest) >= PROVISIONAL
            self._ready = True
            await self.catch_up(log)
        except StorageError as error:
            if self._unreadable is None:
                logger.error("log_unreadable", error=str(error))
            self._unreadable = error
        else:
            self._unreadable = None
        self.ranking.settle()

    def replace(self, ranking: Ranking, cursor: int) -> None:
        """Continue with what was learned elsewhere from the log up to that position."""
        self.ranking, self._cursor = ranking, cursor
        self._ready, self.provisional = True, False
        self.ranking.settle()

    def learned(self) -> tuple[Learned, int] | None:
        """What is known and the position in the log up to which it is whole; None while it is
        not: the log is not read yet, only its newest rows are, or a row came too late."""
        cursor, whole = self._cursor, self._ready and not self.provisional
        if cursor is None or not whole or self._folding or self.ranking.overtaken is not None:
            return None
        return self.ranking.held(), cursor

    async def catch_up(self, log: Rows, *, revised: bool = False) -> None:
        """Fold in what any replica wrote since the last time, and its cost.

        `revised`: a row of this process that was revised, whose cost counts at once.
        """
        if revised or self._clock() >= self._ask_spent_at:
            await self._look_at_spending(log)
            budget = self._settings.budget
            limited = budget.daily_usd is not None or budget.providers
            self._ask_spent_at = self._clock() + (LIMITED_S if limited else SPENT_S)
        if not self._ready:
            await self.ready(log)
            if self._unreadable is not None:
                raise self._unreadable
            return
        while True:
            ranking = self.ranking
            rows, cursor = await log.since(self._cursor)
            held, self._held = self._held, []
            await self._fold_in([*held, *rows])  # contained in what the log returns for the row
            if ranking is self.ranking:
                self._cursor = cursor
            if not rows:
                return

    async def _look_at_spending(self, log: Rows) -> None:
        """What all have spent today; what is spent here meanwhile may count twice until the next
        look, never not at all."""
        before, self._own = self._own, {}
        try:
            spent = await log.spent_today()
        except StorageError:
            for name, cost_usd in before.items():
                self._own[name] = self._own.get(name, 0.0) + cost_usd
            raise
        for name, cost_usd in self._own.items():
            spent[name] = spent.get(name, 0.0) + cost_usd
        self._spent = spent

    async def _fold_in(self, rows: Sequence[InteractionRow]) -> None:
        self._folding += 1
        try:
            for begin in range(0, len(rows), PIECE):
                self.ranking.fold(observations(rows[begin : begin + PIECE]))
                await asyncio.sleep(0)
        finally:
            self._folding -= 1

    def fold(self, rows: Sequence[InteractionRow], category: str, running: int = 1) -> str | None:
        """Fold in new rows; returns the reason to check the category's order again, if any.

        While many requests are `running`, rows of successful ones are held back for a moment and
        folded in together: requests end in another order than they started, and each one that was
        overtaken makes the fold go back.
        """
        self._held += rows
        well = all(a["outcome"] in WELL for row in rows for a in row["attempts"])
        if not well or len(self._held) * CROWD >= running:
            self.ranking.fold(observations(self._held))
            self._held = []
        for attempt in (a for row in rows for a in row["attempts"]):
            name, cost_usd = attempt["provider"], attempt.get("cost_usd") or 0.0
            for spent in (self._spent, self._own):
                spent[name] = spent.get(name, 0.0) + cost_usd
        return self.ranking.due(category)

    def rerank(self, category: str) -> Change | None:
        """Adopt the order that follows from the rows so far; returns the change, if any."""
        return self.ranking.rerank(category)


def once_of(change: Change) -> str:
    """Identifies a new order: the same in every replica for the same rows."""
    return f"{change.key} {' '.join(change.after)}"


def identity(settings: Settings, name: str) -> str:
    """Changes whenever the name refers to another model, host or key."""
    provider = settings.provider(name)
    host = settings.hosts[provider.host]
    key = host.key.get_secret_value() if host.key else ""
    said = f"{provider.resolved_model}|{host.url}|{key}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def ranking_of(settings: Settings, on_change: Callable[[Change], None] | None = None) -> Ranking:
    """The learner over the enabled providers, without any rows."""
    declared = {name: settings.order(name) for name in settings.categories}
    trials = {p.name: p.trial.share for p in settings.providers if p.trial}
    return Ranking(settings.ranking, declared, trials, on_change)
