"""The trial of a candidate, and the verdict on it once it serves traffic.

A smoke call comes first, then probes in pairs against the incumbent. Both get the same prompts at
temperature 0, and extra tokens if they reason. Their answers are only read, never executed.
"""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from config.models import THINK_S
from config.probe_sets import Probe
from discovery.calls import Contender, Reply, ask
from discovery.checks import grade
from discovery.confidence import PairedDifference
from discovery.events import Figures, Side
from routing.ranking.standings import Standing

ENOUGH = 20
"""Observations before a trial is judged at all, unless its breaker opens."""
LONG = 300
"""Observations after which a trial ends: the candidate is promoted unless it is probably worse."""
MARGIN = 0.02
"""A reward this little below the incumbent's counts as equal: the ranking's `margin`."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is a sentence with the figures, for the audit row and the page."""

    action: Literal["keep", "promote", "roll back"]
    reason: str


def verdict(
    trial: Standing, others: Sequence[Standing], *, breaker_opened: bool = False
) -> Decision:
    """Judge a provider on trial against the best of the category's trusted providers.

    The bounds are the ranking's own 90% intervals. A provider is promoted if it is certainly no
    worse than the incumbent by more than MARGIN, and rolled back if it is certainly worse or its
    breaker opened.
    """
    if breaker_opened:
        return Decision(
            "roll back", f"the breaker of {trial.provider} opened while it was on trial"
        )
    trusted = [s for s in others if s.trial is None and s.provider != trial.provider]
    if not trusted:
        return Decision("keep", "there is no provider to compare it with")
    best = min(trusted, key=lambda standing: standing.position)
    figures = (
        f"reward {trial.mean:.3f} ({trial.low:.3f} to {trial.high:.3f}) after {trial.n} calls,"
        f" {best.provider} {best.mean:.3f} ({best.low:.3f} to {best.high:.3f})"
    )
    if trial.n < ENOUGH:
        return Decision("keep", f"too early to judge: {figures}")
    if trial.high < best.low:
        return Decision("roll back", f"certainly worse: {figures}")
    if trial.low >= best.mean - MARGIN:
        return Decision("promote", f"as good or better: {figures}")
    if trial.n < LONG:
        return Decision("keep", f"not certain yet: {figures}")
    if trial.mean >= best.mean - MARGIN:
        return Decision("promote", f"no worse after a long trial: {figures}")
    return Decision("roll back", f"no better after a long trial: {figures}")


Outcome = Literal["better", "worse", "undecided", "unusable", "not tried"]

FAILURES = 3
"""This many consecutive failures end the trial."""
ENOUGH_FOR_SPEED = 5
MAX_COST_USD = 0.50
LOOK_AHEAD = 1000
"""How many more probes are considered when estimating what would decide."""
SHARES: dict[Outcome, float] = {"better": 0.05, "undecided": 0.02}
"""Share of the category's traffic for an adopted candidate."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When a trial ends. `ttft_s` is the category's limit for the first sign of life, `think_s` the
    one from there to the answer's first token."""

    ttft_s: float
    think_s: float = THINK_S
    alpha: float = 0.05
    max_cost_usd: float = MAX_COST_USD
    abreast: int = 4
    """Concurrent pairs; 1 if both sides share this machine's cores."""
    seed: int = 0


@dataclass
class Verdict:
    """The result of a trial; `difference` and its bounds are of mean scores in [0, 1]."""

    outcome: Outcome
    reason: str
    probes: int = 0
    difference: float = 0.0
    lower: float = -1.0
    upper: float = 1.0
    alpha: float = 0.05
    candidate_score: float | None = None
    incumbent_score: float | None = None
    ttft_ms: float | None = None
    """The candidate's median."""
    cost_usd: float | None = 0.0
    """Of both sides together; None if a price is unknown."""
    simulated: bool = False


@dataclass
class _Tally:
    """The state of a running trial."""

    rules: Rules
    bounds: PairedDifference
    candidate: list[float] = field(default_factory=list)
    incumbent: list[float] = field(default_factory=list)
    signs: list[float] = field(default_factory=list)
    ttfts: list[float] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    failures: list[int] = field(default_factory=lambda: [0, 0])  # consecutive: candidate, incumbent
    cost_usd: float | None = 0.0
    spent_usd: float = 0.0
    error: str = ""

    def add(self, probe: Probe, mine: Scored, theirs: Scored) -> None:
        for side, (reply, _) in enumerate((mine, theirs)):
            self.failures[side] = self.failures[side] + 1 if reply.error else 0
            self.spent_usd += reply.cost_usd or 0.0
            if self.cost_usd is not None:
                known = reply.cost_usd is not None
                self.cost_usd = self.cost_usd + (reply.cost_usd or 0.0) if known else None
        self.error = mine[0].error or self.error
        if mine[0].ttft_ms is not None and mine[0].sign_ms is not None:
            self.signs.append(mine[0].sign_ms)
            self.ttfts.append(mine[0].ttft_ms)
        if theirs[0].error:
            return  # failures of the incumbent say nothing about the candidate's answers
        self.candidate.append(mine[1])
        self.incumbent.append(theirs[1])
        self.differences.append(mine[1] - theirs[1])
        self.bounds.add(mine[1] - theirs[1])

    def ended(self) -> tuple[Outcome, str] | None:
        """Why the trial ends before its last probe, or None."""
        if self.failures[0] >= FAILURES:
            return "unusable", f"{FAILURES} calls in a row failed, the last one with {self.error}"
        if late := self._too_late():
            return "unusable", late
        if self.bounds.lower > 0:
            return "better", "its answers are better than the incumbent's"
        if self.bounds.upper < 0:
            return "worse", "its answers are worse than the incumbent's"
        if self.failures[1] >= FAILURES:
            outcome: Outcome = "undecided" if self.bounds.count else "not tried"
            return outcome, f"the incumbent failed {FAILURES} times in a row"
        if self.spent_usd >= self.rules.max_cost_usd:
            return "undecided", f"the trial's budget of ${self.rules.max_cost_usd:g} is spent"
        return None

    def _too_late(self) -> str | None:
        """Judged as in a request: the first sign of life and the reasoning each have a limit."""
        if len(self.ttfts) < ENOUGH_FOR_SPEED:
            return None
        sign_s = statistics.median(self.signs) / 1000
        if sign_s > self.rules.ttft_s:
            said = f"its first token takes {sign_s:.1f} s"
            return f"{said}, more than the category's {self.rules.ttft_s:g} s"
        gaps = [ttft - sign for sign, ttft in zip(self.signs, self.ttfts, strict=True)]
        think_s = statistics.median(gaps) / 1000
        if think_s > self.rules.think_s:
            return f"it thinks for {think_s:.1f} s, more than the {self.rules.think_s:g} s it may"
        return None

    def verdict(self, outcome: Outcome, reason: str, simulated: bool) -> Verdict:
        bounds = self.bounds
        return Verdict(
            outcome,
            reason,
            bounds.count,
            round(bounds.mean, 4),
            round(bounds.lower, 4),
            round(bounds.upper, 4),
            self.rules.alpha,
            round(statistics.fmean(self.candidate), 4) if self.candidate else None,
            round(statistics.fmean(self.incumbent), 4) if self.incumbent else None,
            round(statistics.median(self.ttfts), 1) if self.ttfts else None,
            None if self.cost_usd is None else round(self.cost_usd, 6),
            simulated,
        )


