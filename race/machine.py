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
from dataclasses import dataclass, field
from typing import Literal

from config.models import Limits
from providers.base import ToolCallDelta
from race.seam import Seam

UNDERSTANDING = 0.25
"""The share of `ttft_s` that classifying may take. It takes 3 ms, but in a burst prompts queue for
it, and a healthy primary shall not pay for all of that."""

LAG_S = 0.25
"""A busy event loop may be so late: what has arrived meanwhile is read before a side that nobody
stands behind counts as silent."""

Side = Literal["primary", "fallback"]
Start = Literal["immediate", "hedged", "when_out"]


@dataclass(frozen=True, slots=True)
class Say:
    """Show this text to the caller."""

    side: Side
    text: str


Calls = tuple[ToolCallDelta, ...]
"""Pieces of calls of tools that came together."""


@dataclass(frozen=True, slots=True)
class Call:
    """Show these pieces of calls of tools to the caller."""

    side: Side
    calls: Calls


@dataclass(frozen=True, slots=True)
class Switch:
    """Take back the last `discard` characters and all calls; `to` speaks from here."""

    to: Side
    reason: str
    discard: int


@dataclass(frozen=True, slots=True)
class StartFallback:
    """The fallback's generation may begin; `hedged` when the primary is not out yet."""

    hedged: bool


@dataclass(frozen=True, slots=True)
class Continue:
    """Drop the fallback's answer and ask it to go on from the visible text."""

    text: str


@dataclass(frozen=True, slots=True)
class Decide:
    """The race is over; nobody won when `winner` is None."""

    winner: Side | None
    reason: str


Action = Say | Call | Switch | StartFallback | Continue | Decide


