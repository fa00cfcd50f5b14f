"""Finds the categories' keywords in a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from config.models import Category
from routing.classifier.features import words

_ENOUGH = 3  # hits from which a group is at full strength
_STEM = 3  # least letters before a `*`


class Keywords:
    """Groups of words and phrases; `poem*` stands for every word that begins so."""

    def __init__(self, categories: Mapping[str, Category]) -> None:
        self.groups: list[tuple[str, str]] = []  # (category, group)
        self._exact: dict[str, list[int]] = {}
        self._stems: dict[str, list[int]] = {}
        self._longest = 1
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
        self._longest = max(self._longest, len(tokens))

    def find(self, tokens: Sequence[str]) -> list[set[str]]:
        """What was found of each group."""
        found: list[set[str]] = [set() for _ in self.groups]
        for start, token in enumerate(tokens):
            for end in range(start + 1, min(start + self._longest, len(tokens)) + 1):
                phrase = " ".join(tokens[start:end])
                for group in self._exact.get(phrase, ()):
                    found[group].add(phrase)
            for length in range(_STEM, min(len(token), 24) + 1):
                for group in self._stems.get(token[:length], ()):
                    found[group].add(token)
        return found

    def measure(self, found: Sequence[set[str]]) -> np.ndarray:
        """Two columns a group: whether it was hit, and how often, both in [0, 1]."""
        counts = np.array([len(hits) for hits in found], dtype=np.float32)
        return np.concatenate([np.minimum(counts, 1), np.minimum(counts, _ENOUGH) / _ENOUGH])
