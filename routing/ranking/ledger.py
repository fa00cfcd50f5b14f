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

from config.models import Ranking
from routing.ranking import reward
from routing.ranking.arm import Arm
from routing.ranking.course import UNTRIED, WELL, Course, Pulse
from routing.ranking.evidence import NOTED
from routing.ranking.posterior import settle
from routing.ranking.reward import Observation
from routing.ranking.standings import Change

KNOWN = 60.0
"""Observations of a provider in a category beyond which its prior is left as it is."""

TRIED = 8.0
"""Observations from which a provider's place in the declared order claims nothing any more."""

Z90 = 1.645

_GENERATIONS = itertools.count(1)
"""One count for all ledgers: a state that one took over from another is copied before it is
changed, for the other still keeps it."""


@dataclass(slots=True)
class Snapshot:
    """The state at a moment. What it holds is copied before it is changed."""

    arms: dict[tuple[str, str], Arm]
    courses: dict[str, Course]
    pulses: dict[str, Pulse]
    leads: dict[str, tuple[float, float]]


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
        self.leads: dict[str, tuple[float, float]] = {}  # weight and sum, over all categories
        self.several = len(self.courses) > 1
        self.generation = next(_GENERATIONS)

    def snapshot(self) -> Snapshot:
        self.generation = next(_GENERATIONS)
        return Snapshot(dict(self.arms), dict(self.courses), dict(self.pulses), dict(self.leads))

    def restore(self, snapshot: Snapshot) -> None:
        self.generation = next(_GENERATIONS)
        self.arms = dict(snapshot.arms)
        self.courses = dict(snapshot.courses)
        self.pulses = dict(snapshot.pulses)
        self.leads = dict(snapshot.leads)

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
        self.leads = dict(snapshot.leads)

    def step(self, seen: Observation) -> Sequence[Change]:
        """Take in the next row; the new orders that it brought, without their reasons."""
        back = self._is_back(seen)
        causes = self._recover(seen.provider) if back else {}
        category = seen.category
        if seen.role == "primary" and (category, seen.provider) in self.arms:
            success = reward.success(seen.outcome, seen.error, self.weights)
            if success is not None:
                cause = self._learn(seen, success)
                if cause:
                    causes.setdefault(category, cause)
        if not causes:
            return ()
        recovered = seen.provider if back else None
        changes = [self._rerank(name, cause, seen, recovered) for name, cause in causes.items()]
        return [change for change in changes if change is not None]

    def _learn(self, seen: Observation, success: float) -> str:
        """Take in an attempt; why the category's order is to be looked at again, if it is."""
        course = self._course(seen.category)
        arm = self._arm(seen.category, seen.provider)
        if arm.reranked != course.reranks:  # its first since the last rerank: what was expected
            arm.reranked = course.reranks
            mean, variance = arm.value(self.weights, course.count)
            arm.half = max(Z90 * sqrt(variance), self.weights.margin / 2)
            arm.expected = mean
        course.count += 1
        course.fresh += 1
        earned = arm.add(seen, success, self.weights, course.count)
        if self.several:
            self._compare(seen.provider, earned, arm, course)
        if course.fresh >= self.weights.every:
            return "evidence"
        mean, margin = arm.mean(self.weights, course.count), self.weights.margin
        leads = seen.provider == course.order[0]
        overtakes = mean < course.below - margin if leads else mean > course.first + margin
        return "interval" if overtakes or abs(mean - arm.expected) > arm.half else ""

    def _is_back(self, seen: Observation) -> bool:
        """Keep the provider's pulse; whether this was the end of an outage."""
        pulse = self.pulses.get(seen.provider, UNTRIED)
        if pulse is WELL and seen.outcome == "ok":
            return False
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
        if self.several:
            self._expect(category, ranked, course)
        self._credit(category, course)
        arms = {name: self.arms[category, name] for name in ranked}
        weights, count = self.weights, course.count
        means = {
            name: arm.mean(weights, count) if arm.settled is None else arm.settled
            for name, arm in arms.items()
        }
        first = settle(
            ranked, means, lambda name: arms[name].value(weights, count).variance, weights.margin
        )
        after = (*first, *held)
        course.first = means.get(after[0], 0.0)
        course.below = max((means[name] for name in ranked if name != after[0]), default=0.0)
        if after == course.order:
            return None
        before, course.order = course.order, after
        course.changes += 1
        course.last = Change(category, seen.at, before, after, "", cause, recovered, seen[:3])
        return course.last

    def _credit(self, category: str, course: Course) -> None:
        """Credit those that were hardly tried with what is known of those declared after them: a
        model for which somebody has just set a key shall not wait behind the one that stood in."""
        best = 0.0
        for name in reversed(self.declared[category]):
            if name in self.on_trial:
                continue
            arm = self.arms[category, name]
            floor = best if arm.weight < TRIED else 0.0
            if abs(floor - arm.floor) > NOTED:
                arm = self._arm(category, name)
                arm.credit(floor)
            if arm.n:
                best = max(best, arm.mean(self.weights, course.count))

    # -- what one category says of another ----------------------------------------------------

    def _compare(self, provider: str, earned: float, arm: Arm, course: Course) -> None:
        """Tell apart what the category gives anybody and what the provider has beyond that."""
        course.base_weight = course.base_weight * self.weights.forgetting + 1.0
        course.base += (earned - arm.prior.lead - course.base) / course.base_weight
        weight, leads = self.leads.get(provider, (0.0, 0.0))
        weight -= arm.lead_weight
        leads -= arm.lead_weight * arm.lead
        arm.lead_weight = arm.weight
        arm.lead += (earned - course.base - arm.lead) / arm.weight
        self.leads[provider] = (weight + arm.weight, leads + arm.weight * arm.lead)

    def _expect(self, category: str, ranked: Sequence[str], course: Course) -> None:
        """Renew the priors of those of which little is known here, by what is known elsewhere."""
        base = self._base(course)
        for provider in ranked:
            arm = self.arms[category, provider]
            if arm.weight > KNOWN:
                continue
            weight, leads = self.leads.get(provider, (0.0, 0.0))
            weight -= arm.lead_weight
            if weight < 1.0:
                continue
            lead = (leads - arm.lead_weight * arm.lead) / weight
            if arm.declared.moved(arm.prior, base, lead, weight):
                prior = arm.declared.informed(base, lead, weight)
                self._arm(category, provider).expect(prior)

    def _base(self, course: Course) -> float:
        """What the category gives anybody; what all categories do, while little is known of it."""
        total = overall = 0.0
        for other in self.courses.values():
            total += other.base_weight
            overall += other.base_weight * other.base
        if not total:
            return 0.0
        known = course.base_weight / (course.base_weight + self.weights.prior_strength)
        return known * course.base + (1.0 - known) * overall / total

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
