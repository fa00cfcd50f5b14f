"""The classifier in force: it may be replaced while prompts are judged.

For a fresh data folder, or edited categories, prompts are classified by the keywords that the
categories list, for the seconds until a classifier is trained.
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


OPINIONS = 500
"""Second opinions that are remembered."""
LIKE = 0.95
"""Cosine from which a prompt counts as like another for a second opinion."""


TRAINING = "prompts are classified by their keywords alone: the classifier is still being trained"


class LiveClassifier:
    """Holds the current classifier and the lessons; may be used from several threads at once."""

    def __init__(self, classifier: Classifier | ByKeywords) -> None:
        self._current = classifier
        self._lock = threading.Lock()
        self._learning = threading.Lock()  # one thread at a time; judging goes on
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
        """What it was taught, oldest first."""
        return self._current.lessons.known

    def classify(self, prompt: str, history: Sequence[Mapping[str, str]] = ()) -> Classification:
        return self._current.classify(prompt, history)

    def remember(self, prompt: str, category: str) -> None:
        """Note what a language model said of a prompt; the oldest of OPINIONS is forgotten."""
        with self._lock:
            others = [one for one in self._said if one.prompt != prompt]
            self._said = (*others, Lesson("", prompt, category))[-OPINIONS:]
            self._opinions = self._current.with_lessons(self._said)

    def recall(self, prompt: str) -> str | None:
        """What was said of a prompt that is like this one, or None."""
        if not self._said:
            return None
        found = self._opinions.classify(prompt).evidence.get("taught")
        return (
            str(found["category"])
            if isinstance(found, dict) and found["similarity"] >= LIKE
            else None
        )

    def replace(self, classifier: Classifier | ByKeywords) -> None:
        """Judge by another classifier from now on; the lessons stay. Blocks for some milliseconds
        a lesson."""
        with self._lock:
            self._current = classifier.with_lessons(self.lessons)

    def generalise(self) -> bool:
        """Learn what the lessons have in common; True if that was not done yet.

        Blocks for some tenths of a second a kind, during which others judge by the nearest lessons.
        """
        with self._learning:
            before = self._current
            if isinstance(before, ByKeywords) or not before.lessons.behind:
                return False
            learned = before.generalised()
            with self._lock:
                if self._current is before:  # else another lesson came meanwhile: next time
                    self._current = learned
            return True

    def teach(self, lessons: Sequence[Lesson]) -> bool:
        """Take these lessons for those before; True if they are others. Blocks likewise."""
        with self._lock:
            if tuple(lessons) == self.lessons:
                return False
            self._current = self._current.with_lessons(lessons)
            return True
