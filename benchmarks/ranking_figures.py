"""What the ranking promises of drift, of conviction and of gain, each figure beside its target.

The seeds come from the commit's hash: nothing can be fitted to them, and a commit gives the same
figures again. `SETS` names files of prompts with every model's answer; without one the rows that
need them are left out, and that is said.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from benchmarks import ranking_sets
from benchmarks.bandits import OPPONENTS, Bandit
from benchmarks.classification import ready, shipped
from benchmarks.ranking_felt import (
    Played,
    World,
    alike,
    bandit,
    error_drift,
    fixed,
    hundred,
    latency_drift,
    learner,
    liking_drift,
    play,
)
from benchmarks.ranking_recovery import CATEGORY, WAITS, settings_of
from config.models import Ranking as Weights
from config.models import Settings
from providers.base import ProviderError
from race.permits import Permit
from race.routing_state import RoutingState
from routing.classifier.classifier import MODEL
from routing.ranking.reward import Observation
from vectorstore.prompt_encoder import PromptEncoder

RUNS = 10
ORDERS = 20
HUNDREDS = 5
"""Runs of a hundred like models: each takes as long as twenty of the others."""


def commit() -> str:
    """The commit's hash; nothing outside a repository."""
    asked = ["git", "rev-parse", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def seeds(count: int) -> list[int]:
    """Drawn from the commit's hash."""
    number = int(hashlib.sha256(commit().encode()).hexdigest(), 16)
    return [int(n) for n in np.random.SeedSequence(number).generate_state(count)]


def judged(label: str, shown: str, target: str, ok: bool) -> str:
    return f"  {label}: {shown}, target {target}  {'ok' if ok else 'MISSED'}"


def drifts(drawn: Sequence[int]) -> Iterator[str]:
    """The three drifts that users feel, beside the policies of the papers."""
    weights = Weights()
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(Path(folder) / "drift")
        for make, least, phase, last in (
            (latency_drift, 0.90, 0.85, 0.85),
            (error_drift, 0.88, 0.0, 0.80),
            (liking_drift, 0.85, 0.0, 0.0),
        ):
            worlds = [make(seed) for seed in drawn]
            through = make is error_drift

            def ours(world: World, seed: int, through: bool = through) -> Played:
                if through:
                    return behind_breakers(world, seed, settings)
                return learner(world, seed, weights)

            runs = [ours(w, s) for w, s in zip(worlds, drawn, strict=True)]
            yield ""
            yield f"  {worlds[0].name}, {len(drawn)} runs: right share, over all and by phase"
            yield _line("learner", runs, worlds[0])
            for name, policy in OPPONENTS.items():
                yield _line(name, _others(policy, worlds, drawn), worlds[0])
            best, share = fixed(worlds[0])
            yield f"    {'best fixed: ' + best:<26}{share:>6.3f}"
            right = fmean(float(r.right.mean()) for r in runs)
            phases = np.mean([r.phases(worlds[0].cuts) for r in runs], axis=0)
            yield judged("over all", f"{right:.3f}", f"≥ {least:.2f}", right >= least)
            if phase:
                shown = f"{phases.min():.3f}"
                yield judged("worst phase", shown, f"≥ {phase:.2f}", phases.min() >= phase)
            if last:
                shown = f"{phases[-1]:.3f}"
                yield judged("last phase", shown, f"≥ {last:.2f}", phases[-1] >= last)


def _line(name: str, runs: Sequence[Played], world: World) -> str:
    phases = np.mean([r.phases(world.cuts) for r in runs], axis=0)
    shown = "".join(f"{share:>8.3f}" for share in phases)
    return f"    {name:<26}{fmean(float(r.right.mean()) for r in runs):>6.3f}{shown}"


def _others(policy: type[Bandit], worlds: Sequence[World], drawn: Sequence[int]) -> list[Played]:
    return [bandit(w, s % 2**31, policy) for w, s in zip(worlds, drawn, strict=True)]


def behind_breakers(world: World, seed: int, settings: Settings) -> Played:
    """The application's routing state with its real breakers, by the world's own clock."""
    now = [0.0]
    rng = np.random.default_rng(seed + 1)
    routing = RoutingState(settings, clock=lambda: now[0], draw=lambda: float(rng.random()))
    names = dict(zip(world.models, WAITS, strict=True))
    number = {name: n for n, name in enumerate(names.values())}
    skipped: list[str] = []

    def choose(t: int) -> int:
        now[0] = t / world.per_s
        choice = routing.choose(CATEGORY)
        able = [name for name in choice.order if routing.allows(name)]
        asked = able[0] if able else choice.order[0]
        skipped[:] = [name for name in choice.order if name not in able and name != asked]
        for name in skipped:
            routing.turned_away(name)
        permit = routing.grant(asked, CATEGORY, forced=not able)
        ok = bool(world.ok[t, number[asked]])
        if isinstance(permit, Permit):
            permit.sign_of_life(400.0)
            if ok:
                permit.succeeded()
            else:
                permit.failed(ProviderError("server", "down"))
        return number[asked]

    def learn(seen: Sequence[Observation]) -> None:
        for row in seen:
            known = row._replace(category=CATEGORY, provider=names[row.provider])
            left = [
                known._replace(seq=seq, provider=name, outcome="skipped", ttft_ms=None, error=None)
                for seq, name in enumerate(skipped, 1)
            ]
            routing.ranking.fold([known, *left])
        if routing.ranking.due(CATEGORY):
            routing.rerank(CATEGORY)

    return play(world, choose, learn)


def conviction(drawn: Sequence[int], sets: Sequence[ranking_sets.Prompts]) -> Iterator[str]:
    """Runs that stay on a worse model, and orders that turn for nothing."""
    makers: list[Callable[[int], ranking_sets.Prompts]] = [
        *(lambda seed, p=pair: ranking_sets.pair(p[0], p[1], seed) for pair in ranking_sets.PAIRS),
        *(lambda seed, s=known: s.shuffled(seed) for known in sets),
    ]
    stuck = total = 0
    for make in makers:
        gains = [ranking_sets.learn(make(seed), seed).late_gain for seed in drawn]
        total += len(gains)
        stuck += sum(gain < -0.03 for gain in gains)
        name = make(0).name
        yield f"    {name:<26} second half {fmean(gains):+.4f}, worst {min(gains):+.4f}"
    yield judged("stuck more than .03 below", f"{stuck} of {total}", "≤ 1", stuck <= 1)
    turned = [learner(hundred(seed), seed, Weights()).reorderings for seed in drawn[:HUNDREDS]]
    shown = f"{', '.join(map(str, turned))}, {fmean(turned):.1f} in the mean"
    yield judged("reorderings of a hundred like", shown, "≤ 5 in 10,000", fmean(turned) <= 5.0)
    turns = [learner(alike(seed), seed, Weights()).reorderings for seed in drawn]
    shown = f"{fmean(turns):.1f} in the mean, {max(turns)} at most"
    yield judged("reorderings of two alike", shown, "≤ 2 in 2,000", fmean(turns) <= 2.0)


TARGETS = {"routerdc": 0.012, "llmrouter": 0.02}


def gains(drawn: Sequence[int], sets: Sequence[ranking_sets.Prompts]) -> Iterator[str]:
    """From cold, beside the best fixed model, and beyond a control with the same models in the
    same shares."""
    for known in sets:
        runs = [ranking_sets.learn(known.shuffled(seed), seed) for seed in drawn]
        gain, target = fmean(run.gain for run in runs), TARGETS.get(known.name, 0.0)
        yield f"    {known.name}: best fixed {known.best_fixed:.4f}, oracle {known.oracle:.4f}"
        for name, policy in OPPONENTS.items():
            others = [ranking_sets.bandit(known.shuffled(s), s % 2**31, policy) for s in drawn[:5]]
            yield f"      {name:<24}{fmean(run.gain for run in others):+.4f}"
        yield judged("gain over best fixed", f"{gain:+.4f}", f"≥ {target:+.3f}", gain >= target)
        beyond = np.array([float(run.beyond_control.mean()) for run in runs])
        spread = np.mean([run.beyond_control.std() / len(known) ** 0.5 for run in runs])
        low = float(beyond.mean() - 1.96 * spread)
        yield judged("beyond the control, lower bound", f"{low:+.4f}", "> 0", low > 0.0)


def labelled(file: Path) -> list[ranking_sets.Prompts]:
    """The file's sets with the categories that the shipped classifier gives the prompts."""
    classifier = ready(shipped(), PromptEncoder.load(MODEL))

    def labels(prompts: Sequence[str]) -> np.ndarray:
        return np.array([classifier.classify(prompt).category for prompt in prompts])

    known = ranking_sets.read(file, labels)
    return [replace(found, name=f"{found.name}, product's categories") for found in known]


def figures(files: Sequence[Path], runs: int = RUNS, orders: int = ORDERS) -> Iterator[str]:
    yield "0. What users feel, in virtual time; seeds from the commit's hash"
    yield from drifts(seeds(runs))
    sets = [known for file in files for known in ranking_sets.read(file)]
    yield ""
    yield f"  Conviction, {orders} orders each"
    if not sets:
        yield "    no file of answered prompts was given (--sets FILE): six pairs alone"
    yield from conviction(seeds(orders), sets)
    if sets:
        yield ""
        yield f"  Answered prompts, {orders} orders each"
        yield from gains(seeds(orders), sets)
        yield "  The same, with the product's own categories"
        yield from gains(seeds(orders), [s for f in files for s in labelled(f)])
