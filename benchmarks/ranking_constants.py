"""What gets worse when a constant of the ranking is halved or doubled.

`python -m benchmarks.ranking_constants [--runs 5] [--write] [NAME …]` finds every number that a
module of `routing.ranking` names, plays small worlds with it as it is, halved and doubled, on the
same draws, and prints a row of the table of docs/ranking.md for each as it comes; `--write` puts
the table there. Worse is a figure that loses more than four standard errors of the runs'
differences, and more than 2% of itself. Each setting is a process of its own over a copy of the
ranking's modules in which that number alone is another one, so what is derived from it follows.
Exit 1 with more than 20 constants.
"""

from __future__ import annotations

import argparse
import ast
import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import ranking_sets, ranking_worlds
from benchmarks.ranking import BEFORE, FLAKY, KINDS, QUICK, STEADY, shapes
from benchmarks.ranking_felt import (
    World,
    alike,
    error_drift,
    latency_drift,
    learner,
    liking_drift,
)
from benchmarks.ranking_figures import commit, seeds
from benchmarks.ranking_verdicts import Source, regret
from benchmarks.ranking_worlds import Behaviour, Learner
from config.models import Ranking as Weights
from telemetry.console import configure

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "routing" / "ranking"
PAGE = ROOT / "docs" / "ranking.md"
BEGIN, END = "<!-- constants: begin -->", "<!-- constants: end -->"
MOST = 20
ERRORS = 4.0
"""Standard errors that a loss must have: of some 600 comparisons of five runs each, five or so find
it by chance."""
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


SHAPES = ("for good", BEFORE)
WORLDS = (
    _world("outages", quick=_on_and_off(500, 500, 60, 1_600), steady=_always(ttft_s=0.8), c=FLAKY),
    _world(
        "for good",
        quick=((0, QUICK), (500, Behaviour(ttft_s=0.4, success=0.8))),
        steady=((0, Behaviour(ttft_s=0.8, success=0.9)), (1_200, Behaviour(success=0.7))),
        third=((0, Behaviour(ttft_s=4.0, success=0.8)), (1_600, Behaviour(ttft_s=0.3))),
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
    *(world for kind in KINDS[:2] for world in shapes(kind) if world.name.endswith(SHAPES)),
)
"""Each with the situation that some constant is for: it must be able to show an effect."""


def figures(drawn: Sequence[int]) -> Figures:
    """The larger, the better; one value a run. Regrets are of the reward, over 2,000 requests."""

    def right(make: Callable[[int], World]) -> list[float]:
        return [float(learner(make(s), s, WEIGHTS).right.mean()) for s in drawn]

    def lost(world: ranking_worlds.World) -> list[float]:
        return [-ranking_worlds.play(world, s, WEIGHTS, Learner).regret for s in drawn]

    answered = (prompts, unlike)
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
        "turns of two alike": [-float(learner(alike(s), s, WEIGHTS).reorderings) for s in drawn],
    }


def altered(place: str, factor: float, source: str) -> str:
    """The module's source with that constant times the factor. Of a number from a half to 1, which
    may be a share, the odds are halved or doubled; of a tuple or an array each number is."""
    name = place.split(".")[1]
    node = next(
        part
        for part in ast.parse(source).body
        if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == name
    )
    try:
        new = repr(_times(ast.literal_eval(node.value), factor))
    except ValueError:  # made by a call, such as an array
        new = f"{factor} * ({ast.unparse(node.value)})"
    lines = source.splitlines()
    lines[node.lineno - 1 : node.end_lineno] = [f"{name} = {new}"]
    return "\n".join(lines) + "\n"


def _times(value: object, factor: float) -> object:
    if isinstance(value, tuple):
        return tuple(_times(part, factor) for part in value)
    if not isinstance(value, int | float):
        raise ValueError("no number")
    if isinstance(value, float) and 0.5 <= value < 1.0:
        return value * factor / (value * factor + 1.0 - value)
    return type(value)(value * factor)


