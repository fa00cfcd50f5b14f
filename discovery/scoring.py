"""How promising a candidate looks for a category: a weighted mean whose every term is shown.

The score only decides what is tried first; the trial decides what is adopted. More than half of it
is quality by public figures (`discovery.quality`); the rest is a judgement, not a measurement. Each
term is a value in [0, 1]. Unknown counts as the worst, so that knowing more about a model never
lowers its score and the unknown never beats the known.

| term | 0 | 1 |
|---|---|---|
| quality | worse than any other measured LLaMA | better than all of them |
| size | 0.1 billion parameters | 400 billion, on a log scale |
| release | long ago | today, halved every 18 months |
| licence | forbids commercial use | open (a LLaMA community licence: 0.8) |
| context | 2,048 tokens | 131,072 and more, on a log scale |
| price | dear | free; half at USD 0.50 per million tokens (3 read for 1 written) |
| popularity | nobody | 10 million downloads a month, or 10,000 likes, on a log scale |
| speed | many parameters to pass through | few; half at 40 billion, half again if it must think |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from config.hosts import Cost
from discovery.licences import combined
from discovery.quality import Quality

HALF_LIFE_DAYS = 548.0
HALF_PRICE_USD = 0.5
HALF_SPEED_PARAMETERS = 4e10

WEIGHTS: Mapping[str, float] = {
    "quality": 0.55,
    "price": 0.10,
    "context": 0.06,
    "licence": 0.06,
    "popularity": 0.06,
    "release": 0.06,
    "size": 0.06,
    "speed": 0.05,
}
"""The same for every category: categories differ in which benchmarks make up the quality."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about a model, from all sources together; None and empty: unknown."""

    name: str
    parameters: float | None = None
    active: float | None = None
    """Parameters used for each token, if not all are."""
    thinks: Literal["always", "asked"] | None = None
    """Whether it reasons before it answers: always or on request."""
    released: date | None = None
    licence: str | None = None
    base_licence: str | None = None
    """The licence of the LLaMA that it derives from, which applies as well."""
    commercial: bool | None = None
    """Whether the licence permits commercial use, if a source states it."""
    context: int | None = None
    cost: Cost | None = None
    downloads: float | None = None
    likes: float | None = None
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a score: `weight` sums to 1 over a score's terms, `said` is its basis."""

    name: str
    weight: float
    value: float
    said: str

    @property
    def known(self) -> bool:
        return self.said != "unknown" and not self.said.startswith("estimate")


@dataclass(frozen=True, slots=True)
class Score:
    """`total` in [0, 1] is the weighted mean of the terms."""

    total: float
    terms: tuple[Term, ...]


def score(evidence: Evidence, today: date, quality: Quality | None = None) -> Score:
    """Score what is known about a model as of a day.

    `quality` is its quality for the category; None: unknown.
    """
    judged = {
        "quality": _quality(quality),
        "price": _price(evidence),
        "speed": _speed(evidence),
        "size": _size(evidence.parameters),
        "release": _release(evidence.released, today),
        "licence": _licence(evidence),
        "context": _context(evidence.context),
        "popularity": _popularity(evidence.downloads, evidence.likes),
    }
    terms = tuple(Term(name, weight, *judged[name]) for name, weight in WEIGHTS.items())
    return Score(sum(term.weight * term.value for term in terms), terms)


Judgement = tuple[float, str]
_UNKNOWN: Judgement = (0.0, "unknown")


def _clamp(value: float) -> float:
    return max(0.0, min(1.0, value))


def size_value(parameters: float) -> float:
    """0 for 0.1 billion parameters, 1 for 400 billion."""
    return _clamp(math.log10(max(parameters, 1.0) / 1e8) / math.log10(4000))


def _quality(quality: Quality | None) -> Judgement:
    return (quality.value, quality.said) if quality else _UNKNOWN


def _speed(evidence: Evidence) -> Judgement:
    passed = evidence.active or evidence.parameters
    if not passed:
        return _UNKNOWN
    value = 1 / (1 + passed / HALF_SPEED_PARAMETERS)
    said = f"{human_count(passed)} active"
    return (
        (value / 2, f"{said}, always thinks first")
        if evidence.thinks == "always"
        else (value, said)
    )


def _size(parameters: float | None) -> Judgement:
    return (size_value(parameters), human_count(parameters)) if parameters else _UNKNOWN


def _release(released: date | None, today: date) -> Judgement:
    if released is None:
        return _UNKNOWN
    age = max(0, (today - released).days)
    return 0.5 ** (age / HALF_LIFE_DAYS), released.isoformat()


def _licence(evidence: Evidence) -> Judgement:
    own, base = evidence.licence, evidence.base_licence
    if not (own or base):
        return _UNKNOWN
    terms = combined(own, base, evidence.commercial, evidence.name)
    return terms.freedom, terms.name


def _context(tokens: int | None) -> Judgement:
    if not tokens:
        return _UNKNOWN
    return _clamp(math.log2(tokens / 2048) / math.log2(64)), f"{tokens:,} tokens"


def blended_usd(cost: Cost) -> float:
    """USD per million tokens at three input tokens for each output token."""
    return (3 * cost.input + cost.output) / 4


def _price(evidence: Evidence) -> Judgement:
    cost = evidence.cost
    if cost is None:
        return _UNKNOWN
    blended = blended_usd(cost)
    said = "free" if blended == 0 else f"${cost.input:g} in, ${cost.output:g} out"
    dated = ", ".join(str(part) for part in (cost.as_of, cost.source) if part)
    return 1 / (1 + blended / HALF_PRICE_USD), f"{said} ({dated})" if dated else said


def _popularity(downloads: float | None, likes: float | None) -> Judgement:
    votes = []
    if downloads is not None:
        votes.append((math.log10(1 + downloads) / 7, f"{human_count(downloads)} downloads"))
    if likes is not None:
        votes.append((math.log10(1 + likes) / 4, f"{human_count(likes)} likes"))
    if not votes:
        return _UNKNOWN
    value = sum(vote for vote, _ in votes) / len(votes)
    return _clamp(value), ", ".join(said for _, said in votes)


def human_count(value: float) -> str:
    """`70B`, `1.2M`, `940`: at most three digits."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
