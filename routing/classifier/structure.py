"""Structural features of a prompt: code, errors, formulas, given texts, questions, scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from routing.classifier.features import Parts

_MANY = 3  # matches from which a signal is at full strength
SHAPES = (
    "asks at the end",
    "asks",
    "opens with a question word",
    "digits",
    "given prose",
    "given code",
    "given list",
    "items",
    "commas",
    "all lower case",
    "says I",
    "addresses you",
    "other letters",
    "ideographs",
    "Cyrillic",
    "very short",
)
"""Measured for every prompt; their meaning for a category is learned.

The length is left out on purpose: it indicates who wrote a prompt, not what is wanted.
"""

_CODE_LINE = re.compile(
    r"^[ \t]*(?:(?:def|class|import|from|return|if|elif|else|for|while|const|let|var|public|private"
    r"|static|void|func|fn|function|using|#include|@\w)\b[^\n]{0,200}[:;{(=>]"
    r"|[^\n]{0,200}[;{}][ \t]*$)",
    re.M,
)
_CODE_WORD = re.compile(
    r"\b[a-z]+(?:[A-Z][a-z]+)+\b|\b\w+_\w+\b|\b\w+\([^()\n]{0,80}\)|=>|==|!=|&&|\|\||::|->"
)
_TRACE = re.compile(
    r"Traceback \(most|\b[A-Z]\w{2,40}(?:Error|Exception)\b|\b(?:error|warning):"
    r"|\bat [\w.$]{3,80}\(|segmentation fault|core dumped|stack ?trace|undefined reference"
    r"|exit code|(?-i:\bE[A-Z]{4,12}\b)|\berrno\b|panicked at|cannot find module|null ?pointer",
    re.I | re.M,
)
_SHELL = re.compile(
    r"(?:^|\n)\s*\$ \w|\b(?:sudo|apt-get|chmod|grep|curl|npm|pip3?|git|docker|kubectl|systemctl"
    r"|ssh) [a-z-]+|\s--[a-z][a-z-]+|\s\|\s(?:grep|awk|sed|sort|head)\b"
)
_SQL = re.compile(
    r"\bselect\b[^;]{1,300}?\bfrom\b\s+\w|\binsert\s+into\b|\bcreate\s+table\b|\balter\s+table\b"
    r"|\b(?:inner|left|outer) join\b|\bgroup by\b",
    re.I,
)
_DATA = re.compile(
    r'[{\[]\s*"\w{1,60}"\s*:|<(\w{1,30})>[^<\n]{0,200}</\1>|(?:^|\n)(?:[^,\n]{1,40},){3,}'
)
_MATH = re.compile(
    r"\\(?:frac|int|sum|sqrt|begin|lim|cdot|times|alpha|beta|theta|pi)\b|\$[^$\n]{1,200}\$"
    r"|[∫√≤≥∑∂∞≠±π²³]|\b[a-z0-9)]\s?\^\s?[-{(]?\w|\d\s*[*×÷=]\s*[-\d(a-z]|\d\s+[-+/]\s+\d"
    r"|\b\d*[a-z]\s*[-+=]\s*\d|\b[fgp]\(\w\)",
    re.M,
)


@dataclass(frozen=True, slots=True)
class Form:
    """A pattern, and what every match of it contains: most texts contain none, and finding that out
    takes a tenth of the time."""

    pattern: re.Pattern[str]
    any_of: tuple[str, ...] = ()
    """One of these is in every match; in lower case if the pattern ignores case."""
    or_one_of: re.Pattern[str] | None = None
    """Or this is, cheap to search for."""

    def count(self, text: str) -> int:
        """The number of matches, at most `_MANY`."""
        if not self._possible(text):
            return 0
        found = 0
        for found, _ in enumerate(self.pattern.finditer(text), start=1):
            if found == _MANY:
                break
        return found

    def _possible(self, text: str) -> bool:
        if not self.any_of:
            return True
        searched = text.lower() if self.pattern.flags & re.I else text
        if any(part in searched for part in self.any_of):
            return True
        return self.or_one_of is not None and self.or_one_of.search(text) is not None


_CODE = Form(_CODE_LINE)
_NAMES = Form(
    _CODE_WORD,
    ("_", "(", "=>", "==", "!=", "&&", "||", "::", "->"),
    re.compile("[a-z][A-Z]"),
)
_COMMANDS = """
    sudo apt-get chmod grep curl npm pip pip3 git docker kubectl systemctl ssh