def played(setting: tuple[str, float] | None, drawn: Sequence[int]) -> Figures:
    """The figures of a setting, None as it is, from a process of its own."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        _shadow(ROOT, root, but="routing")
        _shadow(ROOT / "routing", root / "routing", but="ranking")
        shutil.copytree(FOLDER, root / "routing" / "ranking")
        if setting is not None:
            file = root / "routing" / "ranking" / f"{setting[0].split('.')[0]}.py"
            file.write_text(altered(*setting, file.read_text(encoding="utf-8")), encoding="utf-8")
        asked = [sys.executable, "-m", "benchmarks.ranking_constants", "--figures"]
        done = subprocess.run(
            [*asked, *map(str, drawn)], cwd=root, capture_output=True, text=True, check=True
        )
    found: Figures = json.loads(done.stdout)
    return found


def _shadow(of: Path, folder: Path, but: str) -> None:
    """A folder of links to everything in another one but this."""
    folder.mkdir(exist_ok=True)
    for path in of.iterdir():
        if (path.name != but and path.name[0] not in "._") or path.name == "__init__.py":
            (folder / path.name).symlink_to(path)


def worse(found: Figures, usual: Figures) -> str:
    """What lost more than chance explains, by how much."""
    said = []
    for name, before in usual.items():
        lost = np.array(before) - np.array(found[name])
        error = float(lost.std(ddof=1)) / len(lost) ** 0.5
        if lost.mean() > max(ERRORS * error, 0.02 * abs(fmean(before)), 0.002):
            said.append(f"{name} −{lost.mean():.3f} ± {error:.3f}")
    return ", ".join(said) or "nothing"


def rows(places: Sequence[str], drawn: Sequence[int], at_once: int) -> Iterator[str]:
    """The table, line by line."""
    settings = [None, *((place, factor) for place in places for factor in (0.5, 2.0))]
    with ThreadPoolExecutor(at_once) as pool:
        each = pool.map(lambda setting: played(setting, drawn), settings)
        usual = next(each)
        as_it_is = ", ".join(f"{name} {fmean(runs):.3f}" for name, runs in usual.items())
        yield textwrap.fill(f"As it is: {as_it_is}.", 118, break_on_hyphens=False) + "\n"
        yield "| constant | value | worse if halved | worse if doubled |\n|---|---|---|---|"
        for place in places:
            halved, doubled = worse(next(each), usual), worse(next(each), usual)
            yield f"| `{place}` | {_shown(place)} | {halved} | {doubled} |"


def _shown(place: str) -> str:
    owner, name = place.split(".")
    source = (FOLDER / f"{owner}.py").read_text(encoding="utf-8")
    return next(
        ast.unparse(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )


def write(table: str) -> None:
    """Put it in the place of the one in docs/ranking.md, between its two marks."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these, such as evidence.OWN")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--at-once", type=int, default=1, help="processes at a time")
    parser.add_argument("--write", action="store_true", help="put the table into docs/ranking.md")
    parser.add_argument("--figures", type=int, nargs="+", metavar="SEED", help="as JSON, no table")
    options = parser.parse_args(arguments)
    configure(level="ERROR")
    if options.figures:
        print(json.dumps(figures(options.figures)))
        return 0
    found = list(constants())
    drawn = [seed % 2**31 for seed in seeds(options.runs)]
    shown = [
        f"{len(found)} constants, at most {MOST}; {datetime.now(UTC):%Y-%m-%d} on commit"
        f" {commit()[:7]}, {options.runs} runs of each world.\n"
    ]
    print(shown[0])
    for line in rows(options.names or found, drawn, options.at_once):
        print(line, flush=True)
        shown.append(line)
    if options.write:
        write("\n".join(shown))
    return int(len(found) > MOST)


if __name__ == "__main__":
    raise SystemExit(main())
