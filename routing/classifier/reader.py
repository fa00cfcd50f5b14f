"""Turns a prompt into one row of features, the same in training and in serving."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from config.models import Category
from routing.classifier.features import Parts, divide, opening, words
from routing.classifier.structure import SHAPES, shapes, signals

_ENOUGH = 3  # matches from which a group is at full strength
_STEM = 3  # minimum number of letters before a `*`


class Keywords:
    """Groups of words and phrases; `poem*` matches any word with that prefix."""

    def __init__(self, categories: Mapping[str, Category]) -> None:
        self.groups: list[tuple[str, str]] = []  # (category, group)
        self._exact: dict[str, list[int]] = {}
        self._stems: dict[str, list[int]] = {}
        self._reach: dict[
            str, int
        ] = {}  # number of words in the longest entry that begins with this one
        for category, settings in categories.items():
            named = settings.keywords
            groups = named if isinstance(named, dict) else {category: named} if named else {}
            for group, entries in groups.items():
                for entry in entries:
                    self._add(entry, len(self.groups))
                self.groups.append((category, group))

    def _add(self, entry: str, group: int) -> None:
        tokens = words(entry.rstrip("*"))
        key = " ".join(tokens)
        stem = entry.endswith("*") and len(tokens) == 1 and len(key) >= _STEM
        (self._stems if stem else self._exact).setdefault(key, []).append(group)
        if tokens and not stem:
            self._reach[tokens[0]] = max(self._reach.get(tokens[0], 0), len(tokens))

    def find(self, tokens: Sequence[str]) -> list[set[str]]:
        """The matches of each group."""
        found: list[set[str]] = [set() for _ in self.groups]
        for start, token in enumerate(tokens):
            for end in range(start + 1, min(start + self._reach.get(token, 0), len(tokens)) + 1):
                phrase = " ".join(tokens[start:end])
                for group in self._exact.get(phrase, ()):
                    found[group].add(phrase)
            for length in range(_STEM, min(len(token), 24) + 1):
                for group in self._stems.get(token[:length], ()):
                    found[group].add(token)
        return found

    def measure(self, found: Sequence[set[str]]) -> np.ndarray:
        """Two columns for each group: whether it matched, and how often, both in [0, 1]."""
        counts = np.array([len(hits) for hits in found], dtype=np.float32)
        return np.concatenate([np.minimum(counts, 1), np.minimum(counts, _ENOUGH) / _ENOUGH])


SCALE = 0.5
"""Norm of each block of features except the embedding, whose rows have norm 1."""
BELIEF = 0.5
"""Prior weight of a keyword or a declared signal for its category, before any example is seen."""
_OPENING = 3
_RARE, _RARE_SHARE = 2, 0.003
"""A term must occur in more than one text and in this share of them: rarer ones cost time and made
no measurable difference."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt as the classifier sees it."""

    parts: Parts
    tokens: list[str]  # of the instruction
    hits: list[set[str]]  # one group of keywords each
    strengths: np.ndarray  # one signal each, in [0, 1]
    row: np.ndarray  # every feature but the embedding


class Reader:
    """Extracts keywords, signals, shapes and terms; immutable."""

    def __init__(
        self, categories: Mapping[str, Category], vocabulary: Sequence[str], rarity: np.ndarray
    ) -> None:
        """`rarity` is the inverse document frequency of each term of the vocabulary."""
        self._keywords = Keywords(categories)
        self._declared = {name: tuple(c.signals) for name, c in categories.items()}
        self.signals = tuple(sorted({s for names in self._declared.values() for s in names}))
        self.vocabulary, self.rarity = tuple(vocabulary), rarity
        self._column = {term: column for column, term in enumerate(vocabulary)}
        self._groups = len(self._keywords.groups)

    @classmethod
    def learn(cls, categories: Mapping[str, Category], texts: Iterable[str]) -> Reader:
        """A reader whose vocabulary is the terms that occur in several of the texts."""
        documents = [set(_terms(words(divide(text).instruction))) for text in texts]
        counts = Counter(term for document in documents for term in document)
        least = max(_RARE, round(_RARE_SHARE * len(documents)))
        vocabulary = sorted(term for term, count in counts.items() if count >= least)
        shares = np.array([counts[term] / len(documents) for term in vocabulary])
        return cls(categories, vocabulary, (-np.log(shares)).astype(np.float32))

    @property
    def groups(self) -> list[tuple[str, str]]:
        """(category, name) of each group of keywords."""
        return self._keywords.groups

    @property
    def terms(self) -> slice:
        """The columns of a row for terms: a vector of norm SCALE, or 0."""
        return slice(2 * self._groups + len(self.signals) + len(SHAPES), None)

    def read(self, prompt: str) -> Reading:
        """Read a prompt of any length, in time bounded by the excerpt's length."""
        parts = divide(prompt)
        tokens = words(parts.instruction)
        hits = self._keywords.find(tokens)
        strengths = signals(parts.text, self.signals)
        blocks = [
            self._keywords.measure(hits),
            strengths,
            shapes(parts, tokens),
            self._term_row(tokens),
        ]
        return Reading(parts, tokens, hits, strengths, SCALE * np.concatenate(blocks))

    def prior(self) -> np.ndarray:
        """Prior weights (features, categories) from the configuration's declarations."""
        width = self.terms.start + len(self.vocabulary)
        weights = np.zeros((width, len(self._declared)))
        for column, name in enumerate(self._declared):
            for row, (category, _) in enumerate(self.groups):
                weights[row, column] = BELIEF / SCALE * (category == name)
            for row, signal in enumerate(self.signals, start=2 * self._groups):
                weights[row, column] = BELIEF / SCALE * (signal in self._declared[name])
        return weights

    def declares(self, category: str, signal: str) -> bool:
        return signal in self._declared[category]

    def _term_row(self, tokens: list[str]) -> np.ndarray:
        row = np.zeros(len(self.vocabulary), dtype=np.float32)
        for term, count in Counter(_terms(tokens)).items():
            column = self._column.get(term)
            if column is not None:
                row[column] = (1 + math.log(count)) * self.rarity[column]
        length = float(np.linalg.norm(row))
        return row / length if length else row


def _terms(tokens: list[str]) -> list[str]:
    """Words, pairs of words, and the instruction's opening."""
    first = opening(tokens, _OPENING)
    pairs = [f"{a} {b}" for a, b in pairwise(tokens)]
    return [*set(tokens), *pairs, *(f"> {' '.join(first[: n + 1])}" for n in range(len(first)))]
