"""A category: its order, what it says of itself, and why it changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import log
from statistics import fmean
from typing import NamedTuple

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.arm import BESIDE
from routing.ranking.evidence import P95, percentile
from routing.ranking.policy import DIFFERENCE
from routing.ranking.reward import Observation


@dataclass(frozen=True, slots=True)
class Change:
    """A new order of a category, with its reason as one sentence."""

    category: str
    at: float  # Unix time in seconds of the row that brought it
    before: tuple[str, ...]
    after: tuple[str, ...]
    why: str
    cause: str  # evidence | interval | recovery
    recovered: str | None = None  # the provider that is back from an outage, if one is
    key: tuple[float, str, int] = (0.0, "", 0)  # of that row


@dataclass(frozen=True, slots=True)
class Standing:
    """One provider in one category. `low` and `high` bound the mean reward with 90%."""

    provider: str
    position: int
    declared_position: int
    mean: float
    low: float
    high: float
    p_best: float
    n: int
    success: float | None
    quality: float | None
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    cost_usd: float | None
    liked: int
    disliked: int
    trial: float | None = None
    """The fixed share of a provider on trial, else None."""
    verdicts: int = 0
    """On its answers against others',"""
    lead: float | None = None
    """and by how much more of them are liked for that."""


@dataclass(frozen=True, slots=True)
class Standings:
    """A category in its learned order."""

    category: str
    entries: tuple[Standing, ...]
    observations: int
    changes: int
    last_change: Change | None

    def as_dict(self) -> dict[str, object]:
        """The same as plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to ask, best first; the first one is asked as primary."""

    order: tuple[str, ...]
    explored: bool
    propensity: float | None
    """The probability with which the first one was chosen; None: by no chance, to try it again."""


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
        other = Course.__new__(Course)
        for name in Course.__slots__:
            setattr(other, name, getattr(self, name))
        other.generation = generation
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
        if _differ(self.usual.wait, wait, weights) or _differ(self.usual.pace, pace, weights):
            self.usual = reward.Usual(wait, pace)
        return self.usual


def _after(mean: tuple[float, float], value: float, keep: float) -> tuple[float, float]:
    weight = mean[0] * keep + 1.0
    return weight, mean[1] + (value - mean[1]) / weight


def _differ(before: float | None, now: float | None, weights: Ranking) -> bool:
    """Whether an answer that takes the one is worth more than one that takes the other."""
    if before is None or now is None:
        return before is not now
    share = reward.latency_share(now, None, reward.Usual(before), weights)
    usual = reward.latency_share(before, None, reward.Usual(before), weights)
    return abs(share - usual) > weights.margin


class Pulse(NamedTuple):
    """Whether a provider is up, over all categories and roles."""

    failures: int = 0  # in a row
    skipped: bool = False  # since its last success, because its breaker was open
    health: int = 0
    """How well it did before: more successes than failures, as many as make two outages at most;
    an outage takes off what it is made of. One that fails on and off has had no outage."""

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
                health = max(0, health - 1)
            return Pulse(failures + 1, skipped, health), False
        back = (skipped or failures >= weights.outage) and health >= weights.outage
        if not failures and not skipped and health == 2 * weights.outage:
            return self, False
        return Pulse(0, False, min(health + 1, 2 * weights.outage)), back


class Shift(NamedTuple):
    """What the last attempts of a provider were worth against those before."""

    provider: str
    by: float
    before: list[Observation]
    last: list[Observation]


class Part(NamedTuple):
    """One part of the reward: how it is read off an attempt, shown, and what it is worth."""

    label: str
    form: str
    value: Callable[[Observation], float | None]
    worth: Callable[[float], float]


def explain(rows: Sequence[Observation], change: Change, weights: Ranking) -> str:
    """One sentence on the first place that the change filled anew, from the last rows before it."""
    category = change.category
    rose, fell = next((a, b) for b, a in zip(change.before, change.after, strict=True) if a != b)
    head = f"{category}: {rose} before {fell}:"
    if rose == change.recovered:
        return f"{head} {rose} is back from an outage"
    tries = _attempts(rows, category, (rose, fell), weights)
    shifts = [s for name in (fell, rose) if (s := _shift(name, tries[name], weights))]
    shift = max(shifts, key=lambda s: abs(s.by), default=None)
    if shift is None or abs(shift.by) < DIFFERENCE or (shift.by > 0) != (shift.provider == rose):
        return f"{head} {_comparison(rose, fell, tries, weights)}"
    span = f"over its last {len(shift.last)}"
    return f"{head} {_moved(shift, weights)} {span}{_p95(shift.last)}"


def _spans(weights: Ranking) -> list[int]:
    """How many of the last attempts may be set against those before them: 5, 10, 20, 40."""
    spans = [weights.outage]
    while 2 * spans[-1] <= weights.outage * weights.every:
        spans.append(2 * spans[-1])
    return spans


