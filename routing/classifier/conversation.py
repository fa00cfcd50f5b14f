"""How far a prompt depends on the turns before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from routing.classifier.features import divide, words

LONGEST = 15
"""A prompt of more words than this stands for itself."""
TURNS_BACK = 8
_ALONE = 2  # words of its own from which a prompt says what it wants
_WITHOUT_CONTENT = """
    a about after again all also an and another any are as at be better bit but by can change
    continue could detail different do does doesn't don't each else even example examples expand
    explain fewer first for from further give go good great hmm how i if in instead is it it's its
    just keep last less let's like little long longer make maybe me mean more most much my next nice
    no not now of ok okay on one ones only or other our out over part please previous really redo
    rest same second see shorter short should show simpler so some sorry still such tell than thanks
    that that's the them then there these they thing things third this those to too try two up us
    use very wait was we well were what what's when where which why will with without would yes yet
    you your
    y más otra otro corto ahora en el la lo por favor et plus encore un une le court maintenant en
    und noch eins mehr kürzer jetzt bitte auf das die der nochmal weiter
    继 续 再 短 一 点 个 的 请 更 多 ещё еще короче и на теперь дальше
"""
_LEANING = frozenset(_WITHOUT_CONTENT.split())


def before(history: Sequence[Mapping[str, str]]) -> str | None:
    """The latest turn of the user that says for itself what it is about."""
    asked = [turn.get("content", "") for turn in history if turn.get("role") == "user"]
    asked = asked[-TURNS_BACK:]
    own = [text for text in asked if content(text) >= _ALONE]
    return own[-1] if own else asked[0] if asked else None


def content(prompt: str) -> int:
    """How many words the prompt has that mean something without the conversation."""
    tokens = words(divide(prompt).instruction)
    return sum(token not in _LEANING and token.isalnum() for token in tokens)


def independence(prompt: str, confidence: float) -> float:
    """The weight in [0, 1] of a prompt's own classification, beside that of the turn before.

    `confidence` is what its own classification gives to its own category.
    """
    if len(words(divide(prompt).text)) > LONGEST:
        return 1.0
    meaning = content(prompt)
    if meaning == 0:
        return 0.0
    return 1.0 if meaning >= _ALONE and confidence >= 0.8 else 0.5
