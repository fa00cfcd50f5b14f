"""`python -m benchmarks.search_order`: does the search's order agree with public evidence?

No network. For each category the score of every model of the catalogue that has public figures is
compared with those figures by Spearman's rank correlation: in sample (the figures make up part of
the score), and with everything that the same source measured left out of the score. `--table`
prints the order beside the figures, as docs/search.md shows it. Exit code 1 where a target is
missed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from scipy.stats import spearmanr

from config.catalogue import load_catalogue
from config.evidence import Evidence, load_evidence, weights_for
from config.loader import load
from config.models import Settings
from discovery.candidates import Candidate, join
from discovery.identity import key
from discovery.quality import SAME_SIZE
from discovery.sources.catalogued import CatalogueSource
from discovery.sources.source import Answer, ask_all

CONFIG = "config"
IN_SAMPLE = 0.9
LEFT_OUT = 0.6
LARGE = 40e9
WIDE = 10
"""Benchmarks with so many models must agree each by themselves; with fewer, one swap decides."""


@dataclass(frozen=True)
class Order:
    """The candidates of one category, by each of their names."""

    candidates: Sequence[Candidate]

    def named(self) -> dict[str, Candidate]:
        return {name: c for c in self.candidates for name in (c.key, key(c.evidence.name))}


def agreement(order: Order, figures: Mapping[str, float], least: float = 0.0) -> tuple[float, int]:
    """Rank correlation of score and figures over the models that have both, and how many."""
    named = order.named()
    pairs = [
        (named[m].score.total, value)
        for m, value in figures.items()
        if m in named and (named[m].evidence.parameters or 0.0) >= least
    ]
    if len(pairs) < 4:
        return float("nan"), len(pairs)
    scores, values = zip(*pairs, strict=True)
    return float(spearmanr(scores, values).statistic), len(pairs)


def figures_of(known: Evidence, benchmark: str) -> dict[str, float]:
    return {key(m): row[benchmark].value for m, row in known.figures.items() if benchmark in row}


def pooled(order: Order) -> dict[str, float]:
    """What the benchmarks of the category say together: the mean of the figures' levels."""
    measured = [c for c in order.candidates if c.quality and c.quality.figures]
    return {
        c.key: sum(f.weight * f.level for f in c.quality.figures)
        / sum(f.weight for f in c.quality.figures)
        for c in measured
        if c.quality
    }


class Bench:
    def __init__(self) -> None:
        self.settings: Settings = load(CONFIG, environ={}, dotenv=None)
        self.known = load_evidence(CONFIG)
        source = CatalogueSource(load_catalogue(CONFIG))
        self.answers: list[Answer] = asyncio.run(ask_all([source], "general"))
        self.missed: list[str] = []

    def order(self, category: str, known: Evidence) -> Order:
        return Order(join(self.answers, self.settings, category, date(2026, 11, 27), known))

    def require(self, what: str, value: float, target: float) -> None:
        if not value >= target:
            self.missed.append(f"{what}: {value:.2f}, wanted {target}")

    def category(self, category: str) -> None:
        order = self.order(category, self.known)
        weights = weights_for(category, self.settings.categories, self.known)
        together, n = agreement(order, pooled(order))
        large, n_large = agreement(order, pooled(order), LARGE)
        print(f"\n{category}: all its benchmarks together {together:.2f} (n {n}),", end=" ")
        print(f"40 B and more {large:.2f} (n {n_large})")
        self.require(f"{category}, together", together, IN_SAMPLE)
        print(f"  {'benchmark':24}{'weight':>7}{'in sample':>16}{'left out':>16}{'≥ 40 B':>16}")
        for name, benchmark in self.known.benchmarks.items():
            figures = figures_of(self.known, name)
            inside, n = agreement(order, figures)
            less = self.order(category, self.known.without(benchmark.group))
            outside, _ = agreement(less, figures)
            alone, m = agreement(less, figures, LARGE)
            counts = f"{weights[name]:.2f}" if name in weights else "–"
            print(
                f"  {name:24}{counts:>7}{inside:10.2f} (n{n:3}){outside:10.2f} (n{n:3})"
                f"{alone:10.2f} (n{m:3})"
            )
            if name in weights:
                self.require(f"{category}, {name} left out", outside, LEFT_OUT)
                if n >= WIDE:
                    self.require(f"{category}, {name} in sample", inside, IN_SAMPLE)
        self.unknown_below_known(category, order)

    def unknown_below_known(self, category: str, order: Order) -> None:
        judged = [c for c in order.candidates if c.quality and c.evidence.parameters]
        measured = [c for c in judged if c.quality and c.quality.measured]
        for guess in (c for c in judged if c.quality and not c.quality.measured):
            for peer in measured:
                ratio = (guess.evidence.parameters or 0) / (peer.evidence.parameters or 1)
                old = peer.evidence.released and guess.evidence.released
                if not 1 / SAME_SIZE <= ratio <= SAME_SIZE or not old:
                    continue
                assert guess.quality
                assert peer.quality
                days = (guess.evidence.released - peer.evidence.released).days  # type: ignore[operator]
                if guess.quality.value > peer.quality.value and days <= 730:
                    self.missed.append(f"{category}: {guess.name} is guessed above {peer.name}")
        if not order.candidates[0].served:
            self.missed.append(f"{category}: {order.candidates[0].name} leads and nobody serves it")

    def table(self) -> None:
        """Every model with figures: its place by score in each category, and the figures."""
        categories = list(self.settings.priorities)
        orders = {c: self.order(c, self.known) for c in categories}
        places = {
            c: {
                one.key: i
                for i, one in enumerate(sorted(order.candidates, key=lambda x: -x.score.total), 1)
            }
            for c, order in orders.items()
        }
        shown = [b for b in self.known.benchmarks if b.startswith(("arena", "eqbench", "aider"))]
        shown += ["livebench-coding", "livebench-math", "livebench-reasoning", "makers-gpqa"]
        print("| model | " + " | ".join([*categories, *shown]) + " |")
        print("|" + "---|" * (1 + len(categories) + len(shown)))
        named = orders[categories[-1]].named()
        for model, row in self.known.figures.items():
            if (one := named.get(key(model))) is None:
                continue
            cells = [str(places[c][one.key]) for c in categories]
            cells += [f"{row[b].value:g}" if b in row else "" for b in shown]
            print(f"| {one.name} | " + " | ".join(cells) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", action="store_true")
    bench = Bench()
    if parser.parse_args().table:
        bench.table()
        return 0
    for category in bench.settings.priorities:
        bench.category(category)
    for one in bench.missed:
        print(f"missed: {one}")
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
