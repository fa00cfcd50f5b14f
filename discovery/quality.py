"""How good a model is for a category by public figures, on one scale and with its uncertainty.

Leaderboards use different units. Each benchmark is linked to a common level by mean and standard
deviation over the models that it shares with others (mean-sigma linking; Kolen and Brennan, "Test
Equating, Scaling, and Linking", 3rd ed., section 6.3), alternating levels and links until they
converge. A benchmark's uncertainty is the residual of its figures against the levels, in addition
to the interval that it publishes. A category's level is the weighted mean of its benchmarks, shrunk
towards models of the same size if there is little evidence.

A model without figures is estimated from its relatives, marked, and never above the lowest measured
model of its size: unknown does not beat known.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from config.evidence import Benchmark, Evidence, Figure

LINKING = 4
"""The models that must link a benchmark with the others before its figures are used."""
ROUNDS = 200
SETTLED = 1e-9
PRIOR_WEIGHT = 0.15
"""Weight of the prior from models of the same size, against the sum of the benchmarks' weights: a
model known only from a benchmark of little weight is mostly judged by its size."""
SAME_SIZE = 1.5
"""Models count as one size if neither has more than this many times the other's parameters."""
GENERATION_DAYS = 730
"""Models older than another one by more than this carry no information about it."""
LEAST_NOISE = 0.2
"""In levels; a link that agrees more closely than this does so by chance."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to be judged: `key` is its name, `family` the LLaMA that it derives from."""

    key: str
    parameters: float | None = None
    released: date | None = None
    family: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """One figure behind a quality; `level` is its value on the common scale."""

    benchmark: str
    title: str
    value: float
    error: float
    date: str
    source: str
    weight: float
    level: float


@dataclass(frozen=True, slots=True)
class Quality:
    """`value` in [0, 1] is the probability of being better than another measured LLaMA.

    `level` and `error` (a standard deviation) are on the common scale: 0 is the mean of the
    measured models, 1 their standard deviation. An estimate names its relatives and no figures.
    """

    value: float
    level: float
    error: float
    measured: bool
    figures: tuple[Shown, ...] = ()
    relatives: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        if not self.measured:
            return f"estimate from {', '.join(self.relatives)}"
        return "; ".join(
            f"{f.title} {f.value:g}" + (f"±{f.error:g}" if f.error else "") + f", {f.date}"
            for f in self.figures
        )


@dataclass(frozen=True, slots=True)
class Link:
    """level = (figure - centre) / spread; `noise` is its standard error, in levels."""

    centre: float
    spread: float
    noise: float


Table = Mapping[str, Mapping[str, Figure]]
"""Figures by model and benchmark."""


def judge(
    subjects: Sequence[Subject], table: Table, known: Evidence, weights: Mapping[str, float]
) -> dict[str, Quality]:
    """The quality of each subject that has figures or can be estimated, by its key."""
    links = link(table, known.benchmarks)
    levels = {
        s.key: _placed(table[s.key], links, known.benchmarks, weights)
        for s in subjects
        if s.key in table
    }
    measured = {name: shown for name, shown in levels.items() if shown}
    known_levels = {name: _mean(shown) for name, shown in measured.items()}
    sizes = {s.key: s for s in subjects}
    drawn = {
        name: _shrunk(sizes[name], level, measured[name], known_levels, sizes)
        for name, level in known_levels.items()
    }
    errors = {name: _error(shown, links) for name, shown in measured.items()}
    values = {name: _chance(name, drawn, errors) for name in drawn}
    found = {
        name: Quality(values[name], drawn[name], errors[name], True, measured[name])
        for name in drawn
    }
    guesses = {
        s.key: _estimate(s, found, sizes, drawn, errors) for s in subjects if s.key not in found
    }
    return found | {name: guess for name, guess in guesses.items() if guess}


def link(table: Table, benchmarks: Mapping[str, Benchmark]) -> dict[str, Link]:
    """Each benchmark's mapping to the common level; benchmarks linked by too few models are
    omitted."""
    rows = {
        name: {model: row[name].value for model, row in table.items() if name in row}
        for name in benchmarks
    }
    linking = {
        name: [m for m in row if _groups(table[m], benchmarks) - {benchmarks[name].group}]
        for name, row in rows.items()
    }
    used = [n for n in rows if len(linking[n]) >= LINKING and _spread(rows[n], linking[n]) > 0]
    levels = _first_levels(rows, used)
    links: dict[str, Link] = {}
    for _ in range(ROUNDS):
        links = {name: _linked(rows[name], linking[name], levels) for name in used}
        moved = _levels(rows, links)
        if max((abs(moved[m] - levels[m]) for m in moved), default=0.0) < SETTLED:
            break
        levels = moved
    return links


def _groups(row: Mapping[str, Figure], benchmarks: Mapping[str, Benchmark]) -> set[str]:
    return {benchmarks[name].group for name in row if name in benchmarks}


def _spread(row: Mapping[str, float], models: Sequence[str]) -> float:
    return statistics.pstdev([row[m] for m in models])


def _first_levels(rows: Mapping[str, Mapping[str, float]], used: Sequence[str]) -> dict[str, float]:
    said: dict[str, list[float]] = {}
    for name in used:
        row = rows[name]
        mean, spread = statistics.fmean(row.values()), statistics.pstdev(row.values())
        for model, value in row.items():
            said.setdefault(model, []).append((value - mean) / spread)
    return _standard({model: statistics.fmean(values) for model, values in said.items()})


