"""Worlds of what users feel, in virtual time: latency, errors and liking that drift.

A world's draws are made beforehand, for every model at every request, so that each policy meets
the same ones. `right` is the share of the requests that went to the model that was best then.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log

import numpy as np

from benchmarks.bandits import Bandit
from config.models import Ranking as Weights
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation

Array = np.ndarray

P99 = 2.326
"""Standard deviations from the median of a normal distribution to its 99th percentile."""


@dataclass(frozen=True)
class World:
    """`ok`, `ttft_s`, `liked` and `worth` are arrays of request by model."""

    name: str
    models: tuple[str, ...]
    categories: tuple[str, ...]
    category: Array  # of each request, its number
    ok: Array
    ttft_s: Array
    liked: Array | None
    worth: Array
    cuts: tuple[int, ...] = ()
    """The requests at which a new phase begins."""
    at_once: int = 1
    per_s: float = 1.0
    """Requests a second; with `at_once` over 1, the next one begins when one of them ends."""

    @property
    def requests(self) -> int:
        return len(self.category)

    def seen(self, t: int, arm: int, at: float) -> Observation:
        ok = bool(self.ok[t, arm])
        ttft_ms = 1_000.0 * float(self.ttft_s[t, arm]) if ok else None
        return Observation(
            at=at,
            request_id=f"{t:08d}",
            seq=0,
            category=self.categories[self.category[t]],
            provider=self.models[arm],
            outcome="ok" if ok else "failed",
            error=None if ok else "server",
            ttft_ms=ttft_ms,
            latency_ms=ttft_ms,
            cost_usd=0.0005,
            liked=bool(self.liked[t, arm]) if ok and self.liked is not None else None,
        )


def steps(requests: int, cuts: Sequence[int], levels: Sequence[float]) -> Array:
    """A level from each cut on; the first from the beginning."""
    found = np.full(requests, levels[0])
    for cut, level in zip(cuts, levels[1:], strict=True):
        found[cut:] = level
    return found


def latency_drift(seed: int, best: float = 0.04, bad: float = 0.4) -> World:
    """First words at 40, 80 and 160 ms; the best goes to 400 ms in the middle half."""
    rng, cuts = np.random.default_rng(seed), (500, 1_500)
    levels = np.stack(
        [steps(2_000, cuts, (best, bad, best)), *(np.full(2_000, s) for s in (0.08, 0.16))], 1
    )
    waits = levels * np.exp(log(3.0) / P99 * rng.standard_normal(levels.shape))
    return World(
        name="latency 40 → 400 ms",
        models=("quick", "middling", "slow"),
        categories=("general",),
        category=np.zeros(2_000, dtype=int),
        ok=np.ones(levels.shape, dtype=bool),
        ttft_s=waits,
        liked=None,
        worth=1.0 / (1.0 + levels / 0.08),
        cuts=cuts,
        at_once=8,
    )


def error_drift(seed: int) -> World:
    """Errors in .02, .10 and .20 of the answers; the best fails in .90 in the middle half."""
    rng, cuts = np.random.default_rng(seed), (500, 1_500)
    success = np.stack(
        [steps(2_000, cuts, (0.98, 0.10, 0.98)), *(np.full(2_000, s) for s in (0.9, 0.8))], 1
    )
    return World(
        name="errors .02 → .90",
        models=("steady", "middling", "flaky"),
        categories=("general",),
        category=np.zeros(2_000, dtype=int),
        ok=rng.random(success.shape) < success,
        ttft_s=0.4 * np.exp(0.3 * rng.standard_normal(success.shape)),
        liked=None,
        worth=success,
        cuts=cuts,
        per_s=30.0,
    )


LIKED = np.array([[0.95, 0.60, 0.70], [0.70, 0.90, 0.60], [0.50, 0.70, 0.90]])
"""Model by category."""


def liking_drift(seed: int) -> World:
    """A thumb after each answer, in three categories; the first model is bad in its best one in the
    middle half."""
    rng, cuts, requests = np.random.default_rng(seed), (500, 1_500), 2_000
    category = rng.integers(0, 3, requests)
    share = LIKED.T[category].copy()
    share[:, 0] = np.where(category == 0, steps(requests, cuts, (0.95, 0.20, 0.95)), share[:, 0])
    return World(
        name="liked .95 → .20",
        models=("first", "second", "third"),
        categories=("technical", "creative", "general"),
        category=category,
        ok=np.ones(share.shape, dtype=bool),
        ttft_s=0.4 * np.exp(0.3 * rng.standard_normal(share.shape)),
        liked=rng.random(share.shape) < share,
        worth=share,
        cuts=cuts,
    )


def hundred(seed: int) -> World:
    """A hundred like models; one of them answers rightly by .005 of the reward more often."""
    rng, requests, models = np.random.default_rng(seed), 10_000, 100
    success = np.full(models, 0.90)
    success[rng.integers(models)] += 0.005 / 0.7
    worth = np.tile(success, (requests, 1))
    return World(
        name="a hundred like models",
        models=tuple(f"model-{n:02d}" for n in range(models)),
        categories=("general",),
        category=np.zeros(requests, dtype=int),
        ok=rng.random(worth.shape) < worth,
        ttft_s=0.4 * np.exp(0.3 * rng.standard_normal(worth.shape)),
        liked=None,
        worth=worth,
    )


def alike(seed: int) -> World:
    """Two that succeed and answer alike: whichever turn the order takes is for nothing."""
    rng, requests = np.random.default_rng(seed), 2_000
    worth = np.full((requests, 2), 0.95)
    return World(
        name="two alike",
        models=("one", "other"),
        categories=("general",),
        category=np.zeros(requests, dtype=int),
        ok=rng.random(worth.shape) < worth,
        ttft_s=0.4 * np.exp(0.5 * rng.standard_normal(worth.shape)),
        liked=None,
        worth=worth,
    )


@dataclass
class Played:
    """What a policy did in a world."""

    right: Array
    regret: float
    chosen: list[int] = field(default_factory=list)
    reorderings: int = 0

    def phases(self, cuts: Sequence[int]) -> list[float]:
        bounds = [0, *cuts, len(self.right)]
        return [float(self.right[a:b].mean()) for a, b in pairwise(bounds)]


Choose = Callable[[int], int]
Learn = Callable[[Sequence[Observation]], None]


def play(world: World, choose: Choose, learn: Learn) -> Played:
    """Through the world; what is still under way when a request begins is not known to it."""
    slots = [(0.0, n) for n in range(world.at_once)]
    waiting: list[tuple[float, Observation]] = []
    chosen = []
    for t in range(world.requests):
        start = t / world.per_s
        if world.at_once > 1:
            start, slot = heapq.heappop(slots)
        ended = [seen for end, seen in waiting if end <= start]
        if ended:
            waiting = [(end, seen) for end, seen in waiting if end > start]
            learn(ended)
        arm = choose(t)
        chosen.append(arm)
        seen = world.seen(t, arm, start)
        if world.at_once > 1:
            end = start + float(world.ttft_s[t, arm])
            heapq.heappush(slots, (end, slot))
            waiting.append((end, seen))
        else:
            learn([seen])
    index = np.arange(world.requests)
    got, best = world.worth[index, chosen], world.worth.max(1)
    return Played(got >= best - 1e-12, float((best - got).sum()), chosen)


def learner(world: World, seed: int, weights: Weights) -> Played:
    """The application's ranking."""
    ranking = Ranking(weights, dict.fromkeys(world.categories, world.models))
    number = {name: n for n, name in enumerate(world.models)}
    draws = np.random.default_rng(seed + 1).random(world.requests)

    def choose(t: int) -> int:
        category = world.categories[world.category[t]]
        return number[ranking.choose(category, world.models, float(draws[t])).order[0]]

    def learn(seen: Sequence[Observation]) -> None:
        ranking.fold(seen)
        for category in world.categories:
            if ranking.due(category):
                ranking.rerank(category)

    played = play(world, choose, learn)
    played.reorderings = sum(ranking.standings(c).changes for c in world.categories)
    return played


def bandit(world: World, seed: int, make: type[Bandit]) -> Played:
    """One of `benchmarks.bandits` in each category."""
    own = [make(len(world.models), seed + n) for n, _ in enumerate(world.categories)]
    number = {name: n for n, name in enumerate(world.models)}
    everybody = range(len(world.models))

    def learn(seen: Sequence[Observation]) -> None:
        for row in seen:
            own[world.categories.index(row.category)].learn(number[row.provider], felt(row))

    return play(world, lambda t: own[world.category[t]].choose(everybody), learn)


def felt(seen: Observation) -> float:
    """One number an answer: nothing for a failure, half for a thumb down, less by up to a fifth
    for the wait."""
    if seen.outcome != "ok":
        return 0.0
    wait = (seen.ttft_ms or 0.0) / ((seen.ttft_ms or 0.0) + 80.0)
    return (0.5 if seen.liked is False else 1.0) - (0.2 * wait if seen.liked is None else 0.0)


def fixed(world: World) -> tuple[str, float]:
    """The best single model in hindsight, and its share of the right choice."""
    right = (world.worth >= world.worth.max(1, keepdims=True) - 1e-12).mean(0)
    best = int(world.worth.sum(0).argmax())
    return world.models[best], float(right[best])
