"""The race of one request, as a state machine without I/O or clock.

Inputs are what the two sides do (`token`, `alive`, `done`, `failed`) and the passing of time
(`tick`); each returns the actions to carry out, in order. Who may speak "holds the floor"; what
the caller has been shown so far is the "visible" text. The rules:

- The primary takes the floor with its first content token; the fallback's text is held back until
  the primary is out: failed, no sign of life (reasoning or content) within `ttft_s`, no content
  within the time for thinking after its first sign of life, or silent for `stall_s`.
- Overtime: when the primary is out and the fallback has nothing to show, whichever shows first
  speaks. A primary that resumes before the fallback has shown anything keeps the floor.
- A holder that dies or stalls gives the floor to the other side, if that one has text.
- A fallback that runs alone is bound too, from the moment it is alone, by `ttft_s` until it has
  begun and then by `stall_s`, if confident passages could answer instead or text is visible.
- The first holder to complete wins. At `deadline_s` a complete answer is served, else nobody wins.
- A caller whose text cannot be taken back (`rewindable=False`) is never shown a second beginning:
  the fallback goes on from the visible text, with its own answer where that begins alike, else it
  is asked to (`Continue`). What it says is read before it is shown (`race.seam`); where it does not
  go on, the race ends without a winner ("cut").
"""

from __future__ import annotations

from collections.abc import Callable

from config.models import Limits
from race.actions import (
    Action,
    Calls,
    Continue,
    Decide,
    Runner,
    Shown,
    Side,
    Start,
    StartFallback,
    Switch,
)
from race.seam import Seam

UNDERSTANDING = 0.25
"""The maximum share of `ttft_s` for classification. It takes 3 ms, but in a burst prompts queue for
it, and a healthy primary should not pay for all of that."""

LAG_S = 0.25
"""How late a busy event loop may be: data that has arrived is read before a side without a
successor counts as silent."""


