"""The ranking over a file of prompts whose answers by every model are known.

Each line is `{"prompt": …, "category": …, "arms": {model: {"reward": 0..1, "cost": USD}}}`. Of
each prompt the learner is told only what the model that it chose earned and cost. Run for several
cost weights, its mean reward and cost are set beside those of every fixed model; the target is to
be never below the best of them that costs no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean

from config.models import Ranking as Weights
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation

COST_WEIGHTS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
HEAVIEST = 0.6


@dataclass(frozen=True)
class Prompt:
    """One line of the file."""

    category: str
    arms: Mapping[str, tuple[float, float]]
    """Reward in [0, 1] and cost in USD, by model."""


@dataclass(frozen=True)
class Point:
    """What a policy earned and cost, as means over the prompts."""

    name: str
    reward: float
    cost: float


def read(path: Path) -> list[Prompt]:
    """The prompts of a file; ValueError names the line that is not in the format."""
    prompts = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                arms = {
                    str(name): (float(arm["reward"]), float(arm["cost"]))
                    for name, arm in row["arms"].items()
                }
                prompts.append(Prompt(str(row["category"]), arms))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ValueError(f"{path}, line {number}: {error!r}") from error
    if not prompts:
        raise ValueError(f"{path} holds no prompt")
    return prompts


def fixed(prompts: Sequence[Prompt]) -> list[Point]:
    """Every model on its own, cheapest first; a model counts where it was tried."""
    names = dict.fromkeys(name for prompt in prompts for name in prompt.arms)
    points = []
    for name in names:
        tried = [prompt.arms[name] for prompt in prompts if name in prompt.arms]
        points.append(Point(name, fmean(r for r, _ in tried), fmean(c for _, c in tried)))
    return sorted(points, key=lambda point: point.cost)


def priced(prompts: Sequence[Prompt], weight: float) -> Weights:
    """What the dearest model loses by its price is `weight`; the others in proportion.

    A weight above `HEAVIEST` lowers the scale instead, so that the cheap ones are told apart.
    """
    dearest = max(point.cost for point in fixed(prompts))
    if not weight or not dearest:
        return Weights(latency_weight=0.0, cost_weight=0.0)
    most = min(HEAVIEST, weight)
    return Weights(
        latency_weight=0.0, cost_weight=most, cost_scale_usd=dearest * most / weight / 2.0
    )


def learn(prompts: Sequence[Prompt], weights: Weights, seed: int = 0) -> tuple[Point, float]:
    """The ranking over the prompts in their order, and the share that it explored."""
    names = tuple(point.name for point in fixed(prompts))
    categories = dict.fromkeys(prompt.category for prompt in prompts)
    ranking = Ranking(weights, dict.fromkeys(categories, names))
    rng = Random(seed)
    earned, paid, explored = [], [], 0
    for n, prompt in enumerate(prompts):
        choice = ranking.choose(prompt.category, prompt.arms, rng.random())
        reward, cost = prompt.arms[choice.order[0]]
        earned.append(reward)
        paid.append(cost)
        explored += choice.explored
        ranking.update(
            Observation(
                at=float(n),
                request_id=f"{n:08d}",
                seq=0,
                category=prompt.category,
                provider=choice.order[0],
                quality=reward,
                cost_usd=cost,
                propensity=choice.propensity,
            )
        )
        if ranking.due(prompt.category):
            ranking.rerank(prompt.category)
    return Point("learner", fmean(earned), fmean(paid)), explored / len(prompts)


def at_the_same_price(points: Sequence[Point], cost: float) -> Point | None:
    """The best fixed model that costs no more."""
    affordable = [point for point in points if point.cost <= cost * (1 + 1e-9)]
    return max(affordable, key=lambda point: point.reward, default=None)


def mixture(points: Sequence[Point], cost: float) -> float:
    """The best reward of any random mixture of two fixed models at that mean cost."""
    best = at_the_same_price(points, cost)
    reward = best.reward if best else 0.0
    for low in points:
        for high in points:
            if low.cost <= cost < high.cost:
                share = (cost - low.cost) / (high.cost - low.cost)
                reward = max(reward, low.reward + share * (high.reward - low.reward))
    return reward


def generate(path: Path, prompts: int = 8_000, seed: int = 0, unlike: float = 0.10) -> None:
    """A file in the format: eleven models, ten categories of unequal size.

    `unlike` is by how much a model's skill differs from one category to the other.
    """
    rng = Random(seed)
    models = [
        ("tiny-1b", 0.40, 0.00002),
        ("small-3b", 0.48, 0.00004),
        ("small-8b", 0.56, 0.00006),
        ("coder-7b", 0.45, 0.00006),
        ("mid-13b", 0.54, 0.00010),
        ("moe-8x7b", 0.66, 0.00020),
        ("mid-34b", 0.68, 0.00025),
        ("large-70b", 0.70, 0.00040),
        ("chat-pro", 0.66, 0.00060),
        ("chat-max", 0.71, 0.00200),
        ("frontier", 0.79, 0.00350),
    ]
    categories = [f"category-{n}" for n in range(10)]
    sizes = [1.0 / (n + 1) for n in range(10)]
    skill = {
        (category, name): min(0.97, max(0.05, mean + rng.gauss(0, unlike)))
        for category in categories
        for name, mean, _ in models
    }
    with path.open("w", encoding="utf-8") as out:
        for n, category in enumerate(rng.choices(categories, sizes, k=prompts)):
            ease, length = rng.gauss(0, 0.15), rng.lognormvariate(0, 0.5)
            arms = {
                name: {
                    "reward": float(rng.random() < skill[category, name] + ease),
                    "cost": round(cost * length * rng.lognormvariate(0, 0.1), 9),
                }
                for name, _, cost in models
            }
            line = {"prompt": f"prompt {n}", "category": category, "arms": arms}
            out.write(json.dumps(line) + "\n")


def report(path: Path, seeds: Sequence[int] = (0, 1, 2)) -> Iterator[str]:
    """The table, line by line."""
    prompts = read(path)
    points = fixed(prompts)
    yield f"{len(prompts)} prompts, {len(points)} models"
    yield ""
    yield f"{'fixed model':<24}{'reward':>8}{'USD/1000':>12}"
    for point in points:
        yield f"{point.name:<24}{point.reward:>8.4f}{1_000 * point.cost:>12.4f}"
    yield ""
    yield (
        f"{'learner':<24}{'reward':>8}{'USD/1000':>12}{'best fixed at that price':>36}"
        f"{'better by':>11}{'mixture':>9}{'explored':>10}"
    )
    for weight in COST_WEIGHTS:
        runs = [learn(prompts, priced(prompts, weight), seed) for seed in seeds]
        reward, cost = fmean(p.reward for p, _ in runs), fmean(p.cost for p, _ in runs)
        best = at_the_same_price(points, cost)
        known = f"{best.name} {best.reward:.4f}" if best else "none is as cheap"
        gain = f"{reward - best.reward:+.4f}" if best else ""
        verdict = "MISSED" if best and reward < best.reward else "ok"
        yield (
            f"{f'cost weight {weight:g}':<24}{reward:>8.4f}{1_000 * cost:>12.4f}{known:>36}"
            f"{gain:>11}{mixture(points, cost):>9.4f}{fmean(e for _, e in runs):>10.3f}  {verdict}"
        )
