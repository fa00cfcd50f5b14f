"""The fold over the log: rows in, order out.

The result is a function of the rows alone, taken in (at, request_id, seq) order, whatever the
order of their arrival: a row that comes late, is revised or is judged afterwards makes the fold
go back to the last checkpoint before it and take that stretch again. So a replay gives what the
live run gave, and reading a stretch of the log twice changes nothing.

What ranks a provider in a category: its attempts as primary there. A fallback's answers come
from retrieved passages and a probe's prompts are chosen for a trial, so neither says how it
would do as primary; both tell whether it is up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

from config.models import Ranking
from routing import reason, reward
from routing.arm import Arm
from routing.course import WELL, Course, Pulse
from routing.observation import Observation
from routing.posterior import settle
from routing.standings import Change

WINDOW = 20_000
"""Rows that can still be revised; what is older stays as it was folded."""

STRETCH = 128
"""Rows between two checkpoints."""

CLOSE = 16
"""Checkpoints that are kept close together; of the older ones, one in so many."""

Z90 = 1.645


@dataclass(slots=True)
class Checkpoint:
    """The state before the row at `index`. What it holds is copied before it is changed."""

    index: int
    arms: dict[tuple[str, str], Arm]
    courses: dict[str, Course]
    pulses: dict[str, Pulse]


class Fold:
    """The state after the rows so far.

    `declared` is each category's order; `on_trial` are those that keep their place at its end.
    `on_change` is told each new order, again after a step back.
    """

    def __init__(
        self,
        weights: Ranking,
        declared: Mapping[str, Sequence[str]],
        on_trial: Collection[str] = (),
        on_change: Callable[[Change], None] | None = None,
    ) -> None:
        self.weights = weights
        self.rows: list[Observation] = []
        self.courses = {name: Course(tuple(order)) for name, order in declared.items()}
        self.arms = {
            (category, name): Arm(place, weights)
            for category, order in declared.items()
            for place, name in enumerate(order)
        }
        self.pulses: dict[str, Pulse] = {}
        self._on_trial = frozenset(on_trial)
        self._on_change = on_change
        self._known: dict[tuple[str, int], Observation] = {}
        self._floor: tuple[float, str, int] | None = None
        self._done = 0
        self._generation = 0
        self._checkpoints: list[Checkpoint] = []
        self._mark(0)

    def take(self, seen: Iterable[Observation]) -> None:
        """Take in rows, in any order; those that are known already change nothing."""
        fresh: dict[tuple[str, int], Observation] = {}
        for row in seen:
            key = (row.request_id, row.seq)
            old = fresh.get(key) or self._known.get(key)
            if old is not None and (old == row or old.revision > row.revision):
                continue
            if self._floor is None or row[:3] > self._floor:
                fresh[key] = row
        if not fresh:
            return
        dirty = self._merge(fresh)
        self._known.update(fresh)
        self._run(dirty)
        self._trim()

    def _merge(self, fresh: Mapping[tuple[str, int], Observation]) -> int:
        """Put the rows where they belong; the first index that is not as it was."""
        dirty = len(self.rows)
        for key in fresh:
            if (old := self._known.get(key)) is not None:
                index = bisect_left(self.rows, old)
                del self.rows[index]
                dirty = min(dirty, index)
        rows = sorted(fresh.values())
        if self.rows and rows[0] < self.rows[-1]:
            dirty = min(dirty, bisect_left(self.rows, rows[0]))
            self.rows.extend(rows)
            self.rows.sort()
        else:
            self.rows.extend(rows)
        return dirty

    def _run(self, dirty: int) -> None:
        """Step through the rows from there, going back to a checkpoint if need be."""
        start = dirty
        if dirty < self._done:
            while self._checkpoints[-1].index > dirty:
                self._checkpoints.pop()
            start = self._restore(self._checkpoints[-1])
        recent = len(self.rows) - CLOSE * STRETCH
        for index in range(start, len(self.rows)):
            if index % (STRETCH if index >= recent else CLOSE * STRETCH) == 0:
                self._mark(index)
            self._step(index)
        self._done = len(self.rows)

    def _step(self, index: int) -> None:
        seen = self.rows[index]
        provider = seen.provider
        if self._pulse(seen):
            self._recover(provider, index)
        if seen.role != "primary" or (seen.category, provider) not in self.arms:
            return
        success = reward.success(seen.outcome, seen.error, self.weights)
        if success is None:
            return
        course = self._course(seen.category)
        arm = self._arm(seen.category, provider)
        if arm.reranked != course.reranks:  # its first since the last rerank: what was expected
            arm.reranked = course.reranks
            mean, variance = arm.value(self.weights, course.count)
            arm.half = max(Z90 * sqrt(variance), self.weights.margin / 2)
            arm.expected = mean
        course.count += 1
        course.fresh += 1
        arm.add(seen, success, self.weights, course.count)
        if course.fresh >= self.weights.every:
            self._rerank(seen.category, course, index, "evidence")
        elif self._surprises(arm, course, provider == course.order[0]):
            self._rerank(seen.category, course, index, "interval")

    def _surprises(self, arm: Arm, course: Course, leads: bool) -> bool:
        """Whether its reward left the interval that it had, or costs or wins the first place."""
        mean, margin = arm.mean(self.weights, course.count), self.weights.margin
        if abs(mean - arm.expected) > arm.half:
            return True
        return mean < course.below - margin if leads else mean > course.first + margin

    def _pulse(self, seen: Observation) -> bool:
        """Keep the provider's pulse; whether this was the end of an outage."""
        pulse = self.pulses.get(seen.provider, WELL)
        if pulse is WELL and seen.outcome == "ok":
            return False
        self.pulses[seen.provider], recovered = pulse.after(seen, self.weights)
        return recovered

    def _recover(self, provider: str, index: int) -> None:
        for category in self.courses:
            if (category, provider) in self.arms:
                self._arm(category, provider).recover()
                self._rerank(category, self._course(category), index, "recovery", provider)

    def _rerank(
        self, category: str, course: Course, index: int, cause: str, recovered: str | None = None
    ) -> None:
        """Look at the order again, on what was seen before and with the row at `index`."""
        course.fresh = 0
        course.cause = cause
        course.reranks += 1
        ranked = [p for p in course.order if p not in self._on_trial]
        held = [p for p in course.order if p in self._on_trial]
        means = {p: self.arms[category, p].mean(self.weights, course.count) for p in ranked}
        after = (
            *settle(
                ranked,
                means,
                lambda p: self.arms[category, p].value(self.weights, course.count).variance,
                self.weights.margin,
            ),
            *held,
        )
        course.first = means.get(after[0], 0.0)
        course.below = max((means[p] for p in ranked if p != after[0]), default=0.0)
        if after == course.order:
            return
        before, course.order = course.order, after
        course.changes += 1
        seen = self.rows[index]
        course.last = Change(category, seen.at, before, after, "", cause, recovered, seen[:3])
        if self._on_change:
            self._on_change(self.explained(course.last, index))

    def explained(self, change: Change, index: int | None = None) -> Change:
        """The change with its reason, which is found only when somebody asks."""
        if change.why:
            return change
        if index is None:
            index = bisect_left(self.rows, change.key, key=lambda row: row[:3])
        why = reason.explain(self.rows, index + 1, change, self.weights)
        return replace(change, why=why)

    def _arm(self, category: str, provider: str) -> Arm:
        """Its own copy since the last checkpoint, to be changed."""
        arm = self.arms[category, provider]
        if arm.generation != self._generation:
            arm = self.arms[category, provider] = arm.copy(self._generation)
        return arm

    def _course(self, category: str) -> Course:
        course = self.courses[category]
        if course.generation != self._generation:
            course = self.courses[category] = course.copy(self._generation)
        return course

    def _mark(self, index: int) -> None:
        if self._checkpoints and index <= self._checkpoints[-1].index:
            return
        self._generation += 1
        self._checkpoints.append(
            Checkpoint(index, dict(self.arms), dict(self.courses), dict(self.pulses))
        )
        old = self._checkpoints[-CLOSE - 1] if len(self._checkpoints) > CLOSE else None
        if old is not None and old.index and old.index % (STRETCH * CLOSE):
            self._checkpoints.remove(old)

    def _restore(self, checkpoint: Checkpoint) -> int:
        self._generation += 1
        self.arms = dict(checkpoint.arms)
        self.courses = dict(checkpoint.courses)
        self.pulses = dict(checkpoint.pulses)
        return checkpoint.index

    def _trim(self) -> None:
        """Let go of rows that are too old to be revised."""
        spare = len(self.rows) - WINDOW
        if spare < STRETCH * CLOSE:
            return
        kept = [c for c in self._checkpoints if c.index >= spare]
        cut = kept[0].index
        for course in self.courses.values():
            if course.last is not None:
                course.last = self.explained(course.last)
        self._floor = self.rows[cut - 1][:3]
        for row in self.rows[:cut]:
            del self._known[row.request_id, row.seq]
        del self.rows[:cut]
        for checkpoint in kept:
            checkpoint.index -= cut
        self._checkpoints = kept
        self._done -= cut
