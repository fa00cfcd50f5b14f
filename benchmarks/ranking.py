"""The proofs of the ranking: drift, a steady world, cost against reward, speed, and recovery.

`python -m benchmarks.ranking` prints every table; `--replay FILE` only the one over a file of
prompts (see `ranking_replay` for its format), `--generate FILE` makes such a file. Exit 1 if a
target is missed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median

from benchmarks import ranking_replay
from benchmarks.bandits import OPPONENTS
from benchmarks.ranking_figures import figures
from benchmarks.ranking_recovery import recovery
from benchmarks.ranking_worlds import (
    Behaviour,
    Chance,
    Learner,
    MovingAverage,
    Opponent,
    Policy,
    Result,
    World,
    fixed,
    play,
)
from config.models import Ranking as Weights
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation
from telemetry.console import configure

BAD, GOOD = 500, 1_500
QUICK = Behaviour(ttft_s=0.4)
STEADY = ((0, Behaviour(ttft_s=2.5)),)
FLAKY = ((0, Behaviour(ttft_s=4.0, success=0.9)),)


def drifting(name: str, bad: Behaviour, judged: float = 0.0) -> World:
    """The best of three models is bad from request 500 to 1,500."""
    best = ((0, QUICK), (BAD, bad), (GOOD, QUICK))
    return World(name, {"quick": best, "steady": STEADY, "flaky": FLAKY}, judged=judged)


KINDS = (
    ("latency 0.4 s → 12 s", Behaviour(ttft_s=12.0), 0.0),
    ("success 0.98 → 0.40", Behaviour(ttft_s=0.4, success=0.4), 0.0),
    ("liked 0.95 → 0.20, told on 20%", Behaviour(ttft_s=0.4, right=0.2), 0.2),
)
DRIFTS = tuple(drifting(*kind) for kind in KINDS)


def shapes(kind: tuple[str, Behaviour, float]) -> Iterator[World]:
    """How the best of three models may drift: bad in the middle half, bad from 700 on, bad for 200
    requests at three times; and the best only from 700 on."""
    name, bad, told = kind
    thrice = [part for at in (300, 900, 1_500) for part in ((at, bad), (at + 200, QUICK))]
    for shape, best in (
        ("the middle half", ((0, QUICK), (BAD, bad), (GOOD, QUICK))),
        ("for good", ((0, QUICK), (700, bad))),
        ("three times", ((0, QUICK), *thrice)),
        (BEFORE, ((0, bad), (700, QUICK))),
    ):
        models = {"quick": best, "steady": STEADY, "flaky": FLAKY}
        yield World(f"{name}, {shape}", models, judged=told)


BEFORE = "before it is good"
STILL = World("nothing changes", {"quick": ((0, QUICK),), "steady": STEADY, "flaky": FLAKY})
UPSIDE_DOWN = World(
    "nothing changes, declared upside down",
    {"flaky": FLAKY, "steady": STEADY, "quick": ((0, QUICK),)},
)


@dataclass(frozen=True)
class Compared:
    """A line for each policy, the learner's runs, and the moving average's mean regret."""

    lines: list[str]
    runs: list[Result]
    average: float


def policies(world: World, weights: Weights, seeds: Sequence[int]) -> Compared:
    """Every policy on the same draws."""
    runs = [play(world, seed, weights, Learner) for seed in seeds]
    averages = [play(world, seed, weights, MovingAverage) for seed in seeds]
    chances = [play(world, seed, weights, Chance) for seed in seeds]
    name, regret, right = fixed(world, weights)
    lines = [f"  {'policy':<24}{'right model':>12}{'worst run':>11}{'regret':>9}"]
    for label, results in (
        ("learner", runs),
        ("greedy moving average", averages),
        ("random", chances),
    ):
        rights = [r.right for r in results]
        lost = fmean(r.regret for r in results)
        lines.append(f"  {label:<24}{fmean(rights):>12.3f}{min(rights):>11.3f}{lost:>9.1f}")
    lines.append(f"  {'best fixed: ' + name:<24}{right:>12.3f}{right:>11.3f}{regret:>9.1f}")
    lines.append(f"  {'oracle':<24}{1.0:>12.3f}{1.0:>11.3f}{0.0:>9.1f}")
    return Compared(lines, runs, fmean(r.regret for r in averages))


def requests_until(run: Result, start: int, end: int, *, first: bool) -> int | None:
    """How many requests until the quick model is first (for 20 in a row), or is not."""
    assert isinstance(run.policy, Learner)
    for t in range(start, end):
        stays = run.policy.first[t : t + (20 if first else 1)]
        if all((name == "quick") is first for name in stays):
            return t - start
    return None


def spread(values: Sequence[int | None], never: int) -> str:
    """Median and slowest; a run that never got there is said, not left out."""
    known = [never if value is None else value for value in values]
    missing = sum(value is None for value in values)
    tail = f", {missing} of {len(values)} runs not within {never}" if missing else ""
    return f"median {median(known):.0f}, slowest {max(known)}{tail}"


def drift(weights: Weights, seeds: Sequence[int]) -> Iterator[str]:
    yield f"1. Drift: the best of three models is bad from {BAD} to {GOOD}, {len(seeds)} runs"
    for world in DRIFTS:
        compared = policies(world, weights, seeds)
        runs = compared.runs
        noticed = [requests_until(r, BAD, GOOD, first=False) for r in runs]
        returned = [requests_until(r, GOOD, world.requests, first=True) for r in runs]
        yield ""
        yield f"  {world.name}"
        yield from compared.lines
        if not world.judged:
            right = fmean(r.right for r in runs)
            yield judged("share of the right model", f"{right:.3f}", "≥ 0.85", right >= 0.85)
            share = fmean(r.regret for r in runs) / compared.average
            yield judged("regret over the average's", f"{share:.2f}", "≤ 0.50", share <= 0.5)
        yield f"  requests to notice: {spread(noticed, GOOD - BAD)}"
        yield f"  requests to return: {spread(returned, world.requests - GOOD)}"


def first(weights: Weights, seeds: Sequence[int]) -> Iterator[str]:
    """Nine drifts of a model that was known to be good, and three of one that was not."""
    makers: dict[str, Callable[..., Policy]] = {"learner": Learner, "moving average": MovingAverage}
    makers |= {name: partial(Opponent, make) for name, make in OPPONENTS.items()}
    yield f"1b. The same drifts in other shapes, {len(seeds)} runs: regret in all"
    yield f"  {'world':<50}" + "".join(f"{name:>21}" for name in (*makers, "best fixed"))
    won = 0
    for world in (world for kind in KINDS for world in shapes(kind)):
        lost = [
            fmean(play(world, seed, weights, make).regret for seed in seeds)
            for make in makers.values()
        ]
        is_first = lost[0] == min(lost)
        won += is_first and not world.name.endswith(BEFORE)
        shown = "".join(f"{regret:>21.1f}" for regret in (*lost, fixed(world, weights)[1]))
        yield f"  {world.name:<50}{shown}{'' if is_first else '  not first'}"
    yield judged("first", f"{won} of 9 (without {BEFORE!r})", "9 of 9", won == 9)


def stationary(weights: Weights, seeds: Sequence[int]) -> Iterator[str]:
    """Where the declared order is wrong, it has to be found wrong first; the bound is for what
    comes after that, and what finding out costs is a line of its own."""
    yield f"2. Stationary, {len(seeds)} runs"
    for world in (STILL, UPSIDE_DOWN):
        compared = policies(world, weights, seeds)
        worths = {name: world.worth(name, 0, weights) for name in world.models}
        best = max(worths.values())
        gap = best - (sum(worths.values()) - best) / (len(worths) - 1)
        begun = [requests_until(r, 0, world.requests, first=True) or 0 for r in compared.runs]
        late = fmean(
            sum(best - worths[name] for name in r.chosen[start:]) / (world.requests - start)
            for r, start in zip(compared.runs, begun, strict=True)
        )
        share = fmean(
            explored(r, start) / (world.requests - start)
            for r, start in zip(compared.runs, begun, strict=True)
        )
        lost = fmean(r.regret for r in compared.runs)
        before = lost - late * fmean(world.requests - start for start in begun)
        yield ""
        yield f"  {world.name}"
        yield from compared.lines
        yield f"  right model first after {median(begun):.0f} requests, at a regret of {before:.1f}"
        shown = f"{late:.5f} (share {share:.4f} × gap {gap:.4f} = {share * gap:.5f})"
        yield judged("regret a request from then on", shown, "≤ share × gap", late <= share * gap)


def explored(run: Result, start: int) -> int:
    """Requests from there on that went to another than the first of the order."""
    assert isinstance(run.policy, Learner)
    return sum(
        name != first
        for name, first in zip(run.chosen[start:], run.policy.first[start:], strict=True)
    )


def judged(label: str, shown: str, target: str, ok: bool) -> str:
    """A figure beside its target; the run fails on any `MISSED`."""
    return f"  {label}: {shown}, target {target}  {'ok' if ok else 'MISSED'}"


def cost(folder: Path) -> Iterator[str]:
    yield "3. Cost and quality, on generated prompts"
    for unlike, title in ((0.10, "models differ by category"), (0.04, "models hardly differ")):
        path = folder / f"prompts-{unlike}.jsonl"
        ranking_replay.generate(path, prompts=6_000, unlike=unlike)
        yield ""
        yield f"  {title}"
        yield from ranking_replay.report(path, seeds=(0, 1))


def speed(weights: Weights) -> Iterator[str]:
    """CPU seconds of this thread, so that a busy machine does not count as ours."""
    rng = random.Random(1)
    categories = [f"category-{n}" for n in range(10)]
    names = [f"model-{n}" for n in range(20)]
    rows = [_row(rng, n, categories, names) for n in range(100_000)]
    ranking = Ranking(weights, dict.fromkeys(categories, names))
    started, wall = time.thread_time(), time.perf_counter()
    ranking.fold(rows)
    folded, waited = time.thread_time() - started, time.perf_counter() - wall
    ranking.settle()
    draws = [rng.random() for _ in range(5_000)]
    started = time.thread_time()
    for draw in draws:
        ranking.choose(categories[0], names, draw)
    decided = (time.thread_time() - started) / len(draws)
    started = time.thread_time()
    ranking.update(rows[-60]._replace(revision=1, liked=False))
    revised = time.thread_time() - started
    yield "4. Ten categories, twenty models, 100,000 interactions"
    took = f"{folded:.2f} s of CPU ({waited:.2f} s on the clock)"
    yield judged("folding them all", took, "< 2 s", folded < 2.0)
    yield judged("one decision", f"{1_000 * decided:.3f} ms", "< 0.2 ms", decided < 0.0002)
    yield f"  one late revision: {1_000 * revised:.2f} ms"


def _row(rng: random.Random, n: int, categories: list[str], names: list[str]) -> Observation:
    place = min(int(rng.expovariate(0.5)), len(names) - 1)
    ok = rng.random() < 0.98 - 0.01 * place
    return Observation(
        at=float(n),
        request_id=f"{n:08d}",
        seq=0,
        category=rng.choice(categories),
        provider=names[place],
        outcome="ok" if ok else "failed",
        ttft_ms=rng.lognormvariate(6, 0.4) if ok else None,
        cost_usd=0.0005 if ok else 0.0,
        quality=0.9 if ok else None,
        liked=rng.choice((True, False)) if rng.random() < 0.05 else None,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranking", description=__doc__)
    parser.add_argument("--replay", type=Path, metavar="FILE", help="proof 3 over this file alone")
    parser.add_argument("--generate", type=Path, metavar="FILE", help="make a file for --replay")
    parser.add_argument("--runs", type=int, default=24, help="runs a world (default 24)")
    parser.add_argument("--figures", action="store_true", help="what users feel alone")
    parser.add_argument(
        "--sets", type=Path, nargs="*", default=[], metavar="FILE", help="answered prompts, gzipped"
    )
    options = parser.parse_args(arguments)
    try:
        if options.generate:
            ranking_replay.generate(options.generate)
            print(f"Wrote {options.generate}.")
        if options.replay:
            return show(ranking_replay.report(options.replay))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.generate:
        return 0
    configure(level="ERROR")
    if options.figures:
        return show(figures(options.sets))
    weights, seeds = Weights(), range(options.runs)
    with tempfile.TemporaryDirectory() as folder:
        return max(
            show(proof)
            for proof in (
                figures(options.sets),
                drift(weights, seeds),
                first(weights, seeds[:8]),
                stationary(weights, seeds),
                cost(Path(folder)),
                speed(weights),
                recovery(seeds),
            )
        )


def show(proof: Iterable[str]) -> int:
    """Print it as it comes; 1 if it missed a target."""
    missed = 0
    for line in proof:
        print(line, flush=True)
        missed |= line.endswith("MISSED")
    print()
    return missed


if __name__ == "__main__":
    raise SystemExit(main())
