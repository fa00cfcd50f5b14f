"""The language of a text, as far as its script and its commonest words show it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

LOOKED_AT = 2_000
"""Characters at the beginning that decide."""

_COMMON = {
    "en": "the of and to is in that it for you with as are this be on not or by from what how why",
    "es": "el la los las de y que en un una es por con para se del como qué cómo está más pero su",
    "fr": "le la les des et que est une dans pour pas qui sur avec vous ce il je du au comment",
    "de": "der die das und ist nicht ein eine zu den mit von sich auf für wie was ich im dem wird",
    "it": "il lo gli di che è un una per con non sono come della del nel più questo cosa perché",
    "pt": "o os as de que e um uma para com não é em por do da no na como mais são você qual",
    "nl": "de het een en van is dat niet met voor op zijn te ik wat hoe aan er ook maar als",
}
_SPOKEN: dict[str, list[str]] = {}
"""Each common word, with the languages it belongs to."""
for _language, _words in _COMMON.items():
    for _word in dict.fromkeys(_words.split()):
        _SPOKEN.setdefault(_word, []).append(_language)
_SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "CYRILLIC": "cyrillic",
    "ARABIC": "arabic",
    "HEBREW": "he",
    "GREEK": "el",
    "DEVANAGARI": "hi",
    "THAI": "th",
}


LATIN = 12
"""Number of Latin letters that decides the script of a prompt whose language is not recognised."""


def same_language(prompt: str, text: str) -> bool:
    """Whether the answer is in the prompt's language, as far as both can be recognised."""
    asked, given = language(prompt), language(text)
    if asked and given:
        return asked == given
    if given is None or given in _COMMON:
        return True
    letters = [c for c in prompt[:LOOKED_AT] if c.isalpha()]
    return len(letters) < LATIN or any(ord(c) > 0x2FF for c in letters)


def language(text: str) -> str | None:
    """A language or script code; None if it cannot be recognised, which is common for short
    texts."""
    head = re.sub(r"```.*?(```|$)", " ", text[:LOOKED_AT], flags=re.DOTALL)
    if not head.isascii() and (script := _foreign(head)):
        return script
    words = re.findall(r"[^\W\d_]+", head.lower())
    hits = Counter(name for word in words for name in _SPOKEN.get(word, ()))
    (best, count), (_, second) = [*hits.most_common(2), ("", 0), ("", 0)][:2]
    if count >= 3 and count >= 0.12 * len(words) and count >= 1.5 * second:
        return best
    return None


def _foreign(text: str) -> str | None:
    """The script, if most of the text is not in Latin letters."""
    letters = [c for c in text if c.isalpha()]
    scripts = Counter(script for c in letters if ord(c) > 0x2FF and (script := _script(c)))
    script, count = next(iter(scripts.most_common(1)), ("", 0))
    if count >= 4 and count > 0.3 * len(letters):
        return "ja" if "ja" in scripts else script
    return None


def _script(character: str) -> str | None:
    return _SCRIPTS.get(unicodedata.name(character, "").split(" ")[0])
