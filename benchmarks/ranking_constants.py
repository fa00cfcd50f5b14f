"""What gets worse when a constant of the ranking is halved or doubled.

`python -m benchmarks.ranking_constants [--runs 4] [NAME …]` finds every number that a module of
`routing.ranking` names, plays small worlds with it as it is, halved and doubled, on the same draws,
and prints the table of docs/ranking.md. Worse is a figure that loses more than two standard errors
of the runs' differences, and more than 2% of itself. Exit 1 with more than 20 constants.
"""

from __future__ import annotations

import argparse
import ast
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks import ranking_sets, ranking_worlds
from benchmarks.ranking import FLAKY, QUICK, STEADY
from benchmarks.ranking_felt import (
    World,
    alike,
    error_drift,
    latency_drift,
    learner,
    liking_drift,
)
from benchmarks.ranking_figures import seeds
from benchmarks.ranking_verdicts import Source, regret
from benchmarks.ranking_worlds import Behaviour, Learner
from config.models import Ranking as Weights
from telemetry.console import configure

FOLDER = Path(__file__).parent.parent / "routing" / "ranking"
MOST = 20
WEIGHTS = Weights()

Figures = dict[str, list[float]]


def constants() -> Iterator[str]:
    """Every name in capitals that is given a number, such as `evidence.OWN`; one that is made of
    others is theirs."""
    for file in sorted(FOLDER.glob("[a-z]*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
                continue
            parts = list(ast.walk(node.value))
            values = [part.value for part in parts if isinstance(part, ast.Constant)]
            called = [ast.unparse(part.func) for part in parts if isinstance(part, ast.Call)]
            of_others = any(
                getattr(part, "attr", getattr(part, "id", "")).isupper() for part in parts
            )
            plain = not of_others and all(name.startswith("np.") for name in called)
            if plain and any(isinstance(value, int | float) for value in values):
                yield f"{file.stem}.{node.targets[0].id}"


def prompts(seed: int) -> ranking_sets.Prompts:
    """Five models that are right or wrong, in six categories that agree in part."""
    rng, models = np.random.default_rng(seed), 5
    own = rng.normal(0, 0.1, models) + rng.normal(0, 0.08, (6, models))
    return _answered("prompts", np.clip(rng.normal(0.6, 0.15, (6, 1)) + own, 0.02, 0.98), rng)


def unlike(seed: int) -> ranking_sets.Prompts:
    """The same in twelve categories that have nothing in common."""
    rng = np.random.default_rng(seed)
    return _answered("unlike", rng.uniform(0.4, 0.95, (12, 5)), rng)


def same(seed: int) -> ranking_sets.Prompts:
    """Four models that do alike in all of twelve categories."""
    share = np.tile([0.60, 0.70, 0.80, 0.75], (12, 1))
    return _answered("same", share, np.random.default_rng(seed))


def _answered(name: str, share: np.ndarray, rng: np.random.Generator) -> ranking_sets.Prompts:
    category = rng.integers(0, len(share), 2_000)
    reward = (rng.random((2_000, share.shape[1])) < share[category]).astype(float)
    models = tuple(f"model-{n}" for n in range(share.shape[1]))
    names = np.array([f"category-{n}" for n in category])
    return ranking_sets.Prompts(name, models, names, reward, np.zeros_like(reward))


Life = tuple[tuple[int, Behaviour], ...]
"""What a model does from which request on."""


def _world(name: str, **models: Life) -> ranking_worlds.World:
    return ranking_worlds.World(name, models)


def _always(**does: float) -> Life:
    return ((0, Behaviour(**does)),)


def _on_and_off(start: int, every: int, off: int, until: int) -> Life:
    """Down for `off` of each so many requests."""
    found = [(0, QUICK)]
    for at in range(start, until, every):
        found += [(at, Behaviour(ttft_s=0.4, success=0.0)), (at + off, QUICK)]
    return tuple(found)


WORLDS = (
    _world("outages", quick=_on_and_off(500, 500, 60, 1_600), steady=_always(ttft_s=0.8), c=FLAKY),
    _world("flapping", quick=_on_and_off(400, 40, 15, 1_200), steady=_always(ttft_s=0.8), c=FLAKY),
    _world(
        "for good",
        quick=((0, QUICK), (500, Behaviour(ttft_s=0.4, success=0.8))),
        steady=((0, Behaviour(ttft_s=0.8, success=0.9)), (1_200, Behaviour(success=0.7))),
        third=((0, Behaviour(ttft_s=4.0, success=0.8)), (1_600, Behaviour(ttft_s=0.3))),
    ),
    _world(
        "late bloomer",
        **{f"m{n}": _always(success=0.95 - 0.02 * n) for n in range(4)},
        late=((0, Behaviour(ttft_s=2.0, success=0.3)), (800, Behaviour(ttft_s=0.2))),
    ),
    _world(
        "heavy tails",
        **{f"m{n}": _always(ttft_s=s, jitter=1.2) for n, s in enumerate((0.6, 0.4, 0.9))},
    ),
    _world(
        "prices",
        dear=_always(cost_usd=0.003),
        usual=_always(),
        cheaper=((0, Behaviour(cost_usd=0.001)), (1_000, Behaviour(cost_usd=0.0001))),
    ),
    _world("newcomers", quick=_always(ttft_s=0.4), **{f"m{n}": STEADY for n in range(5)}),
)
"""Each with the situation that some constant is for: it must be able to show an effect."""


def figures(drawn: Sequence[int]) -> Figures:
    """The larger, the better; one value a run. Regrets are of the reward, over 2,000 requests."""

    def right(make: Callable[[int], World]) -> list[float]:
        return [float(learner(make(s), s, WEIGHTS).right.mean()) for s in drawn]

    def lost(world: ranking_worlds.World) -> list[float]:
        return [-ranking_worlds.play(world, s, WEIGHTS, Learner).regret for s in drawn]

    answered = (prompts, unlike, same)
    judge = Source("a fair judge", 0.2)
    return {
        "latency": right(latency_drift),
        "errors": right(error_drift),
        "liking": right(liking_drift),
        **{
            make.__name__: [ranking_sets.learn(make(s), s).gain for s in drawn] for make in answered
        },
        **{world.name: lost(world) for world in WORLDS},
        "verdicts": [-regret(judge, s)[0] for s in drawn],
        "turns": [-float(learner(alike(s), s, WEIGHTS).reorderings) for s in drawn],
    }


@contextmanager
def changed(place: str, factor: float) -> Iterator[None]:
    """The constant times the factor, wherever it was imported. A share of 1 keeps its distance to
    1 halved or doubled; of a tuple or an array each number is changed."""
    owner, name = place.split(".")
    value = getattr(importlib.import_module(f"routing.ranking.{owner}"), name)
    new = _times(value, factor)
    modules = [
        importlib.import_module(f"routing.ranking.{f.stem}") for f in FOLDER.glob("[a-z]*.py")
    ]
    holders = [m for m in modules if m.__dict__.get(name) is value]
    for module in holders:
        setattr(module, name, new)
    try:
        yield
    finally:
        for module in holders:
            setattr(module, name, value)


def _times(value: object, factor: float) -> object:
    if isinstance(value, tuple):
        return tuple(_times(part, factor) for part in value)
    if isinstance(value, np.ndarray):
        return value * factor
    assert isinstance(value, int | float)
    near_one = isinstance(value, float) and 0.5 < value < 1.0
    return 1.0 - (1.0 - value) / factor if near_one else type(value)(value * factor)


def worse(found: Figures, usual: Figures) -> str:
    """What lost more than chance explains, by how much."""
    said = []
    for name, before in usual.items():
        lost = np.array(before) - np.array(found[name])
        error = float(lost.std(ddof=1)) / len(lost) ** 0.5
        if lost.mean() > max(2.0 * error, 0.02 * abs(fmean(before)), 0.002):
            said.append(f"{name} −{lost.mean():.3f}")
    return ", ".join(said) or "nothing"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these, such as evidence.OWN")
    parser.add_argument("--runs", type=int, default=4)
    options = parser.parse_args(arguments)
    configure(level="ERROR")
    found = list(constants())
    print(f"{len(found)} constants, at most {MOST}")
    drawn = [seed % 2**31 for seed in seeds(options.runs)]
    usual = figures(drawn)
    print("as it is: " + ", ".join(f"{name} {fmean(runs):.3f}" for name, runs in usual.items()))
    print("| constant | value | worse if halved | worse if doubled |\n|---|---|---|---|")
    for place in options.names or found:
        shown = []
        for factor in (0.5, 2.0):
            with changed(place, factor):
                shown.append(worse(figures(drawn), usual))
        owner, name = place.split(".")
        value = getattr(importlib.import_module(f"routing.ranking.{owner}"), name)
        print(f"| `{place}` | {value} | {shown[0]} | {shown[1]} |", flush=True)
    return int(len(found) > MOST)


if __name__ == "__main__":
    raise SystemExit(main())