def _linked(row: Mapping[str, float], models: Sequence[str], levels: Mapping[str, float]) -> Link:
    there = [row[m] for m in models]
    here = [levels[m] for m in models]
    spread = statistics.pstdev(there) / max(statistics.pstdev(here), 1e-9)
    centre = statistics.fmean(there) - spread * statistics.fmean(here)
    off = [(y - centre) / spread - x for y, x in zip(there, here, strict=True)]
    noise = math.sqrt(sum(o * o for o in off) / (len(off) - 2))
    return Link(centre, spread, max(noise, LEAST_NOISE))


def _levels(rows: Mapping[str, Mapping[str, float]], links: Mapping[str, Link]) -> dict[str, float]:
    sums: dict[str, tuple[float, float]] = {}
    for name, link_ in links.items():
        weight = 1 / link_.noise**2
        for model, value in rows[name].items():
            total, share = sums.get(model, (0.0, 0.0))
            level = (value - link_.centre) / link_.spread
            sums[model] = total + weight * level, share + weight
    return _standard({model: total / share for model, (total, share) in sums.items()})


def _standard(levels: Mapping[str, float]) -> dict[str, float]:
    if not levels:
        return {}
    mean, spread = statistics.fmean(levels.values()), statistics.pstdev(levels.values()) or 1.0
    return {model: (level - mean) / spread for model, level in levels.items()}


def _placed(
    row: Mapping[str, Figure],
    links: Mapping[str, Link],
    benchmarks: Mapping[str, Benchmark],
    weights: Mapping[str, float],
) -> tuple[Shown, ...]:
    return tuple(
        Shown(
            benchmark=name,
            title=benchmarks[name].title,
            value=figure.value,
            error=figure.error,
            date=figure.date or benchmarks[name].date.isoformat(),
            source=figure.source or benchmarks[name].source,
            weight=weights[name],
            level=(figure.value - links[name].centre) / links[name].spread,
        )
        for name, figure in row.items()
        if name in links and weights.get(name)
    )


def _mean(shown: Sequence[Shown]) -> float:
    return sum(s.weight * s.level for s in shown) / sum(s.weight for s in shown)


def _shrunk(
    subject: Subject,
    level: float,
    shown: Sequence[Shown],
    levels: Mapping[str, float],
    sizes: Mapping[str, Subject],
) -> float:
    """The level, shrunk towards the mean of the measured models of its size."""
    others = [levels[m] for m in levels if m != subject.key and _same_size(subject, sizes[m])]
    if not others:
        return level
    weight = sum(s.weight for s in shown)
    prior = statistics.fmean(others)
    return (weight * level + PRIOR_WEIGHT * prior) / (weight + PRIOR_WEIGHT)


def _error(shown: Sequence[Shown], links: Mapping[str, Link]) -> float:
    weight = sum(s.weight for s in shown)
    squares = sum(
        s.weight**2
        * (links[s.benchmark].noise ** 2 + (s.error / 1.96 / links[s.benchmark].spread) ** 2)
        for s in shown
    )
    return math.sqrt(squares) / weight


def _chance(name: str, levels: Mapping[str, float], errors: Mapping[str, float]) -> float:
    """The probability of being better than a measured model drawn at random."""
    others = [m for m in levels if m != name]
    if not others:
        return 0.5
    wins = (
        _normal((levels[name] - levels[m]) / math.hypot(errors[name], errors[m])) for m in others
    )
    return sum(wins) / len(others)


def _normal(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def _same_size(one: Subject, other: Subject) -> bool:
    if not (one.parameters and other.parameters):
        return False
    ratio = one.parameters / other.parameters
    return 1 / SAME_SIZE <= ratio <= SAME_SIZE


def _estimate(
    subject: Subject,
    found: Mapping[str, Quality],
    sizes: Mapping[str, Subject],
    drawn: Mapping[str, float],
    errors: Mapping[str, float],
) -> Quality | None:
    """The lowest of the measured models of its size and time, less their standard deviation.

    If there is none of its size, those of the nearest size above are used, else of the nearest
    below.
    """
    if not subject.parameters:
        return None
    measured = [sizes[name] for name in drawn]
    timely = [m for m in measured if m.parameters and not _outdated(m, subject)]
    peers = [m for m in timely if _same_size(subject, m)] or _nearest(subject, timely)
    if not peers:
        return None
    lowest = min(peers, key=lambda m: drawn[m.key]).key
    error = statistics.pstdev([drawn[m.key] for m in peers]) or errors[lowest]
    level = drawn[lowest] - error
    value = _chance(subject.key, {**drawn, subject.key: level}, {**errors, subject.key: error})
    value = min(value, *(found[m.key].value for m in peers))
    kin = [m.key for m in peers if m.family and m.family == subject.family]
    return Quality(value, level, error, False, (), tuple(kin or [lowest])[:3])


def _outdated(measured: Subject, subject: Subject) -> bool:
    if measured.released is None or subject.released is None:
        return False
    return (subject.released - measured.released).days > GENERATION_DAYS


def _nearest(subject: Subject, measured: Sequence[Subject]) -> list[Subject]:
    size = subject.parameters or 0.0
    above = [m for m in measured if (m.parameters or 0.0) >= size]
    nearest = min(above, key=lambda m: m.parameters or 0.0, default=None)
    if nearest is None:
        nearest = max(measured, key=lambda m: m.parameters or 0.0, default=None)
    return [m for m in measured if nearest is not None and _same_size(nearest, m)]