@dataclass(slots=True)
class _Runner:
    """One side's current generation of text and calls."""

    side: Side
    parts: list[str | Calls] = field(default_factory=list)
    generation: int = 0
    last_at: float = 0.0
    started: bool = False
    complete: bool = False
    dead: bool = False
    retrying: bool = False
    void: bool = False
    """What comes is ignored: a continuation that the primary's return made pointless."""

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))

    def stalled(self, now: float, stall_s: float) -> bool:
        return bool(self.parts) and not self.complete and now >= self.last_at + stall_s

    def fit(self, now: float, stall_s: float) -> bool:
        """Has text, and it is complete or still coming."""
        return bool(self.parts) and not self.dead and not self.stalled(now, stall_s)

    def renew(self) -> None:
        """A new generation begins."""
        self.parts.clear()
        self.generation += 1
        self.complete = self.void = False


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
        """`may_hedge` is asked at most once, when a hedge is due: the budget's word on it.

        `continuable` False: an answer that was cut once it was shown cannot be gone on with, for
        it calls tools or keeps a schema.
        """
        self._limits = limits
        self._deadline_at = admitted_at + limits.deadline_s
        self._start: Start = start
        self._hedge_at = admitted_at
        self._hedge_after_s = hedge_after_s
        self._may_hedge = may_hedge
        self._hedging = start == "hedged"
        self._rewindable = rewindable
        self._continuable = continuable
        self._calls_shown = False
        self._begun_at = admitted_at
        self._content_due: float | None = None  # set by the primary's first sign of life
        self._primary = _Runner("primary")
        self._fallback = _Runner("fallback")
        self._floor: _Runner | None = None
        self._visible = 0
        self._visible_generation = 0
        self._visible_text: list[str] = []
        self._continuing = False
        self._seam: Seam | None = None
        self._why_out = "failed"
        self._passages = False
        self._alone_since: float | None = None
        self._silent = False
        self._overdue_since: float | None = None
        self.decision: Decide | None = None

    @property
    def start(self) -> Start:
        """When the fallback may begin."""
        return self._start

    @property
    def floor(self) -> Side | None:
        """Who may speak now."""
        return self._floor.side if self._floor else None

    def may_think_aloud(self, side: Side) -> bool:
        """Reasoning of this side belongs to what the caller is being shown."""
        if self._floor is not None:
            return self._floor.side == side
        primary = self._primary
        return side == ("fallback" if primary.dead or primary.retrying else "primary")

    @property
    def fallback_shows(self) -> bool:
        """The fallback has text, shown or held back."""
        return bool(self._fallback.parts)

    @property
    def why_out(self) -> str:
        """What took the floor from the primary, if anything did."""
        return self._why_out

    @property
    def visible_text(self) -> str:
        """What the caller has been shown and was not asked to drop."""
        if self._rewindable:
            return self._floor.text if self._floor else ""
        return "".join(self._visible_text)

    @property
    def can_restart(self) -> bool:
        """A new generation of the primary could still be shown to the caller."""
        return self._rewindable or not (self._visible or self._calls_shown)

    def begin(self, now: float) -> list[Action]:
        """Both sides are ready to start; `ttft_s` counts from admission, for that is when the
        caller began to wait, or from a bounded time ago if classifying took longer."""
        self._begun_at = max(self._begun_at, now - UNDERSTANDING * self._limits.ttft_s)
        self._hedge_at = now + self._hedge_after_s
        self._primary.started = True
        return self._settle(now)

    def token(self, side: Side, text: str, now: float) -> list[Action]:
        """A content token; empty text is only a sign of life."""
        return self._came(side, text, now)

    def called(self, side: Side, calls: Calls, now: float) -> list[Action]:
        """Pieces of calls of tools; they take the floor as content does."""
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
            said: list[Action] = [self._show(runner, part)]
            return said if now < self._deadline_at else said + self._settle(now)
        return self._settle(now)

    def alive(self, side: Side, now: float, *, think_s: float | None = None) -> list[Action]:
        """Reasoning or another sign of life: resets the stall clock, shows nothing.

        The primary's first one, if it comes in time, gives it `think_s` from now for its first
        content (None: `ttft_s`).
        """
        runner = self._runner(side)
        runner.last_at, self._overdue_since = now, None
        if runner is self._primary and self._content_due is None and not self._primary_out(now):
            self._content_due = now + (self._limits.ttft_s if think_s is None else think_s)
        return self._settle(now)

    def passages_found(self, now: float, *, confident: bool) -> list[Action]:
        """Retrieval is in: `confident` passages could answer by themselves."""
        self._passages = confident
        return self._settle(now)

    def done(self, side: Side, now: float) -> list[Action]:
        """The side's answer is complete."""
        runner = self._runner(side)
        if runner.void or self.decision:
            return []
        if runner is self._fallback and self._seam:
            text = self._seam.end()
            runner.parts.append(text)
            if self._speaks(runner) and text:
                return [self._say(runner, text), *self._complete(runner, now)]
        return self._complete(runner, now)

    def _complete(self, runner: _Runner, now: float) -> list[Action]:
        runner.complete, runner.last_at = True, now
        return self._settle(now)

    def failed(
        self, side: Side, now: float, *, retrying: bool = False, reason: str = "failed"
    ) -> list[Action]:
        """The side's call failed; with `retrying` another call of this side follows."""
        runner = self._runner(side)
        if runner.void:
            return []
        if side == "primary":
            self._why_out = reason
        runner.complete, runner.retrying, runner.dead = False, retrying, not retrying
        if retrying:
            runner.renew()
        return self._settle(now)

    def refused(self, now: float) -> list[Action]:
        """The primary's content filter spoke: final, unless the fallback holds the floor."""
        self._primary.dead = True
        self._why_out = "content_filter"
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

    # -- how a moment is settled --------------------------------------------------------------

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

    def _runner(self, side: Side) -> _Runner:
        return self._primary if side == "primary" else self._fallback

    def _speaks(self, runner: _Runner) -> bool:
        """Holds the floor with the generation that the caller sees."""
        return runner is self._floor and runner.generation == self._visible_generation

    def _primary_out(self, now: float) -> bool:
        primary = self._primary
        if primary.dead or primary.retrying:
            return True
        if not primary.parts:
            if primary.started and now >= self._first_due():
                self._why_out = "timeout"
                return True
            return False
        if primary.stalled(now, self._limits.stall_s):
            self._why_out = "stalled"
            return True
        return False

    def _first_due(self) -> float:
        """When the primary, without content so far, is out."""
        if self._content_due is not None:
            return self._content_due
        return self._begun_at + self._limits.ttft_s

    def _lone_due(self, now: float) -> float | None:
        """When a fallback that runs alone must have spoken; None while it does not, or where it is
        the only hope: an answer that comes late is better than none. A live caller who has begun to
        read is not left waiting."""
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
        if not (out or hedge or self._start == "immediate"):
            return []
        self._fallback.started = True
        return [StartFallback(hedged=hedge)]

    def _next_holder(self, now: float) -> _Runner | None:
        """Who should hold the floor now; None leaves it as it is."""
        stall_s = self._limits.stall_s
        if self._floor is self._fallback:
            stays = self._fallback.fit(now, stall_s) or not self._can_take(self._primary, now)
            return None if stays else self._primary
        if self._primary.fit(now, stall_s):
            return self._primary if self._can_take(self._primary, now) else None
        if self._primary_out(now) and self._can_take(self._fallback, now):
            return self._fallback
        return None

    def _can_take(self, runner: _Runner, now: float) -> bool:
        if not runner.fit(now, self._limits.stall_s):
            return False
        if self.can_restart or self._speaks(runner):
            return True
        return runner is self._fallback and self._continuing

    def _take_floor(self, runner: _Runner, now: float) -> list[Action]:
        goes_on = self._continuing and runner is self._fallback
        discard = 0 if goes_on else self._visible
        actions: list[Action] = []
        if runner is self._fallback or self._floor:
            actions.append(Switch(runner.side, self._reason(runner, now), discard))
        if not goes_on:
            self._visible, self._calls_shown = 0, False
            self._visible_text.clear()
        self._floor, self._visible_generation = runner, runner.generation
        return [*actions, *(self._show(runner, part) for part in _joined(runner.parts))]

    def _show(self, runner: _Runner, part: str | Calls) -> Say | Call:
        if isinstance(part, str):
            return self._say(runner, part)
        self._calls_shown = True
        return Call(runner.side, part)

    def _say(self, runner: _Runner, text: str) -> Say:
        self._visible += len(text)
        if not self._rewindable:
            self._visible_text.append(text)
        return Say(runner.side, text)

    def _reason(self, runner: _Runner, now: float) -> str:
        if runner is self._fallback:
            return self._why_out
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
            and not self._calls_shown
        )

    def _cut(self, now: float) -> bool:
        """What the caller was shown can neither be taken back nor be gone on with, and whoever
        holds the floor is out."""
        if self._floor is None or self.can_restart or self._floor.complete:
            return False
        if self._continuable and not self._calls_shown:
            return False
        if self._floor is self._primary:
            return self._primary_out(now)
        return self._floor.dead or self._floor.stalled(now, self._limits.stall_s)

    def _go_on(self, now: float) -> list[Action]:
        """Go on from the visible text: with the fallback's own answer as far as it is the same,
        else with a continuation that it is asked for."""
        shown, runner = "".join(self._visible_text), self._fallback
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
        """Nobody can complete what the caller sees."""
        if not self._fallback.dead:
            return False
        stuck = self._floor is self._fallback and not self.can_restart
        return self._primary.dead or stuck

    def _end_by_deadline(self, now: float) -> list[Action]:
        for runner in (self._primary, self._fallback):
            if runner.complete and self._can_take(runner, now):
                return [*self._take_floor(runner, now), self._decide(runner.side, "deadline")]
        return [self._decide(None, "deadline")]

    def _decide(self, winner: Side | None, reason: str) -> Decide:
        self.decision = Decide(winner, reason)
        return self.decision


def _joined(parts: list[str | Calls]) -> list[str | Calls]:
    """The same with texts that follow each other in one, and nothing empty."""
    joined: list[str | Calls] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        joined += ["".join(texts), part]
        texts = []
    joined.append("".join(texts))
    return [part for part in joined if part]
