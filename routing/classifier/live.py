"""The classifier in force, which may be replaced while prompts are classified.

For a fresh data folder, or edited categories, prompts are classified by the categories' keywords
during the seconds until a classifier is trained.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from config.models import Category
from routing.classifier.classifier import UNSURE, Classification, Classifier
from routing.classifier.features import words
from routing.classifier.lessons import Lesson, Lessons
from routing.classifier.reader import Keywords

PRIOR = 1.0
"""Weight of a category without keyword matches, against one for each match."""

READ_CHARACTERS = 4_000


class ByKeywords:
    """The part of a `Classifier` that requests need."""

    def __init__(self, categories: Mapping[str, Category]) -> None:
        self._categories = categories
        self._names = tuple(categories)
        self._keywords = Keywords(categories)
        self.lessons = Lessons((), self._names, None)
        """The lessons to pass on to the classifier that replaces this one."""

    def with_lessons(self, lessons: Sequence[Lesson]) -> ByKeywords:
        taught = ByKeywords(self._categories)
        taught.lessons = Lessons(lessons, self._names, None)
        return taught

    def classify(self, prompt: str, history: Sequence[Mapping[str, str]] = ()) -> Classification:
        """By the share of matching keywords; uniform if there are none."""
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


OPINIONS = 500
"""Number of cached second opinions."""
LIKE = 0.95
"""Cosine from which a second opinion also applies to a similar prompt."""


TRAINING = "prompts are classified by their keywords alone: the classifier is still being trained"


class LiveClassifier:
    """Holds the current classifier and the lessons; may be used from several threads at once."""

    def __init__(self, classifier: Classifier | ByKeywords) -> None:
        self._current = classifier
        self._lock = threading.Lock()
        self._learning = threading.Lock()  # one writer at a time; classification continues
        self._opinions = classifier.with_lessons(())
        self._said: tuple[Lesson, ...] = ()

    @property
    def current(self) -> Classifier | ByKeywords:
        return self._current

    @property
    def problem(self) -> str | None:
        """Why prompts are classified worse than they could be; None when they are not."""
        return TRAINING if isinstance(self._current, ByKeywords) else None

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """The lessons in force, oldest first."""
        return self._current.lessons.known

    def classify(self, prompt: str, history: Sequence[Mapping[str, str]] = ()) -> Classification:
        return self._current.classify(prompt, history)

    def remember(self, prompt: str, category: str) -> None:
        """Store a language model's opinion on a prompt; beyond OPINIONS the oldest is dropped."""
        with self._lock:
            others = [one for one in self._said if one.prompt != prompt]
            self._said = (*others, Lesson("", prompt, category))[-OPINIONS:]
            self._opinions = self._current.with_lessons(self._said)

    def recall(self, prompt: str) -> str | None:
        """The stored opinion on a prompt that is similar to this one, or None."""
        if not self._said:
            return None
        found = self._opinions.classify(prompt).evidence.get("taught")
        return (
            str(found["category"])
            if isinstance(found, dict) and found["similarity"] >= LIKE
            else None
        )

    def replace(self, classifier: Classifier | ByKeywords) -> None:
        """Use another classifier from now on; the lessons stay. Blocks for some milliseconds for
        each lesson."""
        with self._lock:
            self._current = classifier.with_lessons(self.lessons)

    def generalise(self) -> bool:
        """Learn what the lessons have in common; True if there was something new to learn.

        Blocks for some tenths of a second for each kind; meanwhile classification uses the nearest
        lessons.
        """
        with self._learning:
            before = self._current
            if isinstance(before, ByKeywords) or not before.lessons.behind:
                return False
            learned = before.generalised()
            with self._lock:
                if self._current is before:  # otherwise another lesson came meanwhile: next time
                    self._current = learned
            return True

    def teach(self, lessons: Sequence[Lesson]) -> bool:
        """Replace the lessons by these; True if they differ. Blocks as `replace` does."""
        with self._lock:
            if tuple(lessons) == self.lessons:
                return False
            self._current = self._current.with_lessons(lessons)
            return True
