"""Words as the keyword index sees them: folded, without stop words, reduced to their stems."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_VOWEL = re.compile(r"[aeiouy]")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uac00-\ud7af]")

STOPWORDS = frozenset(
    """a about above after again all also am an and any are as at be because been before being below
    between both but by can could did do does doing down during each either else etc few for from
    further had has have having he her here hers herself him himself his how i if in into is it its
    itself just let me mine more most much my myself no nor not of off on once only or other our
    ours out over own please same shall she should so some such tell than that the their theirs them
    then there these they this those through to too under until up upon us very was we were what
    when where which while who whom whose why will with would you your yours s t d ll m re ve don
    doesn didn isn aren wasn weren won""".split()  # noqa: SIM905 - words, not code
)
"""Function words, and those of asking: they say nothing about what is asked for."""


def words(text: str) -> list[str]:
    """The stems of a text's content words, in order, repeated as they are repeated.

    Chinese, Japanese and Korean, written without spaces, are cut into pairs of characters.
    """
    folded = unicodedata.normalize("NFKD", text.replace("’", "'")).lower()
    folded = "".join(c for c in folded if not unicodedata.combining(c))
    found: list[str] = []
    for match in _WORD.finditer(folded):
        word = match.group()
        if _CJK.search(word):
            found += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
            continue
        word = word.split("'")[0]
        if word and word not in STOPWORDS:
            found.append(stem(word))
    return found


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """An English word without its inflection: M. F. Porter, "An algorithm for suffix stripping"
    (1980), steps 1a to 1c and the final e; words with digits or other letters stay as they are."""
    if len(word) <= 2 or not (word.isascii() and word.isalpha()):
        return word
    if word.endswith("sses") or (word.endswith("ies") and len(word) > 4):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith("eed"):
        word = word[:-1] if len(word) > 4 else word
    else:
        for suffix in ("ing", "ed"):
            rest = word[: -len(suffix)]
            if word.endswith(suffix) and len(rest) >= 2 and _VOWEL.search(rest):
                word = _repaired(rest)
                break
    if word.endswith("y") and len(word) > 2 and _VOWEL.search(word[:-1]):
        word = word[:-1] + "i"
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    return word


def _repaired(rest: str) -> str:
    """hopp(ing) is hop, but fall(ing) is fall; the e of hop(e)d is cut from "hope" as well."""
    if len(rest) > 2 and rest[-1] == rest[-2] and rest[-1] not in "lsz":
        return rest[:-1]
    return rest