"""
_FAULTS = (
    *("traceback", "error", "exception", "warning:", "segmentation", "core dumped", "errno"),
    *("stacktrace", "stack trace", "undefined", "exit code", "panicked", "cannot find"),
    *("nullpointer", "null pointer"),
)
SIGNALS = {
    "code": (_CODE, _NAMES),
    "trace": (Form(_TRACE, _FAULTS, re.compile(r"E[A-Z]{4}|[aA][tT] [\w.$]{3,80}\(")),),
    "shell": (Form(_SHELL, ("$ ", "--", "|", *(f"{name} " for name in _COMMANDS.split()))),),
    "sql": (Form(_SQL, ("select", "insert", "create", "alter", " join", "group by")),),
    "data": (Form(_DATA),),
    "math": (Form(_MATH, ("\\", "$", "^", "("), re.compile(r"[\d∫√≤≥∑∂∞≠±π²³]")),),
}
"""Structural features that a category may declare in `signals`."""

_ASKING = """
    what what's who who's whose whom when where why how which is are do does did can could
    should was were will would has have qué quién cuál cuándo dónde por cómo qui que quel
    quelle quand où comment pourquoi wer was wann wo warum wie welche welcher qual quem quando
    onde como кто что где когда почему как
"""
_SELF = "i i'm i've i'd i'll my me mi mon ma mein meine ich je yo"
_READER = "you you're your you've tu eres du bist"
_QUESTION_WORDS = frozenset(_ASKING.split())
_I = frozenset(_SELF.split())
_YOU = frozenset(_READER.split())
_DIGIT = re.compile(r"\d")
_ITEMS = Form(re.compile(r"^\s*(?:[-*•]|\(?\w{1,2}[.)])\s", re.M))
FORM = 800, 300
"""Characters at a text's beginning and end that are measured."""


def signals(text: str, names: Sequence[str]) -> np.ndarray:
    """The strength of each named signal in [0, 1]."""
    text = _bounded(text)
    strengths = np.zeros(len(names), dtype=np.float32)
    for column, name in enumerate(names):
        found = sum(form.count(text) for form in SIGNALS[name])
        if name == "code" and "```" in text:
            found = _MANY
        strengths[column] = min(found, _MANY) / _MANY
    return strengths


def shapes(parts: Parts, tokens: Sequence[str]) -> np.ndarray:
    """`SHAPES`, each in [0, 1]; `tokens` are the instruction's words."""
    text, asked, given = _bounded(parts.text), parts.instruction, _bounded(parts.given)
    size = max(1, len(text))
    given_code = _CODE.count(given) + _NAMES.count(given) > 1
    accents, wide, foreign = _letters(text)
    measures = (
        asked.rstrip().endswith(("?", "？")),
        "?" in asked or "？" in asked,
        bool(tokens) and tokens[0] in _QUESTION_WORDS,
        min(1.0, 6 * len(_DIGIT.findall(asked)) / max(1, len(asked))),
        0.0 if given_code else min(1.0, len(given) / 150),
        min(1.0, len(given) / 150) if given_code else 0.0,
        min(1.0, given.count(",") / 4),
        min(1.0, _ITEMS.count(text) / 3),
        min(1.0, asked.count(",") / 4),
        len(text) > 15 and text == text.lower(),
        any(token in _I for token in tokens),
        any(token in _YOU for token in tokens),
        min(1.0, 20 * accents / size),
        min(1.0, 2 * wide / size),
        min(1.0, 2 * foreign / size),
        len(tokens) < 4,
    )
    return np.array(measures, dtype=np.float32)


def _letters(text: str) -> tuple[int, int, int]:
    """How many are beyond ASCII in Latin's blocks, ideographs or kana, and anything else beyond."""
    if text.isascii():
        return 0, 0, 0
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    wide = int(((points >= 0x3040) & (points <= 0x9FFF)).sum())
    return (
        int(((points > 0x7F) & (points <= 0x24F)).sum()),
        wide,
        int((points > 0x24F).sum()) - wide,
    )


def _bounded(text: str) -> str:
    head, tail = FORM
    return text if len(text) <= head + tail else f"{text[:head]}\n{text[-tail:]}"