Scored = tuple[Reply, float]


async def compare(
    candidate: Contender, incumbent: Contender, probes: Sequence[Probe], rules: Rules
) -> AsyncGenerator[Figures | Verdict]:
    """Yields the figures of each pair as it is judged, and the verdict last."""
    order = list(probes)
    random.Random(rules.seed).shuffle(order)
    tally = _Tally(rules, PairedDifference(rules.alpha))
    ended: tuple[Outcome, str] | None = None
    for start in range(0, len(order), rules.abreast):
        batch = order[start : start + rules.abreast]
        pairs = await _all_pairs(candidate, incumbent, batch, rules)
        for number, (probe, (mine, theirs)) in enumerate(zip(batch, pairs, strict=True), start + 1):
            tally.add(probe, mine, theirs)
            yield _figures(number, len(order), probe, mine, theirs, tally)
            if (ended := ended or tally.ended()) is not None:
                break
        if ended is not None:
            break
    simulated = candidate.provider.simulated or incumbent.provider.simulated
    outcome, reason = ended or ("undecided", "no difference was certain")
    if outcome == "undecided":
        more = await asyncio.to_thread(more_probes, tally.differences, rules.alpha)
        reason = f"{reason}; {_what_would_decide(more)}"
    yield tally.verdict(outcome, reason, simulated)


def more_probes(differences: Sequence[float], alpha: float) -> int | None:
    """How many more probes would decide if they resemble those so far; None: too many."""
    if not any(differences):
        return None
    bounds = PairedDifference(alpha)
    for number in range(len(differences) + LOOK_AHEAD):
        bounds.add(differences[number % len(differences)])
        if number >= len(differences) and not bounds.lower <= 0 <= bounds.upper:
            return number + 1 - len(differences)
    return None


def _what_would_decide(more: int | None) -> str:
    share = SHARES["undecided"]
    probes = (
        f"{more} more probes with this difference would decide"
        if more
        else f"not even {LOOK_AHEAD} more probes like these would decide"
    )
    few, many = (round(calls / share) for calls in (ENOUGH, LONG))
    traffic = f"{few:,} to {many:,} requests of the category ({share:.0%} of them go to it)"
    return f"{probes}, or real traffic: {traffic}"


async def _all_pairs(
    candidate: Contender, incumbent: Contender, batch: Sequence[Probe], rules: Rules
) -> list[tuple[Scored, Scored]]:
    async def pair(probe: Probe) -> tuple[Scored, Scored]:
        if rules.abreast == 1:
            return await _scored(candidate, probe), await _scored(incumbent, probe)
        both = await asyncio.gather(_scored(candidate, probe), _scored(incumbent, probe))
        return both[0], both[1]

    return list(await asyncio.gather(*(pair(probe) for probe in batch)))


async def _scored(contender: Contender, probe: Probe) -> Scored:
    reply = await ask(contender, probe.prompt, probe.max_tokens, thoughts=probe.thoughts)
    if reply.error:
        return reply, 0.0
    if contender.quality is not None:
        draw = random.Random(f"{contender.provider.model}:{probe.id}").random()
        return reply, 1.0 if draw < contender.quality else 0.0
    return reply, grade(probe, reply.text)


def _figures(
    number: int, of: int, probe: Probe, mine: Scored, theirs: Scored, tally: _Tally
) -> Figures:
    def side(scored: Scored) -> Side:
        reply, score = scored
        return {
            "score": round(score, 3),
            "thought": reply.thought,
            "ttft_ms": reply.ttft_ms and round(reply.ttft_ms, 1),
            "latency_ms": round(reply.latency_ms, 1),
            "cost_usd": reply.cost_usd,
            "error": reply.error,
        }

    return {
        "number": number,
        "of": of,
        "id": probe.id,
        "tried": side(mine),
        "incumbent": side(theirs),
        "difference": round(tally.bounds.mean, 4),
        "lower": round(tally.bounds.lower, 4),
        "upper": round(tally.bounds.upper, 4),
        "cost_usd": None if tally.cost_usd is None else round(tally.cost_usd, 6),
    }
