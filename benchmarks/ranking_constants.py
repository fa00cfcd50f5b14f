"""What gets worse when a constant of the ranking is halved or doubled.

`python -m benchmarks.ranking_constants [--runs 3] [NAME …]` plays small worlds with each constant
of `routing.ranking` as it is, halved and doubled, on the same draws, and prints the table of
docs/ranking.md. A constant that makes nothing worse either way matters to nothing.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks import ranking_sets
from benchmarks.ranking_felt import (
    World,
    alike,
    error_drift,
    latency_drift,
    learner,
    liking_drift,
)
from benchmarks.ranking_figures import seeds
from config.models import Ranking as Weights
from telemetry.console import configure

PLACES = (
    "standings.FIT standings.SAME",
    "evidence.SHARE evidence.SURE evidence.PURE evidence.OVER evidence.STAYS evidence.PATIENCE",
    "evidence.SURPRISE",
    "evidence.PRIOR_STEP evidence.BOUND",
    "evidence.NOTED arm.DEVIATION arm.SHARE_DEVIATION",
    "policy.DIFFERENCE policy.HOPELESS",
    "ledger.FIRST_LOOKS ledger.REPOOL",
    "evidence.OWN evidence.GUESS evidence.LEAD",
)
"""The constants that decide what is learned; the others bound memory, time or what is shown."""

WEIGH = {"latency": 0.02, "errors": 0.02, "liking": 0.02, "prompts": 0.004, "turns": 1.0}
"""From which loss on a figure is said to be worse: about two standard errors of three runs."""

Figures = dict[str, list[float]]


def prompts(seed: int) -> ranking_sets.Prompts:
    """Five models that are right or wrong, in six categories that agree in part."""
    rng, count, models = np.random.default_rng(seed), 2_000, 5
    category = rng.integers(0, 6, count)
    share = np.clip(
        rng.normal(0.6, 0.15, (6, 1)) + rng.normal(0, 0.1, models) + rng.normal(0, 0.08, (6, 5)),
        0.02,
        0.98,
    )
    reward = (rng.random((count, models)) < share[category]).astype(float)
    return ranking_sets.Prompts(
        "generated",
        tuple(f"model-{n}" for n in range(models)),
        np.array([f"category-{n}" for n in category]),
        reward,
        np.zeros_like(reward),
    )


def figures(drawn: Sequence[int]) -> Figures:
    """The larger, the better; one value a run."""
    weights = Weights()

    def right(make: Callable[[int], World]) -> list[float]:
        return [float(learner(make(s), s, weights).right.mean()) for s in drawn]

    return {
        "latency": right(latency_drift),
        "errors": right(error_drift),
        "liking": right(liking_drift),
        "prompts": [ranking_sets.learn(prompts(s), s).gain for s in drawn],
        "turns": [-float(learner(alike(s), s, weights).reorderings) for s in drawn],
    }


@contextmanager
def changed(place: str, factor: float) -> Iterator[float]:
    """The constant times the factor, wherever it was imported. A share of 1 keeps its distance to
    1 halved or doubled."""
    owner, name = place.split(".")
    value = getattr(importlib.import_module(f"routing.ranking.{owner}"), name)
    near_one = isinstance(value, float) and 0.5 < value < 1.0
    new = 1.0 - (1.0 - value) / factor if near_one else type(value)(value * factor)
    files = (Path(__file__).parent.parent / "routing" / "ranking").glob("[a-z]*.py")
    modules = [importlib.import_module(f"routing.ranking.{file.stem}") for file in files]
    holders = [m for m in modules if m.__dict__.get(name) is value or m.__name__.endswith(owner)]
    for module in holders:
        setattr(module, name, new)
    try:
        yield new
    finally:
        for module in holders:
            setattr(module, name, value)


def worse(found: Figures, usual: Figures) -> str:
    """What lost more than its weight, by how much."""
    lost = {name: fmean(usual[name]) - fmean(found[name]) for name in usual}
    said = [f"{name} −{by:.3f}" for name, by in lost.items() if by >= WEIGH[name]]
    return ", ".join(said) or "nothing"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these, such as evidence.OWN")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    configure(level="ERROR")
    drawn = [seed % 2**31 for seed in seeds(options.runs)]
    usual = figures(drawn)
    print("as it is: " + ", ".join(f"{name} {fmean(runs):.3f}" for name, runs in usual.items()))
    print("| constant | value | worse if halved | worse if doubled |\n|---|---|---|---|")
    for place in options.names or " ".join(PLACES).split():
        shown = []
        for factor in (0.5, 2.0):
            with changed(place, factor):
                shown.append(worse(figures(drawn), usual))
        owner, name = place.split(".")
        value = getattr(importlib.import_module(f"routing.ranking.{owner}"), name)
        print(f"| `{place}` | {value} | {shown[0]} | {shown[1]} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
