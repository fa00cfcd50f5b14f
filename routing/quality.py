"""How good an answer is, as far as its form shows without a judge.

Each fault that is found takes its factor off 1; what is left is the quality in [0, 1] that is a
part of the reward. It says nothing of whether the answer is true.

empty        0     no word in it
refusal      0.2   it declines to answer
looping      0.2   most of what it says it has said before
language     0.4   another language than the prompt's, where none was asked for
truncated    0.7   it ended at a length limit, or in the middle of a code block
"""

from __future__ import annotations

import re

from routing.language import language
from routing.repetition import period, repeated_share

FACTORS = {"empty": 0.0, "refusal": 0.2, "looping": 0.2, "language": 0.4, "truncated": 0.7}

LOOKED_AT = 8_000
"""Characters of an answer that are looked at, so that a long one costs no more."""

_REFUSAL = re.compile(
    r"""^\W{0,3}(?:
        (?:i['’]?m|i\ am|we['’]?re)\ (?:very\ |so\ |truly\ )?(?:sorry|afraid|unable|not\ able)\b
        [^.!?]{0,80}?\b(?:can(?:not|['’]?t)|unable|not\ able|won['’]?t|help\ with|assist)
      | i\ (?:cannot|can['’]?t|won['’]?t|must\ decline|will\ not)\ (?:help|assist|provide|answer|do
          |comply|fulfill|create|write|generate|discuss|share|engage|continue)
      | i['’]?m\ (?:unable|not\ able)\ to\b
      | as\ an?\ (?:ai|artificial|large\ language|language\ model)[^.!?]{0,80}?
          \b(?:cannot|can['’]?t|unable|not\ able|do\ not|don['’]?t)
      | (?:sorry|unfortunately),?\ (?:but\ )?i\ (?:cannot|can['’]?t|am\ unable|am\ not\ able)
      | lo\ siento,?[^.!?]{0,60}\bno\ puedo
      | (?:je\ suis\ )?d[ée]sol[ée]e?,?[^.!?]{0,60}\bne\ (?:peux|puis)
      | (?:es\ )?tut\ mir\ leid,?[^.!?]{0,60}\bkann\ (?:ich\ )?(?:das\ |dir\ |ihnen\ )?nicht
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_OTHER_LANGUAGE = re.compile(
    r"""\b(?:translat\w*|tradu\w*|übersetz\w*|vertaal\w*|in\ (?:english|spanish|french|german
    |italian|portuguese|dutch|latin|japanese|chinese|korean|russian|arabic|hindi|greek)|auf\ \w+isch
    |en\ (?:español|inglés|français|anglais|allemand)|language|idioma|langue|sprache)\b""",
    re.IGNORECASE | re.VERBOSE,
)


def quality(prompt: str, text: str, finish_reason: str | None = None) -> float:
    """In [0, 1]; 1 when nothing is wrong with the form. Linear in the texts, and bounded."""
    value = 1.0
    for fault in faults(prompt, text, finish_reason):
        value *= FACTORS[fault]
    return value


def faults(prompt: str, text: str, finish_reason: str | None = None) -> list[str]:
    """The names of the faults in `FACTORS` that the answer has."""
    if not re.search(r"\w", text[:LOOKED_AT]):
        return ["empty"]
    found = []
    if _REFUSAL.match(text[:400].strip()):
        found.append("refusal")
    if looping(text):
        found.append("looping")
    if not _OTHER_LANGUAGE.search(prompt[:LOOKED_AT]):
        asked, given = language(prompt), language(text)
        if asked and given and asked != given:
            found.append("language")
    if finish_reason == "length" or text.count("```") % 2:
        found.append("truncated")
    return found


def looping(text: str) -> bool:
    """Ends in a loop, or says most of its five-word runs again."""
    tail = text[-600:]
    if len(tail) >= 200 and period(tail) is not None:
        return True
    return len(text) >= 400 and repeated_share(text[:LOOKED_AT]) > 0.5
