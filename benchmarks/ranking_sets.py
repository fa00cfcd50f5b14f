"""Files of prompts whose answers by every model are known, and pairs of models that are made up.

Each prompt is met once, in a shuffled order; of its answers a policy sees the one it chose.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.bandits import Bandit
from config.models import Ranking as Weights
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation

Array = np.ndarray


@dataclass(frozen=True)
class Prompts:
    """`reward` and `cost` are arrays of prompt by model; `category` one value each."""

    name: str
    models: tuple[str, ...]
    category: Array
    reward: Array
    cost: Array

    def __len__(self) -> int:
        return len(self.category)

    def shuffled(self, seed: int) -> Prompts:
        """The prompts in another order; the models are declared cheapest first."""
        order = np.random.default_rng(seed).permutation(len(self))
        arms = np.argsort(self.cost.mean(0), kind="stable")
        return replace(
            self,
            models=tuple(self.models[a] for a in arms),
            category=self.category[order],
            reward=self.reward[order][:, arms],
            cost=self.cost[order][:, arms],
        )

    @property
    def best_fixed(self) -> float:
        return float(self.reward.mean(0).max())

    @property
    def oracle(self) -> float:
        """The best model of each category, known beforehand."""
        total = sum(self.reward[self.category == c].sum(0).max() for c in np.unique(self.category))
        return float(total / len(self))


def read(path: Path, labels: Callable[[Sequence[str]], Array] | None = None) -> list[Prompts]:
    """The sets of a file of `{"set", "prompt", "category", "arms"}` a line, gzipped or not."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    found = []
    for name in dict.fromkeys(row.get("set", path.stem) for row in rows):
        mine = [row for row in rows if row.get("set", path.stem) == name]
        models = tuple(mine[0]["arms"])
        category = np.array([row["category"] for row in mine])
        if labels is not None:
            category = labels([row["prompt"] for row in mine])
        found.append(
            Prompts(
                name,
                models,
                category,
                np.array([[row["arms"][m]["reward"] for m in models] for row in mine]),
                np.array([[row["arms"][m]["cost"] for m in models] for row in mine]),
            )
        )
    return found


PAIRS = ((0.80, 0.95), (0.70, 0.80), (0.60, 0.75), (0.85, 0.95), (0.90, 0.95), (0.50, 0.60))


def pair(worse: float, better: float, seed: int, prompts: int = 2_000) -> Prompts:
    """Two models, right so often; the worse one is declared first."""
    rng = np.random.default_rng(seed)
    reward = (rng.random((prompts, 2)) < np.array([worse, better])).astype(float)
    return Prompts(
        f"{worse:.2f} and {better:.2f}",
        ("worse", "better"),
        np.full(prompts, "general"),
        reward,
        np.zeros((prompts, 2)),
    )


@dataclass(frozen=True)
class Run:
    """What a policy earned, prompt by prompt, and whom it asked."""

    earned: Array
    chosen: Array
    prompts: Prompts

    @property
    def gain(self) -> float:
        """Mean reward beyond the best fixed model's."""
        return float(self.earned.mean()) - self.prompts.best_fixed

    @property
    def late_gain(self) -> float:
        """The same in the second half, against the model that was best over all."""
        half = len(self.earned) // 2
        best = int(self.prompts.reward.mean(0).argmax())
        return float(self.earned[half:].mean() - self.prompts.reward[half:, best].mean())

    @property
    def beyond_control(self) -> Array:
        """Prompt by prompt, the reward beyond what the same model earns on any prompt: the
        control has the same models in the same shares, and so the same bill, with the prompts
        shuffled."""
        found: Array = self.earned - self.prompts.reward.mean(0)[self.chosen]
        return found


SILENT = Weights(latency_weight=0.0, cost_weight=0.0)
"""Quality alone: the files know of no waiting, and the table compares no prices."""


def learn(prompts: Prompts, seed: int, weights: Weights = SILENT) -> Run:
    """The application's ranking, from cold."""
    ranking = Ranking(weights, dict.fromkeys(map(str, np.unique(prompts.category)), prompts.models))
    number = {name: n for n, name in enumerate(prompts.models)}
    draws = np.random.default_rng(seed + 1).random(len(prompts))
    chosen = np.zeros(len(prompts), dtype=int)
    for t in range(len(prompts)):
        category = str(prompts.category[t])
        choice = ranking.choose(category, prompts.models, float(draws[t])).order[0]
        arm = chosen[t] = number[choice]
        ranking.update(observed(t, category, choice, prompts.reward[t, arm], prompts.cost[t, arm]))
        if ranking.due(category):
            ranking.rerank(category)
    return Run(prompts.reward[np.arange(len(prompts)), chosen], chosen, prompts)


def observed(t: int, category: str, model: str, reward: float, cost: float) -> Observation:
    return Observation(
        at=float(t),
        request_id=f"{t:08d}",
        seq=0,
        category=category,
        provider=model,
        quality=float(reward),
        cost_usd=float(cost),
    )


def bandit(prompts: Prompts, seed: int, make: type[Bandit]) -> Run:
    """One of `benchmarks.bandits` in each category."""
    names = np.unique(prompts.category)
    own = {name: make(len(prompts.models), seed + n) for n, name in enumerate(names)}
    everybody = range(len(prompts.models))
    chosen = np.zeros(len(prompts), dtype=int)
    for t, name in enumerate(prompts.category):
        arm = chosen[t] = own[name].choose(everybody)
        own[name].learn(arm, float(prompts.reward[t, arm]))
    return Run(prompts.reward[np.arange(len(prompts)), chosen], chosen, prompts)
