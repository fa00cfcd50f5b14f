"""What each source of verdicts is worth to the ranking, and what a biased judge costs: a scripted
world in which it is known how often each model's answer is right.

Three models succeed alike, cost alike and are equally quick, so nothing but a verdict tells them
apart; the declared order has the worst of them first, and a helper stands behind them. Where a
person or a judge compares two answers, it sees which is right.

`python -m benchmarks.ranking_verdicts` exits 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from benchmarks.ranking_figures import seeds
from config.models import Ranking as Weights
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation

C = "general"
RIGHT = {"first": 0.60, "second": 0.85, "third": 0.75, "helper": 0.50}
"""The share of each one's answers that is right; the helper is never asked as a primary."""
MODELS = ("first", "third", "second")
"""The declared order."""
BEST = "second"
REQUESTS, RUNS, EVERY_S = 3_000, 5, 10.0

Judge = Callable[[random.Random, str, bool, bool], float]
"""By the one's name and whether the one's and the other's answers are right: 1, 0 or 0.5."""


def fair(_rng: random.Random, _one: str, a: bool, b: bool) -> float:
    return 0.5 + 0.5 * (a - b)


def coarse(rng: random.Random, one: str, a: bool, b: bool) -> float:
    """Wrong, one way or the other, in four of ten verdicts."""
    return fair(rng, one, a, b) if rng.random() < 0.6 else rng.choice((0.0, 0.5, 1.0))


def never_ties(rng: random.Random, one: str, a: bool, b: bool) -> float:
    return fair(rng, one, a, b) if a != b else float(rng.random() < 0.5)


def against_helper(_rng: random.Random, _one: str, _a: bool, _b: bool) -> float:
    """Never likes what is written from passages."""
    return 1.0


def for_helper(rng: random.Random, one: str, a: bool, b: bool) -> float:
    """Likes it in half of the verdicts whatever it says: it has sources, say."""
    return 0.0 if rng.random() < 0.5 else fair(rng, one, a, b)


def kin(share: float) -> Judge:
    """Takes so many answers of the worst model, its kin, for the better ones."""

    def judge(rng: random.Random, one: str, a: bool, b: bool) -> float:
        return 1.0 if one == MODELS[0] and rng.random() < share else fair(rng, one, a, b)

    return judge


@dataclass(frozen=True, slots=True)
class Source:
    """Who compares how many of the answers. Persons compare two models, drawn from all; the others
    compare the model that was asked with the helper."""

    name: str
    share: float = 0.0
    says: Judge = fair
    who: Literal["judge", "late", "person"] = "judge"
    thumbs: float = 0.0
    """Share of the answers that get a thumb, up where they are right."""


def regret(source: Source, seed: int) -> tuple[float, float]:
    """Right answers missed a request against always asking the best one, over all and in the
    second half of the requests."""
    rng, ranking = random.Random(seed), Ranking(Weights(), {C: MODELS})
    missed: list[float] = []
    for n in range(REQUESTS):
        name = ranking.choose(C, MODELS, rng.random()).order[0]
        missed.append(RIGHT[BEST] - RIGHT[name])
        seen = Observation(EVERY_S * n, f"r{n:06d}", 0, C, name, ttft_ms=400.0, cost_usd=0.0005)
        if rng.random() < source.thumbs:
            seen = seen._replace(liked=rng.random() < RIGHT[name])
        if source.who == "late" and rng.random() < source.share:
            seen = seen._replace(outcome="late")
        rows = [seen]
        if seen.outcome == "late" or (source.who != "late" and rng.random() < source.share):
            rows.append(_verdict(seen, source, rng))
        ranking.fold(rows)
        if ranking.due(C):
            ranking.rerank(C)
    return fmean(missed), fmean(missed[REQUESTS // 2 :])


def _verdict(seen: Observation, source: Source, rng: random.Random) -> Observation:
    one, other = rng.sample(MODELS, 2) if source.who == "person" else (seen.provider, "helper")
    a, b = rng.random() < RIGHT[one], rng.random() < RIGHT[other]
    return Observation(
        seen.at, seen.request_id, 9, C, one, role="compare",
        against=other, beside=source.who != "person",
        verdict=source.says(rng, one, a, b), source=source.who,
    )  # fmt: skip


NOTHING = Source("no verdicts, no thumbs")
ALONE: tuple[tuple[Source, float], ...] = (
    (Source("a fair judge, 20% of the races", 0.20), 0.5),
    (Source("a fair judge, 5% of the races", 0.05), 0.9),
    (Source("a judge that never ties, 20%", 0.20, never_ties), 0.9),
    (Source("a coarse judge (4 of 10 are chance), 20%", 0.20, coarse), 0.8),
    (Source("late answers, one in ten", 0.10, who="late"), 0.7),
    (Source("persons, 2% of the requests", 0.02, who="person"), 0.7),
    (Source("a judge that never likes the helper, 20%", 0.20, against_helper), 1.1),
    (Source("a judge for the helper in half, 20%", 0.20, for_helper), 0.6),
    (Source("a judge for its kin in 1 of 5, 20%", 0.20, kin(0.2)), 0.6),
    (Source("a judge for its kin always, 20%", 0.20, kin(1.0)), 1.2),
)
"""Each with the most that its regret may be, as a share of that without verdicts."""
THUMBS = Source("no verdicts, a thumb on one answer in five", thumbs=0.2)
BESIDE_THUMBS: tuple[tuple[Source, float], ...] = (
    (Source("and a fair judge, 20%", 0.20, thumbs=0.2), 1.2),
    (Source("and a judge for its kin in 1 of 5, 20%", 0.20, kin(0.2), thumbs=0.2), 1.2),
    (Source("and a judge for its kin always, 20%", 0.20, kin(1.0), thumbs=0.2), 4.0),
)


def report(drawn: Sequence[int]) -> Iterator[str]:
    for without, sources in ((NOTHING, ALONE), (THUMBS, BESIDE_THUMBS)):
        whole, late = _mean(without, drawn)
        yield f"{without.name}: {whole:.4f} missed a request, {late:.4f} in the second half"
        for source, most in sources:
            found, later = _mean(source, drawn)
            ok = "ok" if found <= most * whole else "MISSED"
            yield (
                f"  {source.name}: {found:.4f}, {later:.4f} in the second half;"
                f" {found / whole:.2f} of that without, at most {most:.2f}  {ok}"
            )


def _mean(source: Source, drawn: Sequence[int]) -> tuple[float, float]:
    runs = [regret(source, seed) for seed in drawn]
    return fmean(run[0] for run in runs), fmean(run[1] for run in runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    lines = []
    for line in report(seeds(parser.parse_args().runs)):
        print(line, flush=True)
        lines.append(line)
    return 1 if any(line.endswith("MISSED") for line in lines) else 0


if __name__ == "__main__":
    raise SystemExit(main())
