"""Grades an answer by its text alone: nothing that a model wrote is ever executed."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence

from config.probe_sets import Check, CsvShape, Items, JsonShape, Probe, Span
from discovery.answer_text import (
    claim_words,
    claimed_number,
    code_of,
    expression,
    items_of,
    normal_code,
    plain,
    prose,
    sentences,
    unfenced,
)

MAX_CHARACTERS = 8_000
"""The length of an answer that is examined, so that patterns run on bounded text."""
ECHO = 60
"""The length of the prompt's beginning that counts as repeating it: small models like to do so."""
_LEAD_IN = re.compile(
    r"^(?:it|the (?:output|value|result|answer)|output|result|answer)"
    r"(?:\s+(?:is|prints|will be))?\s*:?\s+",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"(?<=\S)\s+\((?![^()]*\bnot\b)[^()\n]*\)\W*$")
_EDGES = " \t\n.,;:!?\"'`*_()[]"


def grade(probe: Probe, answer: str) -> float:
    """The share of the probe's checks that pass, in [0, 1]; 0 if the answer repeats the prompt."""
    text = answer[:MAX_CHARACTERS]
    if _bare(probe.prompt)[:ECHO] in _bare(text):
        return 0.0
    return sum(holds(check, text, probe.prompt) for check in probe.checks) / len(probe.checks)


def holds(check: Check, text: str, prompt: str = "") -> bool:
    """Whether one check passes for an answer to a prompt."""
    if check.answer is not None:
        return _claims(check.answer, text, prompt)
    if check.numeric is not None:
        found = claimed_number(text)
        wanted = check.numeric
        return found is not None and abs(found - wanted) <= 1e-6 * max(1.0, abs(wanted))
    if check.expression is not None:
        return bool(expression(text) & {one for w in check.expression for one in expression(w)})
    if check.list_ is not None:
        return _is_list(check.list_, text)
    if check.python is not None:
        return re.fullmatch(check.python, normal_code(code_of(plain(text))) or "") is not None
    return _says(check, text)


def _claims(answers: Sequence[str], text: str, prompt: str) -> bool:
    """Both with all of the answer's words and without those that the question already contains."""
    if claim_words(text, prompt, answers) in [claim_words(one, "", ()) for one in answers]:
        return True
    claimed = claim_words(text, prompt, ())
    return bool(claimed) and claimed in [claim_words(one, prompt, ()) for one in answers]


def _says(check: Check, text: str) -> bool:
    said = plain(unfenced(text))
    if check.exact is not None:
        claimed = _LEAD_IN.sub("", _ASIDE.sub("", said.strip()))
        return bool({_bare(said), _bare(claimed)} & {_bare(plain(one)) for one in check.exact})
    if check.regex is not None:
        flags = re.IGNORECASE | re.MULTILINE
        return any(
            re.search(check.regex, one, flags) for one in (said.strip(), prose(text).strip())
        )
    if check.match is not None:
        forms = (said.strip().strip("`"), prose(text).strip(), prose(code_of(text)).strip())
        return any(re.fullmatch(check.match, one, re.IGNORECASE) for one in forms)
    lower = said.lower()
    if check.contains is not None:
        return all(_word(wanted, lower) for wanted in check.contains)
    if check.any is not None:
        return any(_word(wanted, lower) for wanted in check.any)
    if check.lacks is not None:
        return bool(text.strip()) and not any(_word(w, lower) for w in check.lacks)
    return _has_form(check, said)


def _has_form(check: Check, said: str) -> bool:
    if check.words is not None:
        return _within(check.words, len(_words(said)))
    if check.lines is not None:
        return _within(check.lines, len(_lines(said)))
    if check.sentences is not None:
        return _within(check.sentences, len(sentences(said)))
    if check.characters is not None:
        return _within(check.characters, len(said.strip()))
    if check.items is not None:
        return _are_items(check.items, said)
    if check.json_ is not None:
        return _is_json(check.json_, code_of(said))
    assert check.csv is not None, "the loader lets no empty check through"
    return _is_csv(check.csv, code_of(said))


def _bare(text: str) -> str:
    return " ".join(text.lower().split()).strip(_EDGES)


def _word(word: str, text: str) -> bool:
    """Whether it occurs as a whole word; `stem*` matches any word with that prefix."""
    stem = re.escape(plain(word).lower().removesuffix("*"))
    end = r"\w*" if word.endswith("*") else ""
    return re.search(rf"(?<!\w){stem}{end}(?!\w)", text) is not None


def _words(text: str) -> list[str]:
    """The tokens with a letter or a digit: a dash on its own is not a word."""
    return [word for word in text.split() if any(c.isalnum() for c in word)]


def _within(span: Span, count: int) -> bool:
    return span.min <= count and (span.max is None or count <= span.max)


def _lines(text: str) -> Sequence[str]:
    return [line for line in text.splitlines() if line.strip()]


def _is_list(wanted: Sequence[str], text: str) -> bool:
    """These items in this order and no others; `|` separates accepted forms of one item."""
    found = items_of(text)
    forms = [{plain(form).strip().lower() for form in one.split("|")} for one in wanted]
    return len(found) == len(forms) and all(f in form for f, form in zip(found, forms, strict=True))


def _are_items(shape: Items, text: str) -> bool:
    parted = {"comma": r"\s*,\s*(?:and\s+)?|\n+", "line": r"\n+", "word": r"\s+"}[shape.by]
    split = re.split(parted, text.strip())
    found = [one.strip(_EDGES).lower() for one in split if any(c.isalnum() for c in one)]
    return (
        _within(shape.count, len(found))
        and (not shape.distinct or len(set(found)) == len(found))
        and all(re.fullmatch(shape.each, one, re.IGNORECASE) for one in found)
    )


def _is_json(shape: JsonShape, text: str) -> bool:
    try:
        value = json.loads(text)
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
        and all(key in one and _same(one[key], wanted) for key, wanted in shape.values.items())
        for one in objects
    )


def _same(found: object, wanted: object) -> bool:
    """Equality that distinguishes 1 from true and 1 from 1.0."""
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


def _is_csv(shape: CsvShape, text: str) -> bool:
    try:
        rows = [row for row in csv.reader(io.StringIO(text.strip())) if row]
    except csv.Error:
        return False
    return len(rows) == shape.rows and all(len(row) == shape.columns for row in rows)
