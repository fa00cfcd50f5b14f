"""Simulated models, and the policies that choose among them on the same draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp, log
from random import Random
from typing import Protocol

from benchmarks.bandits import Bandit
from config.models import Ranking as Weights
from routing.ranking import reward
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation

CATEGORY = "technical"


@dataclass(frozen=True)
class Behaviour:
    """How a model does for a while."""

    ttft_s: float = 0.5
    jitter: float = 0.3
    """Standard deviation of the logarithm of the time to first token."""
    success: float = 0.98
    right: float = 0.95
    """Share of answers that a user would like."""
    cost_usd: float = 0.0005


@dataclass(frozen=True)
class World:
    """Models by name, each with what it does from which request on."""

    name: str
    models: dict[str, tuple[tuple[int, Behaviour], ...]]
    requests: int = 2_000
    judged: float = 0.0
    """Share of the requests on which the user gives feedback."""

    def behaviour(self, model: str, t: int) -> Behaviour:
        return [b for start, b in self.models[model] if start <= t][-1]

    def observe(self, model: str, t: int, draw: Draw) -> Observation:
        """What the log would hold of this model at this request."""
        does = self.behaviour(model, t)
        ok = draw.fate[model] < does.success
        liked = draw.taste[model] < does.right if draw.judge < self.judged else None
        return Observation(
            at=float(t),
            request_id=f"{t:08d}",
            seq=0,
            category=CATEGORY,
            provider=model,
            outcome="ok" if ok else "failed",
            error=None if ok else "server",
            ttft_ms=1_000 * does.ttft_s * exp(does.jitter * draw.wait[model]) if ok else None,
            cost_usd=does.cost_usd if ok else 0.0,
            liked=liked if ok else None,
        )

    def worth(self, model: str, t: int, weights: Weights) -> float:
        """The expected reward; a user's taste counts whether or not it is told."""
        does = self.behaviour(model, t)
        latency = reward.latency_share(log(does.ttft_s), None, USUAL, weights)
        cost = reward.cost_share(does.cost_usd, weights)
        liked = does.right if self.judged else reward.NEUTRAL_LIKING
        liking = reward.liking(liked, weights)
        return reward.reward(does.success, reward.NEUTRAL_QUALITY, liking, latency, cost)


USUAL = reward.Usual(log(1.0))
"""What regret is measured by, whatever a policy makes the users used to."""


@dataclass(frozen=True)
class Draw:
    """The chances of one request, the same for every policy."""

    fate: dict[str, float]
    wait: dict[str, float]
    taste: dict[str, float]
    judge: float
    explore: float


def draws(world: World, seed: int) -> list[Draw]:
    rng = Random(seed)
    names = list(world.models)
    return [
        Draw(
            fate={name: rng.random() for name in names},
            wait={name: rng.gauss(0, 1) for name in names},
            taste={name: rng.random() for name in names},
            judge=rng.random(),
            explore=rng.random(),
        )
        for _ in range(world.requests)
    ]


class Policy(Protocol):
    def choose(self, t: int, draw: Draw) -> str: ...

    def learn(self, seen: Observation) -> None: ...


class Learner:
    """The application's own ranking."""

    def __init__(self, names: Sequence[str], weights: Weights) -> None:
        self.ranking = Ranking(weights, {CATEGORY: names})
        self.names = tuple(names)
        self.explored = 0
        self.first: list[str] = []

    def choose(self, t: int, draw: Draw) -> str:
        choice = self.ranking.choose(CATEGORY, self.names, draw.explore)
        self.explored += choice.explored
        self.first.append(self.ranking.order(CATEGORY)[0])
        return choice.order[0]

    def learn(self, seen: Observation) -> None:
        self.ranking.update(seen)
        if self.ranking.due(CATEGORY):
            self.ranking.rerank(CATEGORY)


class MovingAverage:
    """Greedy: each once, then the best exponential moving average of the reward (0.1)."""

    def __init__(self, names: Sequence[str], weights: Weights) -> None:
        self.weights = weights
        self.averages: dict[str, float] = dict.fromkeys(names, 2.0)

    def choose(self, t: int, draw: Draw) -> str:
        return max(self.averages, key=lambda name: self.averages[name])

    def learn(self, seen: Observation) -> None:
        earned = reward.of(seen, self.weights, USUAL) or 0.0
        old = self.averages[seen.provider]
        self.averages[seen.provider] = earned if old == 2.0 else old + 0.1 * (earned - old)


class Chance:
    """Any, with equal probability."""

    def __init__(self, names: Sequence[str], weights: Weights) -> None:
        self.names = tuple(names)

    def choose(self, t: int, draw: Draw) -> str:
        return self.names[int(draw.explore * len(self.names))]

    def learn(self, seen: Observation) -> None:
        pass


class Opponent:
    """One of `benchmarks.bandits`, on the reward of one answer."""

    def __init__(self, make: type[Bandit], names: Sequence[str], weights: Weights) -> None:
        self.names = tuple(names)
        self.weights = weights
        self.bandit = make(len(names), seed=1)

    def choose(self, t: int, draw: Draw) -> str:
        return self.names[self.bandit.choose(range(len(self.names)))]

    def learn(self, seen: Observation) -> None:
        earned = reward.of(seen, self.weights, USUAL) or 0.0
        self.bandit.learn(self.names.index(seen.provider), earned)


@dataclass
class Result:
    """One policy on one run."""

    right: float = 0.0
    regret: float = 0.0
    chosen: list[str] = field(default_factory=list)
    policy: Policy | None = None


def play(world: World, seed: int, weights: Weights, make: Callable[..., Policy]) -> Result:
    """Run a policy through the world; regret is in expected reward against the best model."""
    policy = make(list(world.models), weights)
    result = Result(policy=policy)
    for t, draw in enumerate(draws(world, seed)):
        worth = {name: world.worth(name, t, weights) for name in world.models}
        name = policy.choose(t, draw)
        best = max(worth.values())
        result.regret += best - worth[name]
        result.right += worth[name] == best
        result.chosen.append(name)
        policy.learn(world.observe(name, t, draw))
    result.right /= world.requests
    return result


def fixed(world: World, weights: Weights) -> tuple[str, float, float]:
    """The best single model in hindsight: its name, regret, and share of the right choice."""
    best = ("", float("inf"), 0.0)
    for name in world.models:
        regret = right = 0.0
        for t in range(world.requests):
            worth = {n: world.worth(n, t, weights) for n in world.models}
            regret += max(worth.values()) - worth[name]
            right += worth[name] == max(worth.values())
        if regret < best[1]:
            best = (name, regret, right / world.requests)
    return best
