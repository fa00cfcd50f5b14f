"""The data of one request's race: its two sides, the text shown, and the resulting actions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from providers.base import ToolCallDelta

Side = Literal["primary", "fallback"]
Start = Literal["immediate", "hedged", "when_out"]


@dataclass(frozen=True, slots=True)
class Say:
    """Show this text to the caller."""

    side: Side
    text: str


Calls = tuple[ToolCallDelta, ...]
"""Fragments of tool calls that came together."""


@dataclass(frozen=True, slots=True)
class Call:
    """Show these fragments of tool calls to the caller."""

    side: Side
    calls: Calls


@dataclass(frozen=True, slots=True)
class Switch:
    """Discard the last `discard` characters and all tool calls; `to` speaks from here."""

    to: Side
    reason: str
    discard: int


@dataclass(frozen=True, slots=True)
class StartFallback:
    """The fallback's generation may start; `hedged` if the primary is not out yet."""

    hedged: bool


@dataclass(frozen=True, slots=True)
class Continue:
    """Discard the fallback's answer and ask it to continue the visible text."""

    text: str


@dataclass(frozen=True, slots=True)
class Decide:
    """The race is over; there is no winner if `winner` is None."""

    winner: Side | None
    reason: str


Action = Say | Call | Switch | StartFallback | Continue | Decide


@dataclass(slots=True)
class Runner:
    """The current generation of one side: text and tool calls."""

    side: Side
    parts: list[str | Calls] = field(default_factory=list)
    generation: int = 0
    last_at: float = 0.0
    started: bool = False
    complete: bool = False
    dead: bool = False
    retrying: bool = False
    void: bool = False
    """Its output is ignored: a continuation that became unnecessary when the primary returned."""

    @property
    def text(self) -> str:
        return "".join(part for part in self.parts if isinstance(part, str))

    def stalled(self, now: float, stall_s: float) -> bool:
        return bool(self.parts) and not self.complete and now >= self.last_at + stall_s

    def fit(self, now: float, stall_s: float) -> bool:
        """Whether it has text, and is complete or still running."""
        return bool(self.parts) and not self.dead and not self.stalled(now, stall_s)

    def fail(self, *, retrying: bool) -> None:
        """Its call failed; with `retrying` another one follows."""
        self.complete, self.retrying, self.dead = False, retrying, not retrying
        if retrying:
            self.renew()

    def renew(self) -> None:
        """A new generation begins."""
        self.parts.clear()
        self.generation += 1
        self.complete = self.void = False


class Shown:
    """What the caller was shown and was not asked to discard."""

    def __init__(self, *, rewindable: bool) -> None:
        """`rewindable` False: shown text cannot be withdrawn."""
        self.rewindable = rewindable
        self.length = 0
        """Characters of text."""
        self.calls = False
        """Tool calls are part of it."""
        self.generation = 0
        """The generation of the floor's holder that it comes from."""
        self._texts: list[str] = []

    @property
    def replaceable(self) -> bool:
        """Whether another text may replace it: it can be withdrawn, or is empty so far."""
        return self.rewindable or not (self.length or self.calls)

    @property
    def text(self) -> str:
        """The text that cannot be withdrawn; empty if it can."""
        return "".join(self._texts)

    def add(self, side: Side, part: str | Calls) -> Say | Call:
        """The action that shows it."""
        if not isinstance(part, str):
            self.calls = True
            return Call(side, part)
        self.length += len(part)
        if not self.rewindable:
            self._texts.append(part)
        return Say(side, part)

    def take(self, runner: Runner, *, anew: bool) -> list[Say | Call]:
        """The actions that show what this side has so far; `anew`: replacing what was shown."""
        if anew:
            self.length, self.calls = 0, False
            self._texts.clear()
        self.generation = runner.generation
        return [self.add(runner.side, part) for part in joined(runner.parts)]


def joined(parts: list[str | Calls]) -> list[str | Calls]:
    """The same actions with consecutive texts merged, and without empty ones."""
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