class Race:
    """All instants are seconds on one monotonic clock of the caller's choice."""

    def __init__(
        self,
        limits: Limits,
        *,
        admitted_at: float,
        start: Start = "immediate",
        hedge_after_s: float = 0.0,
        may_hedge: Callable[[], bool] = lambda: True,
        rewindable: bool = True,
        continuable: bool = True,
    ) -> None:
        """`may_hedge` is called at most once, when a hedge is due, and decides by the budget.

        `continuable` False: an answer that was cut after it was shown cannot be continued, because
        it calls tools or has a schema.
        """
        self._limits = limits
        self._deadline_at = admitted_at + limits.deadline_s
        self.start: Start = start
        """When the fallback may begin."""
        self._hedge_at = admitted_at
        self._hedge_after_s = hedge_after_s
        self._may_hedge = may_hedge
        self._hedging = start == "hedged"
        self._continuable = continuable
        self._begun_at = admitted_at
        self._content_due: float | None = None  # set by the primary's first sign of life
        self._primary = Runner("primary")
        self._fallback = Runner("fallback")
        self._floor: Runner | None = None
        self._shown = Shown(rewindable=rewindable)
        self._continuing = False
        self._seam: Seam | None = None
        self.why_out = "failed"
        """What took the floor from the primary, if anything did."""
        self._passages = False
        self._alone_since: float | None = None
        self._silent = False
        self._overdue_since: float | None = None
        self.decision: Decide | None = None

    @property
    def floor(self) -> Side | None:
        """Who may speak now."""
        return self._floor.side if self._floor else None

    def may_think_aloud(self, side: Side) -> bool:
        """Whether this side's reasoning belongs to what the caller is being shown."""
        if self._floor is not None:
            return self._floor.side == side
        primary = self._primary
        return side == ("fallback" if primary.dead or primary.retrying else "primary")

    @property
    def fallback_shows(self) -> bool:
        """Whether the fallback has text, shown or held back."""
        return bool(self._fallback.parts)

    @property
    def visible_text(self) -> str:
        """The text shown to the caller and not discarded."""
        if self._shown.rewindable:
            return self._floor.text if self._floor else ""
        return self._shown.text

    @property
    def can_restart(self) -> bool:
        """Whether a new generation of the primary could still be shown to the caller."""
        return self._shown.replaceable

    def begin(self, now: float) -> list[Action]:
        """Both sides are ready to start; `ttft_s` counts from admission, since that is when the
        caller began to wait, or from a bounded time ago if classification took longer."""
        self._begun_at = max(self._begun_at, now - UNDERSTANDING * self._limits.ttft_s)
        self._hedge_at = now + self._hedge_after_s
        self._primary.started = True
        return self._settle(now)

    def token(self, side: Side, text: str, now: float) -> list[Action]:
        """A content token; empty text is only a sign of life."""
        return self._came(side, text, now)

    def called(self, side: Side, calls: Calls, now: float) -> list[Action]:
        """Fragments of tool calls; they take the floor as content does."""
        return self._came(side, calls, now)

    def _came(self, side: Side, part: str | Calls, now: float) -> list[Action]:
        runner = self._runner(side)
        runner.last_at, self._overdue_since = now, None
        if not part or self.decision or runner.dead or runner.void:
            return []
        if runner is self._fallback and self._seam and isinstance(part, str):
            part = self._seam.feed(part)
            if not part:
                return self._settle(now)
        runner.parts.append(part)
        runner.retrying = False
        if self._speaks(runner):
            if runner is self._primary and self._continuing:
                self._continuing, self._fallback.void, self._seam = False, True, None
                self._fallback.parts.clear()
            said: list[Action] = [self._shown.add(runner.side, part)]
            return said if now < self._deadline_at else said + self._settle(now)
        return self._settle(now)

    def alive(self, side: Side, now: float, *, think_s: float | None = None) -> list[Action]:
        """Reasoning or another sign of life: resets the stall clock, shows nothing.

        The primary's first one, if it is in time, allows it `think_s` from now for its first
        content (None: `ttft_s`).
        """
        runner = self._runner(side)
        runner.last_at, self._overdue_since = now, None
        if runner is self._primary and self._content_due is None and not self._primary_out(now):
            self._content_due = now + (self._limits.ttft_s if think_s is None else think_s)
        return self._settle(now)

    def passages_found(self, now: float, *, confident: bool) -> list[Action]:
        """Retrieval has finished; `confident`: its passages could be an answer by themselves."""
        self._passages = confident
        return self._settle(now)

    def done(self, side: Side, now: float) -> list[Action]:
        """The side's answer is complete."""
        runner = self._runner(side)
        if runner.void or self.decision:
            return []
        said: list[Action] = []
        if runner is self._fallback and self._seam:
            text = self._seam.end()
            runner.parts.append(text)
            if self._speaks(runner) and text:
                said.append(self._shown.add(runner.side, text))
        runner.complete, runner.last_at = True, now
        return [*said, *self._settle(now)]

    def failed(
        self, side: Side, now: float, *, retrying: bool = False, reason: str = "failed"
    ) -> list[Action]:
        """The side's call failed; with `retrying` another call of this side follows."""
        runner = self._runner(side)
        if runner.void:
            return []
        if side == "primary":
            self.why_out = reason
        runner.fail(retrying=retrying)
        return self._settle(now)

    def refused(self, now: float) -> list[Action]:
        """The primary's content filter rejected it: final, unless the fallback holds the floor."""
        self._primary.dead = True
        self.why_out = "content_filter"
        if self.decision or self._floor is self._fallback:
            return self._settle(now)
        return [self._decide(None, "content_filter")]

    def tick(self, now: float) -> list[Action]:
        """Time has passed; call at or after `next_at`."""
        return self._settle(now)

    def next_at(self, now: float) -> float | None:
        """The next instant after `now` at which time alone changes something."""
        if self.decision:
            return None
        instants = [self._deadline_at]
        if self._primary.started and not self._primary.parts and not self._primary.dead:
            instants.append(self._first_due())
        if self._hedging and not self._fallback.started:
            instants.append(self._hedge_at)
        if self._floor:
            instants.append(self._floor.last_at + self._limits.stall_s)
        if (due := self._lone_due(now)) is not None:
            instants.append(due if self._overdue_since is None else self._overdue_since + LAG_S)
        return min((t for t in instants if t > now), default=None)

    def _settle(self, now: float) -> list[Action]:
        if self.decision:
            return []
        actions = self._start_fallback(now)
        if (due := self._lone_due(now)) is not None and now >= due:
            self._overdue_since = now if self._overdue_since is None else self._overdue_since
            if now >= self._overdue_since + LAG_S:
                self._fallback.dead = self._silent = True
        if self._seam and self._seam.verdict == "broken":
            if self._seam.asked:
                return [*actions, self._decide(None, "cut")]
            self._continuing, self._seam = False, None
        taker = self._next_holder(now)
        if taker and not self._speaks(taker):
            actions += self._take_floor(taker, now)
        elif self._must_continue(now):
            actions += self._go_on(now)
            if self.decision:
                return actions
        elif self._cut(now):
            return [*actions, self._decide(None, "cut")]
        if self._floor and self._floor.complete and self._speaks(self._floor):
            actions.append(self._decide(self._floor.side, "complete"))
        elif now >= self._deadline_at:
            actions += self._end_by_deadline(now)
        elif self._hopeless():
            actions.append(self._decide(None, "silent" if self._silent else "failed"))
        return actions

    def _runner(self, side: Side) -> Runner:
        return self._primary if side == "primary" else self._fallback

    def _speaks(self, runner: Runner) -> bool:
        """Whether it holds the floor with the generation that the caller sees."""
        return runner is self._floor and runner.generation == self._shown.generation

    def _primary_out(self, now: float) -> bool:
        primary = self._primary
        if primary.dead or primary.retrying:
            return True
        if not primary.parts:
            if primary.started and now >= self._first_due():
                self.why_out = "timeout"
                return True
            return False
        if primary.stalled(now, self._limits.stall_s):
            self.why_out = "stalled"
            return True
        return False

    def _first_due(self) -> float:
        """When a primary without content so far is out."""
        due = self._content_due
        return self._begun_at + self._limits.ttft_s if due is None else due

    def _lone_due(self, now: float) -> float | None:
        """When a fallback that runs alone must have spoken; None if it does not, or is the only
        hope: a late answer is better than none. A live caller who has begun to read is not left
        waiting."""
        runner = self._fallback
        if not (self._primary.dead and runner.started) or runner.dead or runner.complete:
            return None
        if self.can_restart and not self._passages:
            return None
        if self._alone_since is None:
            self._alone_since = now
        since = max(self._alone_since, runner.last_at)
        return since + (self._limits.stall_s if runner.parts else self._limits.ttft_s)

    def _start_fallback(self, now: float) -> list[Action]:
        if self._fallback.started or self._fallback.dead or not self._primary.started:
            return []
        if self._must_continue(now):
            return []
        out = self._primary_out(now)
        hedge = not out and self._hedging and now >= self._hedge_at
        if hedge:
            hedge = self._hedging = self._may_hedge()
        if not (out or hedge or self.start == "immediate"):
            return []
        self._fallback.started = True
        return [StartFallback(hedged=hedge)]

    def _next_holder(self, now: float) -> Runner | None:
        """Who should hold the floor now; None leaves it unchanged."""
        stall_s = self._limits.stall_s
        if self._floor is self._fallback:
            stays = self._fallback.fit(now, stall_s) or not self._can_take(self._primary, now)
            return None if stays else self._primary
        if self._primary.fit(now, stall_s):
            return self._primary if self._can_take(self._primary, now) else None
        if self._primary_out(now) and self._can_take(self._fallback, now):
            return self._fallback
        return None

    def _can_take(self, runner: Runner, now: float) -> bool:
        if not runner.fit(now, self._limits.stall_s):
            return False
        if self.can_restart or self._speaks(runner):
            return True
        return runner is self._fallback and self._continuing

    def _take_floor(self, runner: Runner, now: float) -> list[Action]:
        goes_on = self._continuing and runner is self._fallback
        discard = 0 if goes_on else self._shown.length
        actions: list[Action] = []
        if runner is self._fallback or self._floor:
            actions.append(Switch(runner.side, self._reason(runner, now), discard))
        self._floor = runner
        return [*actions, *self._shown.take(runner, anew=not goes_on)]

    def _reason(self, runner: Runner, now: float) -> str:
        if runner is self._fallback:
            return self.why_out
        if self._fallback.stalled(now, self._limits.stall_s):
            return "stalled"
        return "failed" if self._floor is self._fallback else "retried"

    def _must_continue(self, now: float) -> bool:
        return (
            not self.can_restart
            and self._floor is self._primary
            and not self._continuing
            and not self._fallback.dead
            and self._primary_out(now)
            and self._continuable
            and not self._shown.calls
        )

    def _cut(self, now: float) -> bool:
        """What the caller was shown can neither be withdrawn nor continued, and the floor's holder
        is out."""
        if self._floor is None or self.can_restart or self._floor.complete:
            return False
        if self._continuable and not self._shown.calls:
            return False
        if self._floor is self._primary:
            return self._primary_out(now)
        return self._floor.dead or self._floor.stalled(now, self._limits.stall_s)

    def _go_on(self, now: float) -> list[Action]:
        """Continue the visible text: with the fallback's own answer as far as it is the same, else
        by asking it for a continuation."""
        shown, runner = self._shown.text, self._fallback
        own = Seam(shown, asked=False)
        new = own.feed(runner.text)
        if runner.complete:
            new += own.end()
        self._continuing = True
        if runner.parts and own.verdict != "broken":
            self._seam = own
            runner.parts[:] = [new] if new or runner.complete else []
            runner.last_at = now
            return self._settle(now)
        runner.renew()
        runner.started, runner.last_at = True, now
        self._seam = Seam(shown)
        return [Continue(shown)]

    def _hopeless(self) -> bool:
        """Whether no side can complete what the caller sees."""
        stuck = self._floor is self._fallback and not self.can_restart
        return self._fallback.dead and (self._primary.dead or stuck)

    def _end_by_deadline(self, now: float) -> list[Action]:
        for runner in (self._primary, self._fallback):
            if runner.complete and self._can_take(runner, now):
                return [*self._take_floor(runner, now), self._decide(runner.side, "deadline")]
        return [self._decide(None, "deadline")]

    def _decide(self, winner: Side | None, reason: str) -> Decide:
        self.decision = Decide(winner, reason)
        return self.decision