def _attempts(
    rows: Sequence[Observation],
    category: str,
    names: tuple[str, ...],
    weights: Ranking,
) -> dict[str, list[Observation]]:
    """The last attempts of each that count, oldest first."""
    found: dict[str, list[Observation]] = {name: [] for name in names}
    enough = 2 * _spans(weights)[-1]
    for seen in reversed(rows):
        mine = found.get(seen.provider)
        if mine is None or seen.category != category or seen.role != "primary":
            continue
        if len(mine) < enough and reward.success(seen.outcome, seen.error, weights) is not None:
            mine.append(seen)
            if all(len(each) >= enough for each in found.values()):
                break
    return {name: tries[::-1] for name, tries in found.items()}


def _shift(provider: str, tries: list[Observation], weights: Ranking) -> Shift | None:
    """The split of its attempts that shows the clearest move."""
    best: Shift | None = None
    clearest = 0.0
    spans = _spans(weights)
    for span in spans:
        last, before = tries[-span:], tries[:-span][-spans[-1] :]
        if len(last) < span or len(before) < spans[0]:
            continue
        usual = _usual(tries)
        by = _mean_reward(last, weights, usual) - _mean_reward(before, weights, usual)
        if abs(by) * span**0.5 > clearest:
            clearest = abs(by) * span**0.5
            best = Shift(provider, by, before, last)
    return best


def _moved(shift: Shift, weights: Ranking) -> str:
    """The part of the reward that moved most, in its own unit."""
    candidates = []
    for part in _parts(weights, _usual([*shift.before, *shift.last])):
        before, last = _known(part, shift.before), _known(part, shift.last)
        if before and last:
            was, now = fmean(before), fmean(last)
            moved = abs(part.worth(now) - part.worth(was))
            candidates.append((moved, part.label, part.form.format(was), part.form.format(now)))
    _, label, was_shown, now_shown = max(candidates)
    return f"{label} of {shift.provider} {was_shown} → {now_shown}"


def _known(part: Part, tries: Sequence[Observation]) -> list[float]:
    return [value for seen in tries if (value := part.value(seen)) is not None]


def _parts(weights: Ranking, usual: reward.Usual) -> tuple[Part, ...]:
    return (
        Part("success", "{:.2f}", lambda s: reward.success(s.outcome, s.error, weights), float),
        Part("quality", "{:.2f}", lambda s: s.quality, float),
        Part(
            "share liked",
            "{:.2f}",
            lambda s: None if s.liked is None else float(s.liked),
            lambda share: reward.liking(share, weights),
        ),
        Part(
            "first token",
            "{:.2f} s",
            lambda s: None if s.ttft_ms is None else s.ttft_ms / 1_000,
            lambda seconds: reward.latency_share(
                reward.log_s(1_000 * seconds), None, usual, weights
            ),
        ),
        Part(
            "cost",
            "{:.2g} USD",
            lambda s: s.cost_usd,
            lambda usd: reward.cost_share(usd, weights),
        ),
    )


def _comparison(rose: str, fell: str, tries: dict[str, list[Observation]], weights: Ranking) -> str:
    if not tries[rose] and not tries[fell]:
        return "by what is known of them from long ago"
    if not tries[rose] or not tries[fell]:
        known = tries[rose] or tries[fell]
        who = rose if tries[rose] else fell
        earned = _mean_reward(known, weights, _usual(known))
        return f"{who} earned {earned:.2f} over its last {len(known)}"
    usual = _usual([*tries[rose], *tries[fell]])
    for span in reversed(_spans(weights)):
        better, worse = tries[rose][-span:], tries[fell][-span:]
        won, lost = _mean_reward(better, weights, usual), _mean_reward(worse, weights, usual)
        if won > lost:
            return (
                f"reward {won:.2f} against {lost:.2f}"
                f" over their last {len(better)} and {len(worse)}{_p95(better)}"
            )
    return "by what is usual for them rather than by their last attempts"


def _mean_reward(tries: Sequence[Observation], weights: Ranking, usual: reward.Usual) -> float:
    return fmean(reward.of(seen, weights, usual) or 0.0 for seen in tries)


def _usual(tries: Sequence[Observation]) -> reward.Usual:
    """What these took in the geometric mean."""
    took = [t for seen in tries if (t := reward.felt(seen, reward.Usual())) is not None]
    waits = [t.wait for t in took if t.wait is not None]
    paces = [t.pace for t in took if t.pace is not None]
    return reward.Usual(fmean(waits) if waits else None, fmean(paces) if paces else None)


def _p95(tries: Sequence[Observation]) -> str:
    slowest = percentile([s.ttft_ms for s in tries if s.ttft_ms is not None], P95)
    return "" if slowest is None else f", p95 {slowest / 1000:.1f} s"
