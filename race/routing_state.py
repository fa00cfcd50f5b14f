"""What the router knows of its providers: breakers, the learned order, what may be asked now."""

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
from race.permits import Needs, Permits
from race.wishes import Conversations, Loops
from routing.ranking.ranking import Ranking
from routing.ranking.reward import observations
from routing.ranking.snapshot import Held
from routing.ranking.standings import Change, Choice
from telemetry.records import InteractionRow

logger = structlog.get_logger()

SPENT_S = 5.0
"""How often the day's cost is summed up from the log; what this process spends counts at once."""

LIMITED_S = 1.0
"""The same where the budget sets a limit: replicas together go beyond it by what they spend until
the next look, and by the calls that run then."""

PIECE = 250
"""Rows that are folded in before other requests have their turn: some 5 ms."""

PROVISIONAL = 2_000
"""The newest requests of the log, from which a start without a snapshot learns at once."""

CACHED = 0.05
"""Reward by which the holder of a conversation's prompt cache may be behind the first: a quarter of
what waiting can take off, for the prompt that need not be read again."""

CROWD = 3
"""One request's row is held back for each full so many that are running."""

WELL = frozenset({"ok", "cancelled", "skipped"})
"""Outcomes of which nothing hangs on being learned at once."""


class Rows(Protocol):
    """The part of the log that the routing state reads."""

    async def since(
        self, cursor: int | None = None, limit: int = ...
    ) -> tuple[list[InteractionRow], int]: ...

    async def spent_today(self) -> dict[str, float]: ...

    async def recent(self, limit: int | None = ...) -> list[InteractionRow]: ...

    async def position(self) -> int: ...


class Memory(Protocol):
    """What was learned from the log, over the end of a process; see `runtime.learning`."""

    async def recall(self, log: Rows) -> tuple[Held, int] | None:
        """The fold and its place in the log; None if nothing fits. Raises StorageError."""

    async def keep(self, routing: RoutingState, log: Rows, *, now: bool = False) -> None:
        """Keep it for the next process, if that is due. Raises StorageError."""

    def reread_if_due(self, routing: RoutingState, log: Rows) -> None:
        """Begin to read the whole log, if that is due."""

    async def stop(self) -> None:
        """End what is going on."""


class RoutingState(Permits):
    """Who may be asked now, and in which order. Shared by all requests of a process; every method
    is quick and none awaits but `catch_up`."""

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
        self._held: list[InteractionRow] = []  # written, not yet folded in
        self._ready = False
        self.memory = memory
        self._learning: asyncio.Task[None] | None = None
        self._learning_since = 0.0
        self._folding = 0
        self._unreadable: StorageError | None = None
        self.provisional = False
        """Only the newest rows of a long log are folded in: the whole of it has yet to be."""
        self.ranking = ranking_of(settings)
        self.hedges = HedgeBudget()
        self.loops = Loops()
        self.conversations = Conversations(settings.affinity.ttl_s, clock)
        self._enabled = [p.name for p in settings.providers if p.disabled is None]
        self._ask_spent_at = 0.0

    def with_settings(self, settings: Settings, memory: Memory | None = None) -> RoutingState:
        """A state for a new configuration; providers that stayed as they were keep their breaker.

        It has yet to read the log: `ready` does.
        """
        routing = RoutingState(settings, clock=self._clock, draw=self._draw, memory=memory)
        routing.conversations = self.conversations.with_ttl(settings.affinity.ttl_s)
        routing._unshared = self._unshared  # the breakers that stay report there
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
        """The order to ask in, and with what probability its first was chosen.

        Providers that may not be asked now come last; the first is one of them only if all are. One
        that is due to be tried after trouble goes first, once: the fallback stands behind it, and
        its place in the order fell with its failures. Where more than text is needed, models of
        other categories stand behind these.
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
        """Why the first of this choice is asked, where the caller has not said whom to ask."""
        if not choice.order:
            return f"{category} has no provider that is enabled"
        first, able = choice.order[0], [name for name in choice.order if self.allows(name)]
        if not able:
            return f"no provider of {category} may be asked now"
        if len(able) == 1 < len(choice.order):
            return f"only one: {first} alone of {category} may be asked now"
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

    def stays(self, session_id: str | None, category: str, needs: Needs = ()) -> str | None:
        """The provider that holds the conversation's prompt cache, while it may be asked and its
        learned reward is not too far behind; None: the order decides."""
        name = self.conversations.provider(session_id)
        behind = self.ranking.behind(category, name) if name is not None else None
        if name is None or behind is None or behind > CACHED:
            return None
        return name if self.allows(name, needs) else None

    def hedge_after_s(self, name: str) -> float:
        """How long a hedged fallback waits: the learned p95 of the primary's first token."""
        return self.ranking.ttft_p95_s(name) or 0.0

    async def ready(self, log: Rows, within_s: float | None = None) -> None:
        """Some order is learned from the log: what was kept of an earlier process and what came
        since, or else what the newest rows say (then `provisional`).

        Waits so long at most. A log that cannot be read costs the learned order, not the answer;
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
        """Go on with what was learned elsewhere from the log up to that position."""
        self.ranking, self._cursor = ranking, cursor
        self._ready, self.provisional = True, False
        self.ranking.settle()

    def learned(self) -> tuple[Held, int] | None:
        """What is known and the position in the log up to which it is whole; None while it is
        not: the log is not read yet, only its newest rows are, or a row came too late."""
        cursor, whole = self._cursor, self._ready and not self.provisional
        if cursor is None or not whole or self._folding or self.ranking.overtaken is not None:
            return None
        return self.ranking.held(), cursor

    async def catch_up(self, log: Rows, *, revised: bool = False) -> None:
        """Fold in what was written since the last time, by whatever replica, and what it cost.

        `revised`: a row of this process was, and its cost counts at once.
        """
        if revised or self._clock() >= self._ask_spent_at:
            self._spent = await log.spent_today()
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
            await self._fold_in([*held, *rows])  # what the log says of a row holds
            if ranking is self.ranking:
                self._cursor = cursor
            if not rows:
                return

    async def _fold_in(self, rows: Sequence[InteractionRow]) -> None:
        self._folding += 1
        try:
            for begin in range(0, len(rows), PIECE):
                self.ranking.fold(observations(rows[begin : begin + PIECE]))
                await asyncio.sleep(0)
        finally:
            self._folding -= 1

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


def once_of(change: Change) -> str:
    """Names a new order: the same rows give it in every replica."""
    return f"{change.key} {' '.join(change.after)}"


def identity(settings: Settings, name: str) -> str:
    """Changes whenever another model, another host or another key stands behind the name."""
    provider = settings.provider(name)
    host = settings.hosts[provider.host]
    key = host.key.get_secret_value() if host.key else ""
    said = f"{provider.resolved_model}|{host.url}|{key}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def ranking_of(settings: Settings, on_change: Callable[[Change], None] | None = None) -> Ranking:
    """The learner over the enabled providers, before it has seen a row."""
    declared = {name: settings.order(name) for name in settings.categories}
    trials = {p.name: p.trial.share for p in settings.providers if p.trial}
    return Ranking(settings.ranking, declared, trials, on_change)
