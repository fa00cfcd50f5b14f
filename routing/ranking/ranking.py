"""The learner: rows of the log in, the order of each category's providers out.

Pure: no clock, no chance of its own. The fold (`routing.ranking.fold`) keeps the truth; `rerank`
takes over what it found, and `choose` draws from that until the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import exp, log, sqrt

from config.models import Ranking as Weights
from routing.ranking import policy, reward
from routing.ranking.evidence import P95, Z90, percentile
from routing.ranking.fold import RECENT, Fold, Held, Key
from routing.ranking.ledger import Snapshot
from routing.ranking.policy import Served, belief, best_probabilities
from routing.ranking.reward import NOT_ITS_FAULT, Observation
from routing.ranking.standings import Change, Choice, Standing, Standings


class Ranking:
    """The learned order of every category.

    `declared` is each category's order as configured, best first; `trials` gives the fixed share
    of the providers on trial, which keep their place at the end. Same rows, same order.
    """

    def __init__(
        self,
        config: Weights,
        declared: Mapping[str, Sequence[str]],
        trials: Mapping[str, float] | None = None,
        on_change: Callable[[Change], None] | None = None,
    ) -> None:
        self._config = config
        self._declared = {category: tuple(order) for category, order in declared.items()}
        self._trials = dict(trials or {})
        self._fold = Fold(config, declared, self._trials, on_change)
        self._served = {category: self._serve(category) for category in self._declared}
        self._p95: dict[str, float] = {}
        self._p95_rows = 0

    def update(self, observation: Observation) -> None:
        """Take in one attempt."""
        self._fold.take([observation])

    def fold(self, observations: Iterable[Observation]) -> None:
        """Take in attempts in any order; what is known already changes nothing.

        A row of a known (request_id, seq) replaces it unless its revision is older.
        """
        self._fold.take(observations)

    @property
    def overtaken(self) -> Key | None:
        """The oldest row that came too late for the rows that are kept; see `before`."""
        return self._fold.overtaken

    def before(self, key: Key) -> tuple[Key, Snapshot] | None:
        """A kept state that is older than that place, to go on from with the log's rows."""
        return self._fold.before(key)

    def begin(self, after: Key, state: Snapshot) -> None:
        """Start from a state that holds every row up to that place."""
        self._fold.begin(after, state)
        self._renew()

    def held(self) -> Held:
        """What was learned, for `resume` in another process over the same log and settings."""
        return self._fold.held()

    def resume(self, held: Held) -> None:
        """Go on as if never stopped."""
        self._fold.resume(held)
        self._renew()

    def _renew(self) -> None:
        self._served = {category: self._serve(category) for category in self._declared}
        self._p95, self._p95_rows = {}, 0

    def due(self, category: str) -> str | None:
        """Why `rerank` would be worth its while: evidence, interval, recovery; None: it is not.

        `evidence`: so many new observations; `interval`: a provider's reward left the interval
        that it had; `recovery`: a provider is back from an outage.
        """
        course = self._fold.ledger.courses[category]
        return course.cause if course.reranks != self._served[category].reranks else None

    def rerank(self, category: str) -> Change | None:
        """Serve the order that the rows so far give; the change if it is another one."""
        before = self._served[category].order
        served = self._served[category] = self._serve(category)
        last = self._fold.ledger.courses[category].last
        if served.order == before or last is None:
            return None
        return self._fold.explained(replace(last, before=before, after=served.order))

    def settle(self) -> list[Change]:
        """`rerank` wherever it is due: after a start, or after reading what others wrote."""
        changes = [self.rerank(category) for category in self._declared if self.due(category)]
        return [change for change in changes if change is not None]

    def order(self, category: str) -> tuple[str, ...]:
        """The served order, best first."""
        return self._served[category].order

    def choose(
        self,
        category: str,
        allowed: Collection[str],
        rng_value: float,
        lean: float = 0.0,
    ) -> Choice:
        """Whom to ask, for a uniform random number in [0, 1).

        `allowed` are the providers that may be asked now, in any order; those with an open
        breaker are not among them. The first of the order is asked, save with a probability
        between `explore_min` and `explore_max`, by how unsure the order is: then another, drawn
        by its probability of being best. A provider on trial has its own fixed share. `lean`
        in [0, 1] makes the cost weigh more (see `race.budget`).
        """
        served = self._served[category]
        able = [name for name in self._leaning(served, lean) if name in allowed]
        if not able:
            return Choice((), False, 0.0)
        trials = {name: self._trials[name] for name in able if name in self._trials}
        ranked = [name for name in able if name not in trials] or able
        chances = policy.chances(served, ranked, self._config)
        if ranked is not able:
            left = max(0.0, 1.0 - sum(trials.values()))
            chances = {name: chance * left for name, chance in chances.items()} | trials
        chosen = policy.draw(chances, rng_value)
        rest = [name for name in able if name != chosen]
        return Choice((chosen, *rest), chosen != able[0], chances[chosen])

    def behind(self, category: str, name: str) -> float | None:
        """By how much its mean reward is below the first's; None for one that is not of it."""
        served = self._served[category]
        if name not in served.means:
            return None
        return max(0.0, served.means[served.order[0]] - served.means[name])

    def worth(self, category: str, usd: float, seconds: float) -> float:
        """The reward of an answer that costs so much less and begins so much sooner than usual."""
        usual = self._fold.ledger.courses[category].usual
        saved = reward.cost_share(usd, self._config)
        if usual.wait is None:
            return saved
        later = log(exp(usual.wait) + seconds)
        return (
            saved
            + reward.latency_share(later, usual.pace, usual, self._config)
            - reward.latency_share(usual.wait, usual.pace, usual, self._config)
        )

    def chances(self, category: str) -> dict[str, float]:
        """The probability of each provider to be asked, where all of them may be."""
        served = self._served[category]
        trials = {name: self._trials[name] for name in served.order if name in self._trials}
        ranked = [name for name in served.order if name not in trials]
        left = max(0.0, 1.0 - sum(trials.values())) if ranked else 1.0
        drawn = policy.chances(served, ranked, self._config) if ranked else {}
        return {name: chance * left for name, chance in drawn.items()} | trials

    def standings(self, category: str) -> Standings:
        """The category's figures, in its served order."""
        course = self._fold.ledger.courses[category]
        served = self._served[category]
        times = self._times(category)
        names, beliefs = served.beliefs.keys(), list(served.beliefs.values())
        p_best = dict(zip(names, best_probabilities(beliefs), strict=True))
        entries = tuple(
            self._standing(category, name, place, p_best[name], times.get(name, []))
            for place, name in enumerate(served.order)
        )
        if course.last is not None:
            course.last = self._fold.explained(course.last)
        return Standings(category, entries, course.count, course.changes, course.last)

    def ttft_p95_s(self, provider: str) -> float | None:
        """The learned p95 of its time to first token as primary; None while none could be above it.

        A call that timed out counts with the time for which it was waited.
        """
        rows = self._fold.rows
        if abs(len(rows) - self._p95_rows) >= self._config.every or not self._p95_rows:
            self._p95_rows = len(rows)
            found: dict[str, list[float]] = {}
            for seen in rows[-RECENT:]:
                waited = seen.ttft_ms if seen.ttft_ms is not None else seen.latency_ms
                timed = seen.outcome in ("ok", "late", "timed_out")
                counts = timed and seen.error not in NOT_ITS_FAULT
                if counts and waited is not None and seen.role == "primary":
                    found.setdefault(seen.provider, []).append(waited)
            self._p95 = {
                name: (percentile(waits, P95) or 0.0) / 1_000
                for name, waits in found.items()
                if len(waits) * (1.0 - P95) >= 1.0 - 1e-9
            }
        return self._p95.get(provider)

    def _serve(self, category: str) -> Served:
        course = self._fold.ledger.courses[category]
        arms = {name: self._fold.ledger.arms[category, name] for name in course.order}
        beliefs = [belief(arm, self._config, course.count) for arm in arms.values()]
        values = [arm.value(self._config, course.count) for arm in arms.values()]
        costs = [arm.parts(self._config, course.count)[4].mean for arm in arms.values()]
        weight = self._config.cost_weight or 1.0
        return Served(
            order=course.order,
            means={name: value.mean for name, value in zip(arms, values, strict=True)},
            costs={name: cost / weight for name, cost in zip(arms, costs, strict=True)},
            beliefs=dict(zip(arms, beliefs, strict=True)),
            changed={n: arm.changed(self._config, course.count) for n, arm in arms.items()},
            reranks=course.reranks,
            answers=self._fold.ledger.pooling.answers,
        )

    def _leaning(self, served: Served, lean: float) -> Sequence[str]:
        if lean <= 0.0:
            return served.order
        return sorted(served.order, key=lambda n: lean * served.costs[n] - served.means[n])

    def _times(self, category: str) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for seen in self._fold.rows[-RECENT:]:
            if seen.category == category and seen.role == "primary" and seen.ttft_ms is not None:
                found.setdefault(seen.provider, []).append(seen.ttft_ms)
        return found

    def _standing(
        self, category: str, name: str, place: int, p_best: float, times: list[float]
    ) -> Standing:
        arm = self._fold.ledger.arms[category, name]
        count = self._fold.ledger.courses[category].count
        mean, variance = arm.value(self._config, count)
        success, quality, *_ = arm.parts(self._config, count)
        half = Z90 * sqrt(variance)
        return Standing(
            provider=name,
            position=place,
            declared_position=self._declared[category].index(name),
            mean=mean,
            low=max(0.0, mean - half),
            high=min(1.0, mean + half),
            p_best=p_best,
            n=arm.n,
            success=success.mean if arm.n else None,
            quality=quality.mean if arm.quality.weight else None,
            ttft_p50_ms=percentile(times, 0.5),
            ttft_p95_ms=percentile(times, P95),
            cost_usd=arm.usd if arm.paid else None,
            liked=arm.liked,
            disliked=arm.disliked,
            trial=self._trials.get(name),
            verdicts=arm.lead.n,
            lead=arm.lead.level if arm.lead.n else None,
        )
