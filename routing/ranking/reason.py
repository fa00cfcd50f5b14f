"""Why an order changed, as a sentence, from the raw attempts behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log
from statistics import fmean
from typing import NamedTuple

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.evidence import percentile
from routing.ranking.reward import Observation
from routing.ranking.standings import Change

LOOK_BACK = 3_000
"""Rows that are searched for the attempts of the two that changed places."""

SPANS = (5, 10, 20, 40)
"""How many of the last attempts may be set against those before them."""

NOTABLE = 0.03
"""A reward that moved by less does not explain anything."""


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


def explain(rows: Sequence[Observation], end: int, change: Change, weights: Ranking) -> str:
    """One sentence on the first place that the change filled anew; `rows[:end]` had been seen."""
    category = change.category
    rose, fell = next((a, b) for b, a in zip(change.before, change.after, strict=True) if a != b)
    head = f"{category}: {rose} before {fell}:"
    if rose == change.recovered:
        return f"{head} {rose} is back from an outage"
    tries = _attempts(rows, end, category, (rose, fell), weights)
    shifts = [s for name in (fell, rose) if (s := _shift(name, tries[name], weights))]
    shift = max(shifts, key=lambda s: abs(s.by), default=None)
    if shift is None or abs(shift.by) < NOTABLE or (shift.by > 0) != (shift.provider == rose):
        return f"{head} {_comparison(rose, fell, tries, weights)}"
    span = f"over its last {len(shift.last)}"
    return f"{head} {_moved(shift, weights)} {span}{_p95(shift.last)}"


def _attempts(
    rows: Sequence[Observation],
    end: int,
    category: str,
    names: tuple[str, ...],
    weights: Ranking,
) -> dict[str, list[Observation]]:
    """The last attempts of each that count, oldest first."""
    found: dict[str, list[Observation]] = {name: [] for name in names}
    enough = 2 * SPANS[-1]
    for index in range(end - 1, max(-1, end - 1 - LOOK_BACK), -1):
        seen = rows[index]
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
    for span in SPANS:
        last, before = tries[-span:], tries[:-span][-SPANS[-1] :]
        if len(last) < span or len(before) < SPANS[0]:
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
            lambda seconds: reward.latency_share(log(max(seconds, 1e-3)), None, usual, weights),
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
    for span in reversed(SPANS):
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
    slowest = percentile([s.ttft_ms for s in tries if s.ttft_ms is not None], 0.95)
    return "" if slowest is None else f", p95 {slowest / 1000:.1f} s"
