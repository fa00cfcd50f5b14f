"""How promising a candidate looks for a category: a weighted mean whose every term is shown.

The score only decides what is tried first; the trial decides what is taken in. Each term is a
value in [0, 1]; what nobody says is 0.5 and marked as unknown, since unknown is neither bad nor
good. The weights are a judgement, not a measurement: size and age say most about a LLaMA's answers
(size more for code and prose than for small talk), price counts where answers are easy, and
popularity is a weak vote of people whose task is not known.

| term | 0 | 1 |
|---|---|---|
| size | 0.1 billion parameters | 400 billion, on a log scale |
| release | long ago | today, halved every 18 months |
| licence | forbids commercial use | open (a LLaMA community licence: 0.8) |
| context | 2,048 tokens | 131,072 and more, on a log scale |
| price | dear | free; half at USD 0.50 per million tokens (3 read for 1 written) |
| popularity | nobody | 10 million downloads a month, or 10,000 likes, on a log scale |
| specialisation | made for another category | made for this one; 0.5: for none |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from config.models import Cost
from discovery.licences import combined

NEUTRAL = 0.5
HALF_LIFE_DAYS = 548.0
HALF_PRICE_USD = 0.5

WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "technical": {
        "size": 0.30,
        "release": 0.20,
        "licence": 0.08,
        "context": 0.12,
        "price": 0.10,
        "popularity": 0.08,
        "specialisation": 0.12,
    },
    "creative": {
        "size": 0.30,
        "release": 0.15,
        "licence": 0.08,
        "context": 0.10,
        "price": 0.12,
        "popularity": 0.10,
        "specialisation": 0.15,
    },
    "general": {
        "size": 0.26,
        "release": 0.18,
        "licence": 0.08,
        "context": 0.10,
        "price": 0.18,
        "popularity": 0.12,
        "specialisation": 0.08,
    },
}
"""By category; one that a user added is weighed as `general`."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "technical": ("code", "coder", "coding", "math", "reason", "reasoning", "sql", "stem"),
    "creative": (
        "story",
        "writer",
        "writing",
        "roleplay",
        "novel",
        "fiction",
        "poetry",
        "creative",
    ),
}
"""What in a name or a tag speaks of a category."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a model, from all sources together; None and empty: nobody says."""

    name: str
    parameters: float | None = None
    released: date | None = None
    licence: str | None = None
    base_licence: str | None = None
    """The licence of the LLaMA that it was made from, which binds it too."""
    commercial: bool | None = None
    """Whether the licence allows commercial use, where a source says so itself."""
    context: int | None = None
    cost: Cost | None = None
    downloads: float | None = None
    likes: float | None = None
    tags: Sequence[str] = ()
    specialisation: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a score: `weight` sums to 1 over a score's terms, `said` is what it rests on."""

    name: str
    weight: float
    value: float
    said: str

    @property
    def known(self) -> bool:
        return self.said != "unknown"


@dataclass(frozen=True, slots=True)
class Score:
    """`total` in [0, 1] is the weighted mean of the terms."""

    total: float
    terms: tuple[Term, ...]


def score(evidence: Evidence, category: str, today: date) -> Score:
    """Weigh what is known of a model for a category, as of a day."""
    weights = WEIGHTS.get(category, WEIGHTS["general"])
    judged = {
        "size": _size(evidence.parameters),
        "release": _release(evidence.released, today),
        "licence": _licence(evidence),
        "context": _context(evidence.context),
        "price": _price(evidence.cost),
        "popularity": _popularity(evidence.downloads, evidence.likes),
        "specialisation": _specialisation(evidence, category),
    }
    terms = tuple(Term(name, weights[name], *judged[name]) for name in weights)
    return Score(sum(term.weight * term.value for term in terms), terms)


Judgement = tuple[float, str]
_UNKNOWN: Judgement = (NEUTRAL, "unknown")


def _clamp(value: float) -> float:
    return max(0.0, min(1.0, value))


def size_value(parameters: float) -> float:
    """0 for 0.1 billion parameters, 1 for 400 billion."""
    return _clamp(math.log10(max(parameters, 1.0) / 1e8) / math.log10(4000))


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
    """USD per million tokens at three tokens read for one written."""
    return (3 * cost.input + cost.output) / 4


def _price(cost: Cost | None) -> Judgement:
    if cost is None:
        return _UNKNOWN
    blended = blended_usd(cost)
    said = "free" if blended == 0 else f"${cost.input:g} in, ${cost.output:g} out"
    return 1 / (1 + blended / HALF_PRICE_USD), said


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


def _specialisation(evidence: Evidence, category: str) -> Judgement:
    if category in evidence.specialisation:
        return 1.0, f"declared for {category}"
    words = {
        word
        for text in (evidence.name, *evidence.tags)
        for word in text.lower().replace("_", "-").replace("/", "-").replace(":", "-").split("-")
    }
    for kind in sorted(WORDS, key=lambda kind: kind != category):
        told = sorted(words & set(WORDS[kind]))
        if told:
            return (1.0 if kind == category else 0.25), f"speaks of {', '.join(told)}"
    if evidence.specialisation:
        return 0.25, f"declared for {', '.join(evidence.specialisation)}"
    return NEUTRAL, "none declared"


def human_count(value: float) -> str:
    """`70B`, `1.2M`, `940`: three digits at most."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
