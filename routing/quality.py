"""How good an answer is, as far as its form shows without a judge.

Each fault multiplies the quality, which starts at 1, by its factor; the product in [0, 1] is part
of the reward. It says nothing about whether the answer is true.

empty        0     no word in it
refusal      0.2   it declines to answer
looping      0.2   most of what it says it has said before
language     0.4   another language than the prompt's, where none was asked for
truncated    0.7   it ended at a length limit, in a code block, or in the middle of a sentence

A refusal is judged by the beginning alone: an answer that quotes a refusal, or is a letter of
refusal as requested, is not one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from routing.language import same_language

REFUSED_WITHIN = 400
"""Characters at the beginning that decide."""

_ENGLISH_VERBS = (
    r"(?:help|assist|provide|answer|do|comply|fulfil+|create|write|generate|discuss|share|give"
    r"|continue|tell|respond|offer|support|complete|engage)\b"
)
_CANNOT = r"(?:can(?:not|['’]?t)|won['’]?t|will not|unable to|not able to)"
_SORRY = (
    r"(?:(?:i['’]?m|i am|we['’]?re) (?:\w+ )?(?:sorry|afraid)"
    r"|sorry|unfortunately|i apologi[sz]e|(?:my )?apologies)\b"
)
_PATTERNS = (
    rf"{_SORRY}[^.!?]{{0,60}}?\b(?:i|we)\b(?: am| are|['’]m|['’]re)? {_CANNOT}"
    rf" (?:be able to )?{_ENGLISH_VERBS}",
    rf"i (?:cannot|can['’]?t|won['’]?t|must decline to|will not) {_ENGLISH_VERBS}",
    r"(?:i['’]?m|i am) (?:unable|not able) to\b",
    r"it is not possible for me to\b",
    r"as an? (?:ai|artificial|large language|language model)[^.!?]{0,80}?"
    r"\b(?:cannot|can['’]?t|unable|not able|do not|don['’]?t)\b",
    # German
    r"(?:es )?tut mir (?:sehr )?leid,?[^.!?]{0,60}\bkann (?:ich )?(?:das |dir |ihnen ){0,2}nicht",
    r"(?:es )?tut mir (?:sehr )?leid,?[^.!?]{0,30}\bkann ich[^.!?]{0,30}\bnicht (?:helfen|beant)",
    r"(?:leider kann ich|ich kann)\b[^.!?]{0,50}\b(?:anfrage|bitte|frage|dabei|damit)\b"
    r"[^.!?]{0,20}\bnicht (?:weiter)?(?:helfen|beantworten|nachkommen|erfüllen)",
    # French
    r"(?:je suis (?:vraiment )?)?d[ée]sol[ée]e?,?[^.!?]{0,60}\bne (?:peux|puis)",
    r"(?:malheureusement,? )?je ne (?:peux pas|suis pas en mesure de) (?:vous |t['’]|y )?"
    r"(?:aider|répondre|écrire|fournir|faire)",
    # Spanish
    r"(?:lo siento|lamentablemente|desafortunadamente),?[^.!?]{0,60}\bno puedo",
    r"no puedo (?:ayudar|responder|proporcionar|escribir|cumplir)",
    # Russian
    r"(?:извините|простите|к сожалению),?[^.!?]{0,40}\bне мог(?:у|ла)?\b",
    r"я не могу (?:помочь|ответить|выполнить)",
    # Chinese
    r"(?:很?抱歉|对不起|不好意思)[^。!?]{0,20}?(?:无法|不能|没办法)",
    r"我(?:无法|不能)(?:提供|回答|帮助|协助)",
    # Japanese
    r"(?:申し訳|すみません|ごめんなさい|恐れ入り)[^。!?]{0,40}?(?:できません|できかねます|致しかねます)",
)
_REFUSAL = re.compile(rf"^[\s*_#>]{{0,4}}(?:{'|'.join(_PATTERNS)})", re.IGNORECASE)


def refuses(text: str) -> bool:
    """Whether it declines to answer."""
    return _REFUSAL.match(text[:REFUSED_WITHIN].strip()) is not None


WINDOW = 600
"""Characters at the end of the text that must repeat one piece."""

LONGEST_PERIOD = 150
"""So the piece occurs at least four times."""

STEP = 200
"""Characters between two checks."""


class RepetitionGuard:
    """Feed it a stream's text; `feed` returns True once the text repeats itself endlessly.

    Costs less than a microsecond for each character: at most LONGEST_PERIOD comparisons of short
    strings every STEP characters, nearly all of which differ in their first character.
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
    """The length of the short piece that the whole text repeats, or None.

    A run of one character (a line of a table, padding) does not count as a loop.
    """
    if len(set(text)) < 2:
        return None
    for length in range(2, min(LONGEST_PERIOD, len(text) // 3) + 1):
        if text[length] == text[0] and text.startswith(text[length:]):
            return length
    return None


def repeated_share(text: str) -> float:
    """The share of a text's five-word sequences that occurred before in it, in [0, 1]."""
    words = text.lower().split()
    runs = [tuple(words[i : i + 5]) for i in range(len(words) - 4)]
    return 1.0 - len(set(runs)) / len(runs) if runs else 0.0


FACTORS = {"empty": 0.0, "refusal": 0.2, "looping": 0.2, "language": 0.4, "truncated": 0.7}

LOOKED_AT = 8_000
"""Characters of an answer that are examined, so that the cost of a long one is bounded."""

_OTHER_LANGUAGE = re.compile(
    r"""\b(?:translat\w*|tradu\w*|übersetz\w*|vertaal\w*|language|idioma|langue|sprache
    |english|spanish|french|german|italian|portuguese|dutch|latin|japanese|chinese|korean|russian
    |arabic|hindi|greek|hebrew|polish|swedish|turkish
    |(?:auf|ins?)\ \w+ische?n?|deutsch|(?:en|al?|in)\ (?:español|inglés|francés|alemán|français
    |anglais|allemand|espagnol|italien|inglese|tedesco|francese)|перев\w+|\w+ийск\w+|по-\w+ски)\b
    |翻译|译成|[英法德日韩俄中]语|英文|中文|翻訳|訳し|[英日中]\s?本?語|[ァ-ー]+語""",
    re.IGNORECASE | re.VERBOSE,
)
"""The prompt mentions a language, so it may have asked for an answer in another one."""

_OPEN_ENDS = frozenset(
    re.findall(
        r"\w+",
        "the a an and or of to with that because which from into "
        "der dem den einem einer eines und oder weil dass "
        "le la les une des et ou du que qui parce el los las una y del para porque "
        "il lo gli di che e per",
    )
)
"""Words that do not end a sentence."""

PROSE = 10
"""Minimum number of words for an answer that ends in one of them to count as cut off."""


def quality(prompt: str, text: str, finish_reason: str | None = None) -> float:
    """In [0, 1]; 1 if the form has no fault. Linear in the texts, which are bounded."""
    value = 1.0
    for fault in faults(prompt, text, finish_reason):
        value *= FACTORS[fault]
    return value


def quality_of_calls(calls: Sequence[tuple[str, str]], offered: object) -> float:
    """The quality of tool calls, given as `(name, arguments)`: that of the worst one.

    `offered` are the request's tools in OpenAI's form. 0.2: a tool that was not offered; 0.3:
    arguments that are not a JSON object; 0.6: required arguments are missing.
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
    """Ends inside a code block, or after a word that does not end a sentence."""
    if len(re.findall(r"^\s*```", text, re.MULTILINE)) % 2:
        return True
    words = text[-LOOKED_AT:].split()
    return len(words) >= PROSE and words[-1] in _OPEN_ENDS


def looping(text: str) -> bool:
    """Ends in a loop, or mostly repeats its own five-word sequences."""
    tail = text[-600:]
    if len(tail) >= 200 and period(tail) is not None:
        return True
    return len(text) >= 400 and repeated_share(text[:LOOKED_AT]) > 0.5
