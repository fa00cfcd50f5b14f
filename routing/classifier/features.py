"""Features of a prompt that need no model: its instruction, the material it includes, its words.

Everything here takes time linear in a bounded excerpt of the prompt, whatever its content.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

HEAD, TAIL = 1500, 900
"""Characters of a prompt that are examined: its beginning and its end."""
READ = 600
"""Characters of an instruction whose words are looked up."""
INSTRUCTION, GIVEN = 240, 40
"""Characters that are embedded: about 70 tokens together at most."""
LENGTHY, OF_LENGTHY = 1000, 120
"""A prompt of more characters is mostly given material: so much of its instruction is embedded, and
nothing of the material, which mostly misleads."""
_QUOTE = 40  # shorter quotations are part of the instruction
_LINE = 240  # a longer line is not an instruction as a whole
_AFTER_COLON = 60  # a shorter text after a colon is part of the instruction
_SHORT = 16  # a colon after fewer characters follows a label, not an instruction
_LAST = 100  # a longer last line is an instruction only if it asks

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+"
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?(?:\+\+|#)?|[^\w\s]")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_TOKEN = re.compile(r"[^\w\s]|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_FENCE = re.compile(r"```|~~~")
_QUOTED = re.compile(rf'"[^"\n]{{{_QUOTE},}}"|“[^”\n]{{{_QUOTE},}}”|«[^»\n]{{{_QUOTE},}}»')
_SENTENCE = re.compile(r"(?<=[.!?。！？])(?:\s+|(?<=[。！？]))")
_ITEM = re.compile(r"\s*(?:[-*•]|\(?\w{1,2}[.)])\s|.*[;{}]\s*$")
_LABEL = re.compile(
    r"(?i)\s*(?:context|text|document|passage|paragraph|article|data|input|review|code|table)s?\s*:"
)
_ASKS = re.compile(r"(?i)\?\s*$|？\s*$|^\s*(?:question|q|task|instructions?|answer)\s*:|:\s*$")
_PREAMBLE = """please pls plz hi hey hello ok okay so now can could would will you u i i'd i'm want
    need like to help me kindly just , . !"""
_POLITE = frozenset(_PREAMBLE.split())


@dataclass(frozen=True, slots=True)
class Parts:
    """A prompt, split into the instruction and the material given with it."""

    text: str  # the whole excerpt
    instruction: str
    given: str


def excerpt(prompt: str) -> str:
    """The prompt's beginning and end, normalised, without control characters."""
    if len(prompt) > HEAD + TAIL:
        prompt = f"{prompt[:HEAD]}\n{prompt[-TAIL:]}"
    return _CONTROL.sub(" ", unicodedata.normalize("NFKC", prompt)).strip()


def divide(prompt: str) -> Parts:
    """Separate the instruction from given text, by fences, quotation marks, lines and length."""
    text = excerpt(prompt)
    given: list[str] = []
    prose: list[str] = []
    for position, block in enumerate(_FENCE.split(text)):
        (given if position % 2 else prose).append(block)

    def put_aside(match: re.Match[str]) -> str:
        given.append(match.group())
        return ' "" '

    lines = _QUOTED.sub(put_aside, "\n".join(prose)).split("\n")
    lines = [line.strip() for line in lines if line.strip()]
    asked = []
    for number, line in enumerate(lines):
        kept, rest = _of_line(line, first=number == 0, last=number == len(lines) - 1)
        asked.append(kept)
        given.append(rest)
    instruction = _ends(" ".join(filter(None, asked)), READ)
    return Parts(text, instruction, "\n".join(filter(None, given)))


def view(parts: Parts) -> str:
    """The text to embed: both ends of the instruction and the beginning of the given material."""
    asked = " ".join(parts.instruction.split())
    if asked and len(parts.text) > LENGTHY:
        return _ends(asked, OF_LENGTHY)
    asked = _ends(asked, INSTRUCTION)
    return f"{asked} {_take(' '.join(parts.given.split()), GIVEN)}".strip()


