"""How good an answer is, as far as its form shows without a judge.

Each fault that is found takes its factor off 1; what is left is the quality in [0, 1] that is a
part of the reward. It says nothing of whether the answer is true.

empty        0     no word in it
refusal      0.2   it declines to answer
looping      0.2   most of what it says it has said before
language     0.4   another language than the prompt's, where none was asked for
truncated    0.7   it ended at a length limit, in a code block, or in the middle of a sentence
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from routing.language import same_language
from routing.refusal import refuses
from routing.repetition import period, repeated_share

FACTORS = {"empty": 0.0, "refusal": 0.2, "looping": 0.2, "language": 0.4, "truncated": 0.7}

LOOKED_AT = 8_000
"""Characters of an answer that are looked at, so that a long one costs no more."""

_OTHER_LANGUAGE = re.compile(
    r"""\b(?:translat\w*|tradu\w*|übersetz\w*|vertaal\w*|language|idioma|langue|sprache
    |english|spanish|french|german|italian|portuguese|dutch|latin|japanese|chinese|korean|russian
    |arabic|hindi|greek|hebrew|polish|swedish|turkish
    |(?:auf|ins?)\ \w+ische?n?|deutsch|(?:en|al?|in)\ (?:español|inglés|francés|alemán|français
    |anglais|allemand|espagnol|italien|inglese|tedesco|francese)|перев\w+|\w+ийск\w+|по-\w+ски)\b
    |翻译|译成|[英法德日韩俄中]语|英文|中文|翻訳|訳し|[英日中]\s?本?語|[ァ-ー]+語""",
    re.IGNORECASE | re.VERBOSE,
)
"""The prompt speaks of a language, so that another one may be what it asked for."""

_OPEN_ENDS = frozenset(
    re.findall(
        r"\w+",
        "the a an and or of to with that because which from into "
        "der dem den einem einer eines und oder weil dass "
        "le la les une des et ou du que qui parce el los las una y del para porque "
        "il lo gli di che e per",
    )
)
"""Words that end no sentence."""

PROSE = 10
"""Words from which on an answer that ends in one of them was cut."""


def quality(prompt: str, text: str, finish_reason: str | None = None) -> float:
    """In [0, 1]; 1 when nothing is wrong with the form. Linear in the texts, and bounded."""
    value = 1.0
    for fault in faults(prompt, text, finish_reason):
        value *= FACTORS[fault]
    return value


def quality_of_calls(calls: Sequence[tuple[str, str]], offered: object) -> float:
    """The same of calls of tools, as `(name, arguments)`: that of the worst of them.

    `offered` are the request's tools in OpenAI's form. 0.2: a tool that was not offered; 0.3:
    arguments that are no JSON object; 0.6: required ones are missing.
    """
    known: dict[str, Mapping[str, object]] = {}
    for tool in offered if isinstance(offered, Sequence) else ():
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if isinstance(function, Mapping):
            known[str(function.get("name"))] = function
    return min((_of_call(known.get(name), arguments) for name, arguments in calls), default=1.0)


def _of_call(tool: Mapping[str, object] | None, arguments: str) -> float:
    if tool is None:
        return 0.2
    try:
        given = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        return 0.3
    if not isinstance(given, dict):
        return 0.3
    parameters = tool.get("parameters")
    required = parameters.get("required") if isinstance(parameters, Mapping) else None
    missing = [n for n in required if n not in given] if isinstance(required, Sequence) else []
    return 0.6 if missing else 1.0


def faults(prompt: str, text: str, finish_reason: str | None = None) -> list[str]:
    """The names of the faults in `FACTORS` that the answer has."""
    if not re.search(r"\w", text[:LOOKED_AT]):
        return ["empty"]
    found = []
    if refuses(text):
        found.append("refusal")
    if looping(text):
        found.append("looping")
    if not _OTHER_LANGUAGE.search(prompt[:LOOKED_AT]) and not same_language(prompt, text):
        found.append("language")
    if finish_reason == "length" or ("looping" not in found and cut(text)):
        found.append("truncated")
    return found


def cut(text: str) -> bool:
    """Ends within a block of code, or after a word that ends no sentence."""
    if len(re.findall(r"^\s*```", text, re.MULTILINE)) % 2:
        return True
    words = text[-LOOKED_AT:].split()
    return len(words) >= PROSE and words[-1] in _OPEN_ENDS


def looping(text: str) -> bool:
    """Ends in a loop, or says most of its five-word runs again."""
    tail = text[-600:]
    if len(tail) >= 200 and period(tail) is not None:
        return True
    return len(text) >= 400 and repeated_share(text[:LOOKED_AT]) > 0.5
