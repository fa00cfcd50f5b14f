"""What the fold keeps of a category and of a provider as a whole."""

from __future__ import annotations

from math import log
from typing import NamedTuple

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.pairs import BESIDE
from routing.ranking.reward import Observation
from routing.ranking.standings import Change


class Course:
    """One category: its order, and what was there at its last rerank."""

    __slots__ = (
        "below",
        "beside",
        "cause",
        "changes",
        "count",
        "first",
        "fresh",
        "generation",
        "last",
        "order",
        "paces",
        "reranks",
        "usual",
        "waits",
    )

    def __init__(self, order: tuple[str, ...]) -> None:
        self.generation = 0
        self.order = order
        self.count = 0  # observations so far
        self.fresh = 0  # of them since the last rerank
        self.first = 0.0  # the mean of the first at the last rerank, and
        self.below = 0.0  # the best mean of the others
        self.usual = reward.Usual()  # as of the last rerank
        self.beside = BESIDE  # the lead of the answers that stand behind its primaries
        self.waits = (0.0, 0.0)  # weight and mean of the logarithms of what its answers took
        self.paces = (0.0, 0.0)
        self.cause = ""
        self.reranks = 0
        self.changes = 0
        self.last: Change | None = None

    def copy(self, generation: int) -> Course:
        other = Course(self.order)
        other.generation = generation
        other.count = self.count
        other.fresh = self.fresh
        other.first = self.first
        other.below = self.below
        other.usual = self.usual
        other.beside = self.beside
        other.waits = self.waits
        other.paces = self.paces
        other.cause = self.cause
        other.reranks = self.reranks
        other.changes = self.changes
        other.last = self.last
        return other

    def took(self, took: reward.Usual, weights: Ranking) -> None:
        """Get used to an answer that took so long."""
        keep = weights.forgetting
        if took.wait is not None:
            self.waits = _after(self.waits, took.wait, keep)
        if took.pace is not None:
            self.paces = _after(self.paces, took.pace, keep)

    def used_to(self, weights: Ranking) -> reward.Usual:
        """What it is used to now; what it was before where that is as good as the same."""
        fixed = weights.latency_scale_s
        wait = log(fixed) if fixed is not None else self.waits[1] if self.waits[0] else None
        pace = self.paces[1] if self.paces[0] else None
        if _moved(self.usual.wait, wait) or _moved(self.usual.pace, pace):
            self.usual = reward.Usual(wait, pace)
        return self.usual


def _after(mean: tuple[float, float], value: float, keep: float) -> tuple[float, float]:
    weight = mean[0] * keep + 1.0
    return weight, mean[1] + (value - mean[1]) / weight


def _moved(before: float | None, now: float | None) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(before - now) > SAME


SAME = 0.02
"""Two times that differ by less (as a share) are the same to whoever waits."""

FIT = 20
"""How much health is remembered at most; each success adds one to it."""

TOLL = 2
"""What a failure takes off the health, up to as many in a row as make an outage."""

TRUSTED = FIT // 4
"""Health below which the end of an outage is not believed: it has been failing on and off."""


class Pulse(NamedTuple):
    """Whether a provider is up, over all categories and roles."""

    failures: int = 0  # in a row
    skipped: bool = False  # since its last success, because its breaker was open
    health: int = FIT // 2
    """How well it did before: one that fails on and off all the time has had no outage."""

    def after(self, seen: Observation, weights: Ranking) -> tuple[Pulse, bool]:
        """The pulse after an attempt, and whether that was the end of an outage.

        The breaker itself is not in the log, but what opens and closes it is: so many failures
        in a row or an attempt that was skipped, and then a success. A model that answers now
        and then amid failures shows the same, so the end is believed of a healthy one only.
        """
        failures, skipped, health = self
        if seen.outcome == "skipped":
            return self if skipped else Pulse(failures, True, health), False
        succeeded = reward.success(seen.outcome, seen.error, weights)
        if succeeded is None:
            return self, False
        if succeeded < 1.0:
            if failures < weights.outage:
                health = max(0, health - TOLL)
            return Pulse(failures + 1, skipped, health), False
        back = (skipped or failures >= weights.outage) and health >= TRUSTED
        return WELL if health + 1 >= FIT else Pulse(0, False, health + 1), back


WELL = Pulse(0, False, FIT)
"""Of one that has long done well."""

UNTRIED = Pulse()
