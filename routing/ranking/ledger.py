"""The state that the fold carries from row to row, and what one row does to it.

What ranks a provider in a category: its attempts as primary there. A fallback's answers come
from retrieved passages and a probe's prompts are chosen for a trial, so neither says how it
would do as primary; both tell whether it is up.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.arm import Arm, apart
from routing.ranking.evidence import BOUND, OWN, Z90, Prior, claim, pool
from routing.ranking.policy import belief, settle
from routing.ranking.reward import Observation
from routing.ranking.standings import Change, Course, Pulse

_GENERATIONS = itertools.count(1)
"""One count for all ledgers: a state that one took over from another is copied before it is
changed, for the other still keeps it."""


FIRST_LOOKS = 6
"""Chances of turning by chance that an order has at least."""


class Pooling(NamedTuple):
    """What is known over all categories."""

    answers: int = 0  # so far
    due: int = 1  # from so many on the priors are renewed
    noise: float = reward.NEUTRAL_QUALITY * (1.0 - reward.NEUTRAL_QUALITY)  # variance of one
    own: float = OWN**2  # see `routing.ranking.evidence`


@dataclass(slots=True)
class Snapshot:
    """The state at a moment. What it holds is copied before it is changed."""

    arms: dict[tuple[str, str], Arm]
    courses: dict[str, Course]
    pulses: dict[str, Pulse]
    pooling: Pooling


class Ledger:
    """Every category's order, and what is known of every provider in it.

    `declared` is each category's order; those `on_trial` keep their place at its end.
    """

    def __init__(
        self, weights: Ranking, declared: Mapping[str, Sequence[str]], on_trial: Collection[str]
    ) -> None:
        self.weights = weights
        self.on_trial = frozenset(on_trial)
        self.declared = {name: tuple(order) for name, order in declared.items()}
        self.courses = {name: Course(tuple(order)) for name, order in declared.items()}
        self.arms = {
            (category, name): Arm(place, weights)
            for category, order in declared.items()
            for place, name in enumerate(order)
        }
        self.pulses: dict[str, Pulse] = {}
        self.pooling = Pooling()
        names = list(dict.fromkeys(name for order in self.declared.values() for name in order))
        self._claims = np.zeros((len(self.declared), len(names)))
        self._cells = []
        for row, (category, order) in enumerate(self.declared.items()):
            for place, name in enumerate(order):
                self._claims[row, names.index(name)] = -claim(place)
                self._cells.append((row, names.index(name), (category, name)))
        rows, columns, _ = zip(*self._cells, strict=True) if self._cells else ((), (), ())
        self._places = (np.array(rows, dtype=int), np.array(columns, dtype=int))
        self.generation = next(_GENERATIONS)

    def snapshot(self) -> Snapshot:
        self.generation = next(_GENERATIONS)
        return Snapshot(dict(self.arms), dict(self.courses), dict(self.pulses), self.pooling)

    def restore(self, snapshot: Snapshot) -> None:
        self.generation = next(_GENERATIONS)
        self.arms = dict(snapshot.arms)
        self.courses = dict(snapshot.courses)
        self.pulses = dict(snapshot.pulses)
        self.pooling = snapshot.pooling

    def adopt(self, snapshot: Snapshot) -> None:
        """Take over a state that other settings may have made: what it knows of providers and
        categories that are declared now, and the place of those in the order."""
        self.generation = next(_GENERATIONS)
        known = {key: arm for key, arm in snapshot.arms.items() if key in self.arms}
        self.arms = {**self.arms, **known}
        for category, declared in self.declared.items():
            course = snapshot.courses.get(category)
            if course is not None:
                course = self.courses[category] = course.copy(self.generation)
                kept = [name for name in course.order if name in declared]
                course.order = (*kept, *(name for name in declared if name not in kept))
        self.pulses = dict(snapshot.pulses)
        self.pooling = snapshot.pooling

    def step(self, seen: Observation) -> Sequence[Change]:
        """Take in the next row; the new orders that it brought, without their reasons."""
        if seen.role == "compare":
            return self._compare(seen) if seen.against is None else self._verdict(seen)
        back = self._is_back(seen)
        causes = self._recover(seen.provider) if back else {}
        category = seen.category
        counts = seen.role == "primary" and not seen.stays  # a conversation counts once
        if counts and (category, seen.provider) in self.arms:
            success = reward.success(seen.outcome, seen.error, self.weights)
            if success is not None:
                cause = self._learn(seen, success)
                if cause:
                    causes.setdefault(category, cause)
                if self._pooling_is_due:
                    causes = dict.fromkeys(self._pool(), "evidence") | causes
        if not causes:
            return ()
        recovered = seen.provider if back else None
        changes = [self._rerank(name, cause, seen, recovered) for name, cause in causes.items()]
        return [change for change in changes if change is not None]

    def _compare(self, seen: Observation) -> Sequence[Change]:
        """Take in an answer that was judged beside others, and look at the order now and then."""
        category = seen.category
        if (category, seen.provider) not in self.arms:
            return ()
        course = self._course(category)
        course.count += 1
        course.fresh += 1
        self._arm(category, seen.provider).compare(seen, self.weights, course.count)
        self.pooling = self.pooling._replace(answers=self.pooling.answers + 1)
        causes = dict.fromkeys(self._pool(), "evidence") if self._pooling_is_due else {}
        if course.fresh >= self.weights.every:
            causes[category] = "evidence"
        changes = [self._rerank(name, cause, seen, None) for name, cause in causes.items()]
        return [change for change in changes if change is not None]

    def _verdict(self, seen: Observation) -> Sequence[Change]:
        """Take in which of two answers is better (see `routing.ranking.arm`), and look at the
        order now and then."""
        category, name, rival = seen.category, seen.provider, str(seen.against)
        there = seen.beside or (rival != name and (category, rival) in self.arms)
        if (category, name) not in self.arms or not there or seen.verdict is None:
            return ()
        course, one = self._course(category), self._arm(category, name)
        if seen.beside:
            lead, course.beside = apart(one.lead, course.beside, seen, self.weights)
        else:
            other = self._arm(category, rival)
            lead, theirs = apart(one.lead, other.lead, seen, self.weights)
            other.leads(theirs)
        one.leads(lead)
        course.fresh += 1
        if course.fresh < self.weights.every:
            return ()
        change = self._rerank(category, "evidence", seen, None)
        return () if change is None else (change,)

    @property
    def _pooling_is_due(self) -> bool:
        return self.pooling.answers >= self.pooling.due

    def _learn(self, seen: Observation, success: float) -> str:
        """Take in an attempt; why the category's order is to be looked at again, if it is."""
        course = self._course(seen.category)
        arm = self._arm(seen.category, seen.provider)
        if arm.reranked != course.reranks:  # its first since the last rerank: what was expected
            arm.reranked = course.reranks
            mean, variance = arm.value(self.weights, course.count)
            arm.half = max(Z90 * sqrt(variance), self.weights.noted)
            arm.expected = mean
        course.count += 1
        course.fresh += 1
        took = reward.felt(seen, course.usual) if success > 0.0 else None
        if took is not None:
            course.took(took, self.weights)
            if course.usual.wait is None:
                arm.used_to(course.used_to(self.weights))
        earned = arm.add(seen, success, took, self.weights, course.count)
        mean = arm.mean(self.weights, course.count)
        off = earned - mean
        answers, due, noise, own = self.pooling
        answers += 1
        noise += (off * off - noise) / min(answers + self.weights.every, self.weights.remembered)
        self.pooling = Pooling(answers, due, noise, own)
        if course.fresh >= min(self.weights.every, 1 + course.count // self.weights.every):
            return "evidence"
        leads, off = seen.provider == course.order[0], abs(mean - arm.expected)
        overtakes = mean < course.below if leads else mean > course.first
        return (
            "interval"
            if off
            > (max(self.weights.noted, arm.half / self.weights.every) if overtakes else arm.half)
            else ""
        )

    def _is_back(self, seen: Observation) -> bool:
        """Keep the provider's pulse; whether this was the end of an outage."""
        pulse = self.pulses.get(seen.provider, Pulse())
        self.pulses[seen.provider], back = pulse.after(seen, self.weights)
        return back

    def _recover(self, provider: str) -> dict[str, str]:
        concerned = [name for name in self.courses if (name, provider) in self.arms]
        for category in concerned:
            self._arm(category, provider).recover()
        return dict.fromkeys(concerned, "recovery")

    def _rerank(
        self, category: str, cause: str, seen: Observation, recovered: str | None
    ) -> Change | None:
        course = self._course(category)
        course.fresh = 0
        course.cause = cause
        course.reranks += 1
        ranked = [name for name in course.order if name not in self.on_trial]
        held = [name for name in course.order if name in self.on_trial]
        self._credit(category, course)
        usual = course.used_to(self.weights)
        for name in ranked:
            if self.arms[category, name].usual is not usual:
                self._arm(category, name).used_to(usual)
        arms = {name: self.arms[category, name] for name in ranked}
        weights, count = self.weights, course.count
        means = {
            name: arm.mean(weights, count) if arm.settled is None else arm.settled
            for name, arm in arms.items()
        }

        def known(name: str) -> float:
            """The variance within a state, where it is not sure which one the provider is in; none
            of one that is back from an outage, for what was before holds again."""
            if name == recovered:
                return 0.0
            arm = arms[name]
            if arm.settled is not None:
                return arm.value(weights, count).variance
            return belief(arm, weights, count)[0][2]

        failed = bool(ranked) and arms[ranked[0]].only_failed
        answered = [name for name in ranked if arms[name].healthy[0]] if failed else ()
        first = settle(ranked, means, known, weights.margin, self._looks(count), answered)
        after = (*first, *held)
        course.first = means.get(after[0], 0.0)
        course.below = max((means[name] for name in ranked if name != after[0]), default=0.0)
        if after == course.order:
            return None
        before, course.order = course.order, after
        course.changes += 1
        course.last = Change(category, seen.at, before, after, "", cause, recovered, seen[:3])
        return course.last

    def _looks(self, count: int) -> int:
        """How often chance may have turned an order of equals, which is to happen about once: the
        more often it was looked at since what is remembered began, the less may turn it."""
        remembered = min(count, self.weights.remembered)
        return int(max(FIRST_LOOKS, remembered**0.5))

    def _credit(self, category: str, course: Course) -> None:
        """Credit those that were hardly tried with what is known of those declared after them: a
        model for which somebody has just set a key shall not wait behind the one that stood in."""
        tried, arms = self.weights.tried, self.arms
        for name in self.declared[category]:
            arm = arms[category, name]
            if arm.floor or arm.weight + arm.prior.elsewhere < tried:
                break
        else:
            return
        best = 0.0
        for name in reversed(self.declared[category]):
            if name in self.on_trial:
                continue
            arm = self.arms[category, name]
            floor = best if arm.answers < tried else 0.0
            if abs(floor - arm.floor) > self.weights.noted:
                arm = self._arm(category, name)
                arm.credit(floor)
            if arm.n:
                best = max(best, arm.mean(self.weights, course.count))

    # -- what one category says of another ----------------------------------------------------

    def _pool(self) -> set[str]:
        """Renew what is expected of each provider in each category without its answers there; the
        categories in which that is something else now."""
        total = self.pooling.answers
        recent = int(min(total, self.weights.remembered))
        self.pooling = self.pooling._replace(due=total + 1 + recent // self.weights.every)
        arms = [self.arms[key] for _, _, key in self._cells]
        weight, mean = np.zeros(self._claims.shape), np.zeros(self._claims.shape)
        weight[self._places] = [arm.weight for arm in arms]
        mean[self._places] = [
            arm.own(self.weights, self.courses[key[0]].count) if arm.n else 0.0
            for arm, (_, _, key) in zip(arms, self._cells, strict=True)
        ]
        noise, moved = self.pooling.noise, set[str]()
        pooled = pool(weight, mean, self._claims, noise, self.pooling.own)
        self.pooling = self.pooling._replace(own=pooled.own)
        known = np.minimum(noise / pooled.variance, BOUND)
        elsewhere = weight.sum(0) - weight
        found = [
            of[self._places].tolist() for of in (pooled.mean, pooled.variance, known, elsewhere)
        ]
        for arm, (_, _, key), *prior in zip(arms, self._cells, *found, strict=True):
            expected = Prior(*prior)
            if arm.only_failed:  # how others do is no reason to expect more of it
                expected = expected._replace(mean=min(expected.mean, arm.prior.mean))
            if expected.moved(arm.prior, self.weights):
                self._arm(*key).expect(expected)
                moved.add(key[0])
        return moved

    # -- copied before it is changed ----------------------------------------------------------

    def _arm(self, category: str, provider: str) -> Arm:
        arm = self.arms[category, provider]
        if arm.generation != self.generation:
            arm = self.arms[category, provider] = arm.copy(self.generation)
        return arm

    def _course(self, category: str) -> Course:
        course = self.courses[category]
        if course.generation != self.generation:
            course = self.courses[category] = course.copy(self.generation)
        return course