def words(text: str) -> list[str]:
    """Lower-case words, numbers as `0`, punctuation marks one by one, ideographs one by one."""
    spaced = _WIDE.sub(r" \g<0> ", text.lower())
    return ["0" if word.isdigit() else word for word in _WORD.findall(spaced)]


def opening(tokens: list[str], count: int) -> list[str]:
    """The first words after greetings and politeness: usually the verb and its object."""
    start = 0
    while start < min(len(tokens), 12) and tokens[start] in _POLITE:
        start += 1
    return tokens[start : start + count]


def _of_line(line: str, *, first: bool, last: bool) -> tuple[str, str]:
    """A line's instruction and its given part."""
    if _LABEL.match(line):
        return ("", line) if len(line) > _AFTER_COLON or not (first or last) else (line, "")
    if len(line) > _LINE:
        sentences = [sentence for sentence in _SENTENCE.split(line) if sentence]
        if not (first or (last and _ASKS.search(sentences[-1])) or len(sentences) < 2):
            return "", line
        before, colon, after = sentences[0].partition(": ")
        if colon and _SHORT < len(before) < _LINE:
            return _around_colon(before, " ".join([after, *sentences[1:]]))
        asked = [s for s in sentences[1:-1] if _ASKS.search(s)]
        ends = [sentences[0], *asked, sentences[-1]] if len(sentences) > 1 else sentences
        rest = [s for s in sentences if s not in ends]
        return " ".join(ends), " ".join(rest)
    before, colon, after = line.partition(": ")
    if colon and len(before) > _SHORT and len(after) > _AFTER_COLON and not _ASKS.match(line):
        return _around_colon(before, after)
    closes = last and len(line) <= _LAST and not _ITEM.match(line)
    return (line, "") if first or closes or _ASKS.search(line) else ("", line)


def _around_colon(before: str, after: str) -> tuple[str, str]:
    """Text after a colon is given material, except for a question at its end."""
    *body, last = _SENTENCE.split(after)
    if body and _ASKS.search(last):
        return f"{before}: {last}", " ".join(body)
    return before + ":", after


def _ends(text: str, budget: int) -> str:
    if _fits(text, budget):
        return text
    head = _take(text, budget * 2 // 3)
    tail = _take(text[::-1], budget // 3)[::-1]
    return f"{head} … {tail}"


def _fits(text: str, budget: int) -> bool:
    """Whether the text has at most so many characters; ideographs and symbols count fourfold,
    because each is a token of its own."""
    return len(text) <= budget and len(text) + 3 * len(_TOKEN.findall(text)) <= budget


def _take(text: str, budget: int) -> str:
    if _fits(text, budget):
        return text
    piece = text[:budget]
    piece = piece[: max(budget // 4, budget - 3 * len(_TOKEN.findall(piece)))]
    return piece.rsplit(" ", 1)[0] if " " in piece else piece


LONGEST = 15
"""A prompt with more words than this is understood without its conversation."""
TURNS_BACK = 8
_ALONE = 2  # number of content words from which a prompt is understood on its own
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
    """The user's latest turn that shows its own subject."""
    asked = [turn.get("content", "") for turn in history if turn.get("role") == "user"]
    asked = asked[-TURNS_BACK:]
    own = [text for text in asked if content(text) >= _ALONE]
    return own[-1] if own else asked[0] if asked else None


def content(prompt: str) -> int:
    """The number of words in the prompt that carry meaning without the conversation."""
    tokens = words(divide(prompt).instruction)
    return sum(token not in _LEANING and token.isalnum() for token in tokens)


def independence(prompt: str, confidence: float) -> float:
    """The weight in [0, 1] of a prompt's own classification, against that of the turn before.

    `confidence` is the probability that its own classification gives to its category.
    """
    if len(words(divide(prompt).text)) > LONGEST:
        return 1.0
    meaning = content(prompt)
    if meaning == 0:
        return 0.0
    return 1.0 if meaning >= _ALONE and confidence >= 0.8 else 0.5
