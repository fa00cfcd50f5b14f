"""Classification before anything was learned: by the keywords that the categories list.

Serves a fresh data folder, or edited categories, for the seconds until the classifier is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from config.models import Category
from routing.classifier.classifier import UNSURE, Classification
from routing.classifier.features import words
from routing.classifier.keywords import Keywords
from routing.classifier.lessons import Lesson, Lessons

PRIOR = 1.0
"""Weight of a category none of whose keywords was found, against one for each that was."""

READ_CHARACTERS = 4_000


class ByKeywords:
    """Has what requests need of a `Classifier`."""

    def __init__(self, categories: Mapping[str, Category]) -> None:
        self._categories = categories
        self._names = tuple(categories)
        self._keywords = Keywords(categories)
        self.lessons = Lessons((), self._names, None)
        """What was taught; the classifier that takes this one's place heeds it."""

    def with_lessons(self, lessons: Sequence[Lesson]) -> ByKeywords:
        taught = ByKeywords(self._categories)
        taught.lessons = Lessons(lessons, self._names, None)
        return taught

    def classify(self, prompt: str, history: Sequence[Mapping[str, str]] = ()) -> Classification:
        """By the share of the keywords found; an even chance where there are none."""
        hits: dict[str, set[str]] = {name: set() for name in self._names}
        found = self._keywords.find(words(prompt[:READ_CHARACTERS]))
        for (category, _), phrases in zip(self._keywords.groups, found, strict=True):
            hits[category] |= phrases
        total = sum(PRIOR + len(phrases) for phrases in hits.values())
        shares = {name: (PRIOR + len(phrases)) / total for name, phrases in hits.items()}
        first, *rest = sorted(shares, key=lambda name: -shares[name])
        margin = shares[first] - (shares[rest[0]] if rest else 0.0)
        if not hits[first] and UNSURE in shares:
            first = UNSURE
        evidence: dict[str, object] = {
            "decided": "by keywords: the classifier is being trained",
            "keywords": sorted(hits[first]),
        }
        return Classification(first, shares[first], shares, margin, evidence)
