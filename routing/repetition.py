"""Answers that repeat themselves without end, noticed while they stream."""

from __future__ import annotations

WINDOW = 600
"""Characters at the end of the text that must be one thing said again and again."""

LONGEST_PERIOD = 150
"""So the thing has been said at least four times."""

STEP = 200
"""Characters between two looks."""


class RepetitionGuard:
    """Feed it a stream's text; `feed` is true once the text has gone into a loop.

    Costs less than a microsecond a character: at most LONGEST_PERIOD comparisons of short strings
    every STEP characters, nearly all of which differ in their first character.
    """

    def __init__(self) -> None:
        self._tail = ""
        self._unseen = 0

    def feed(self, text: str) -> bool:
        self._tail = (self._tail + text)[-WINDOW:]
        self._unseen += len(text)
        if self._unseen < STEP or len(self._tail) < WINDOW:
            return False
        self._unseen = 0
        return period(self._tail) is not None


def period(text: str) -> int | None:
    """The length of the piece whose repetition the whole text is, if that is a short one.

    A run of one character (a line of a table, padding) is no answer in a loop.
    """
    if len(set(text)) < 2:
        return None
    for length in range(2, min(LONGEST_PERIOD, len(text) // 3) + 1):
        if text[length] == text[0] and text.startswith(text[length:]):
            return length
    return None


def repeated_share(text: str) -> float:
    """The share of a text's five-word runs that it has said before, in [0, 1]."""
    words = text.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return 1.0 - len(set(runs)) / len(runs) if runs else 0.0
