"""Whether an answer is right, seen from its text alone: nothing that a model wrote is ever run."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence

from config.probe_sets import Check, CsvShape, JsonShape, Probe, Span

MAX_CHARACTERS = 8_000
"""Of an answer that is looked at: a pattern meets no more text than that."""
ECHO = 60
"""So much of the prompt's beginning in an answer: small models like to say it back."""
_FENCE = re.compile(r"^\s*```[\w-]*\n(.*?)\n?```\s*$", re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?", re.IGNORECASE)
_EDGES = " \t\n.,;:!?\"'`*_()[]"


def grade(probe: Probe, answer: str) -> float:
    """The share of the probe's checks that hold, in [0, 1]; 0 for a prompt that is said back."""
    text = answer[:MAX_CHARACTERS]
    if _bare(probe.prompt)[:ECHO] in _bare(text):
        return 0.0
    return sum(holds(check, text) for check in probe.checks) / len(probe.checks)


def holds(check: Check, text: str) -> bool:
    """Whether one check holds for an answer."""
    lower = text.lower()
    if check.exact is not None:
        return _bare(text) in {_bare(wanted) for wanted in check.exact}
    if check.numeric is not None:
        return _is_number(text, check.numeric)
    if check.regex is not None:
        return re.search(check.regex, text, re.IGNORECASE | re.MULTILINE) is not None
    if check.contains is not None:
        return all(wanted.lower() in lower for wanted in check.contains)
    if check.any is not None:
        return any(wanted.lower() in lower for wanted in check.any)
    if check.lacks is not None:
        return bool(text.strip()) and not any(_word(w, lower) for w in check.lacks)
    return _has_form(check, text)


def _has_form(check: Check, text: str) -> bool:
    if check.words is not None:
        return _within(check.words, len(text.split()))
    if check.lines is not None:
        return _within(check.lines, len(_lines(text)))
    if check.characters is not None:
        return _within(check.characters, len(text.strip()))
    if check.json_ is not None:
        return _is_json(check.json_, text)
    assert check.csv is not None, "the loader lets no empty check through"
    return _is_csv(check.csv, text)


def _bare(text: str) -> str:
    return " ".join(text.lower().split()).strip(_EDGES)


def _word(word: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", text) is not None


def _within(span: Span, count: int) -> bool:
    return span.min <= count and (span.max is None or count <= span.max)


def _lines(text: str) -> Sequence[str]:
    return [line for line in text.splitlines() if line.strip()]


def _unfenced(text: str) -> str:
    fenced = _FENCE.match(text)
    return fenced[1] if fenced else text


def _is_number(text: str, wanted: float) -> bool:
    found = _NUMBER.findall(text)
    if not found:
        return False
    last = float(found[-1].replace(",", ""))
    return abs(last - wanted) <= 1e-6 * max(1.0, abs(wanted))


def _is_json(shape: JsonShape, text: str) -> bool:
    try:
        value = json.loads(_unfenced(text))
    except (ValueError, RecursionError):
        return False
    if shape.items is not None and not (isinstance(value, list) and len(value) == shape.items):
        return False
    objects = value if isinstance(value, list) else [value]
    if not (shape.keys or shape.values):
        return True
    return all(
        isinstance(one, dict)
        and all(key in one for key in shape.keys)
        and all(key in one and one[key] == wanted for key, wanted in shape.values.items())
        for one in objects
    )


def _is_csv(shape: CsvShape, text: str) -> bool:
    try:
        rows = [row for row in csv.reader(io.StringIO(_unfenced(text).strip())) if row]
    except csv.Error:
        return False
    return len(rows) == shape.rows and all(len(row) == shape.columns for row in rows)
