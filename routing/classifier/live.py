"""The classifier in force: it may be replaced while prompts are judged."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from routing.classifier.by_keywords import ByKeywords
from routing.classifier.classifier import Classification, Classifier
from routing.classifier.lessons import Lesson

OPINIONS = 500
"""Second opinions that are remembered."""
LIKE = 0.95
"""Cosine from which a prompt counts as like another for a second opinion."""


class LiveClassifier:
    """Holds the current classifier and the lessons; may be used from several threads at once."""

    def __init__(self, classifier: Classifier | ByKeywords) -> None:
        self._current = classifier
        self._lock = threading.Lock()
        self._opinions = classifier.with_lessons(())
        self._said: tuple[Lesson, ...] = ()

    @property
    def current(self) -> Classifier | ByKeywords:
        return self._current

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

    def teach(self, lessons: Sequence[Lesson]) -> bool:
        """Take these lessons for those before; True if they are others. Blocks likewise."""
        with self._lock:
            if tuple(lessons) == self.lessons:
                return False
            self._current = self._current.with_lessons(lessons)
            return True
