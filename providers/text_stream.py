"""Text that arrives in pieces: split characters, and reasoning written into the content."""

from __future__ import annotations

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_HALF = re.compile(
    "(?:[\ud800-\udbff]"  # the first half of a UTF-16 pair
    "|[\udcc2-\udcdf]"  # the first bytes of a character of two, three or four bytes
    "|[\udce0-\udcef][\udc80-\udcbf]?"
    "|[\udcf0-\udcf4][\udc80-\udcbf]{0,2})?\\Z"
)

THOUGHTS = {
    "<think>": "</think>",  # DeepSeek R1, Qwen 3, most open models
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[THINK]": "[/THINK]",  # Magistral
    "◁think▷": "◁/think▷",  # Kimi
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|START_THINKING|>": "<|END_THINKING|>",  # Cohere
    "<longcat_think>": "</longcat_think>",
    "<mm:think>": "</mm:think>",
    "<THINK>": "</THINK>",
    "<Think>": "</Think>",
}
"""How models mark reasoning in their content if the host does not parse it out."""

UNOPENED = "</think>"
"""The mark that ends thoughts whose opening one stood in the prompt: the templates of DeepSeek R1,
QwQ and Qwen 3's thinking models end with it."""

_OPENING = tuple(THOUGHTS)
_FIRST = frozenset(tag[0] for tag in _OPENING)
_ON_ITS_OWN_LINE = re.compile(rf"(?:\A|\n)[ \t]*{UNOPENED}[ \t]*(?:\n|\Z)")
_FENCE = "```"


class BrokenTextError(ValueError):
    """Bytes that are neither UTF-8 nor half of a character completed by the next piece."""


class Characters:
    """Joins characters whose halves came in two pieces.

    A piece contains halves as lone surrogates: of UTF-16 if JSON escapes were split (`\\ud83d`,
    `\\ude00`), of escaped bytes (PEP 383) if raw UTF-8 was.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """The text that is complete so far; raises BrokenTextError."""
        if not self._held and not _SURROGATE.search(piece):
            return piece
        text = _paired(self._held + piece)
        cut = len(text) - len(_HALF.search(text).group())  # type: ignore[union-attr]  # matches all
        self._held = text[cut:]
        return _plain(text[:cut])


def _plain(text: str) -> str:
    """Text whose last character is complete; half of a JSON pair that was never completed is
    replaced."""
    if not _SURROGATE.search(text):
        return text
    if not _ESCAPED_BYTE.search(text):
        return _SURROGATE.sub("\ufffd", text)
    try:
        return text.encode("utf-8", "surrogateescape").decode()
    except UnicodeError:
        raise BrokenTextError from None


def _paired(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


class Thoughts:
    """Splits content into reasoning and answer if the content begins with a mark of `THOUGHTS`.

    Elsewhere such a mark is part of the answer: a model may write about it. `begun`: this model's
    answers begin inside a thought, whose opening mark stood in the prompt.
    """

    def __init__(self, *, begun: bool = False) -> None:
        self.unopened = False
        """Whether the answer began, or was taken to begin, in a thought without opening mark."""
        self._begun = begun
        self._closing = ""
        self._held = ""
        self._answering = False
        self._thought = False

    @property
    def open(self) -> bool:
        """Whether a thought has begun and not ended."""
        return bool(self._closing)

    @property
    def over(self) -> bool:
        """Whether the answer has begun: everything that follows is text."""
        return self._answering

    def feed(self, text: str) -> tuple[str, str]:
        """`(reasoning, text)`, either of them empty; text that may turn out to be a mark is held
        back."""
        if self._answering:
            return "", text
        reasoning = ""
        self._held += text
        while not self._answering:
            if self._closing:
                thought, found, rest = self._held.partition(self._closing)
                if not found:
                    keep = _overlap(self._held, self._closing)
                    cut = len(self._held) - keep
                    reasoning, self._held = reasoning + self._held[:cut], self._held[cut:]
                    return reasoning, ""
                reasoning, self._held = reasoning + thought, rest
                self._closing, self._thought = "", True
            begun = self._held.lstrip()
            if not begun or (begun[0] in _FIRST and self._may_open(begun)):
                return reasoning, ""
            opening = next((tag for tag in _OPENING if begun.startswith(tag)), None)
            if opening is not None:
                self._closing, self._held = THOUGHTS[opening], begun[len(opening) :]
            elif self._begun or (not self._thought and ends_unopened(self._held)):
                self._closing, self.unopened = UNOPENED, True
            else:
                self._answering = True
            self._begun = False
        return reasoning, self.rest()

    def elsewhere(self) -> None:
        """The host sends thoughts in a field of their own, so the content does not begin in one."""
        self._begun = False

    def rest(self) -> str:
        """The answer's end: text that was held back and turned out not to be a mark."""
        held, self._held = self._held, ""
        if self._closing:
            return ""
        self._answering = True
        return held.lstrip() if self._thought else held

    @staticmethod
    def _may_open(begun: str) -> bool:
        return any(len(begun) < len(tag) and tag.startswith(begun) for tag in _OPENING)


def ends_unopened(text: str) -> bool:
    """Whether the first part of `text` is thoughts without an opening mark: the closing one stands
    on a line of its own, and not in a block of code."""
    found = _ON_ITS_OWN_LINE.search(text)
    if found is None or any(tag in text[: found.start()] for tag in _OPENING):
        return False
    return text.count(_FENCE, 0, found.start()) % 2 == 0


def _overlap(text: str, mark: str) -> int:
    """The length of the longest suffix of `text` that is a prefix of `mark`."""
    for length in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:length]):
            return length
    return 0
