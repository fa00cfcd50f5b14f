"""The seam of a live stream that changes speakers, checked before it is shown.

Text that a caller was shown cannot be withdrawn, so the next speaker must continue it. Models asked
to continue do so, or start again, or repeat the last words, or announce what they are about to do.
The first output is therefore held back until it is clear which of these it is: text that repeats
what was shown is dropped, fences and prefaces are removed, a missing space is inserted. A text that
can be neither a repetition nor a continuation is not shown at all.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from routing.quality import refuses

HELD = 40
"""Characters after which a continuation that has repeated nothing is judged; twice as many after
the end of a sentence, where only more words distinguish the next sentence from a new beginning."""

BEGUN_AGAIN = 4
"""This many words in common with the beginning of the shown text are not a coincidence."""

ANCHOR = 4
"""This many of the last words, found after a preface, mark where the continuation begins."""

TAKEN_UP = 5
"""This many of the first words, found after a preface, mark where the text begins again."""

RUN, NEW_IN_RUN = 5, 3
"""A run of so many words, of which at least so many are new, is not a coincidence either."""

LOOKED_BACK = 200
"""Number of words at the end of the shown text that a continuation may repeat."""

PREFACE = 12
"""Maximum number of words in a preface."""

_WORD = re.compile(r"[぀-ヿ㐀-鿿가-힯]|[^\W_぀-ヿ㐀-鿿가-힯]+")
_WIDE = re.compile(r"[぀-ヿ㐀-鿿가-힯]")
_FENCE = re.compile(r"</?(?:text|passages)>")
_FENCES = ("<text>", "</text>", "<passages>", "</passages>")
_PREFACE = re.compile(
    r"""\s*(?:
        (?:sure|certainly|of\ course|absolutely|okay|ok|alright|understood)\b[^\n:]{0,80}:
      | (?:here(?:'s|’s|\ is|\ are)|continuing|the\ (?:rest|continuation|remainder)|to\ continue)
        \b[^\n:.]{0,60}:
      | here(?:'s|’s|\ is)\b[^\n:.]{0,30}\b(?:answer|rest|remainder|continuation|text)\.
      | (?:i(?:'ll|’ll|\ will)|let\ me)\ (?:continue|go\ on|finish)\b[^\n:.]{0,60}[:.]
      | (?:sure|certainly|of\ course|absolutely|okay|ok|alright|understood)[,.!]
    )\s*""",
    re.IGNORECASE | re.VERBOSE,
)
_ENDS = re.compile(r"[.!?:;。！？：；…\n][\"'”’)\]*_`]*\s*$")
_CODE = re.compile(r"^\s*```", re.MULTILINE)
_OPENING = re.compile(r"\s*```\w*\n")
_LISTED = re.compile(r"(?:\d+[.)]|[-*#•]+)\s")
_FENCED = re.compile(r"\s*<(?:text|passages)>\s*")

SENTENCE_STARTERS = frozenset(
    """a about an and as at because but by for from he here how however i if in it its my no of on
    or our she so some sorry that the their then there these they this those to we what when where
    which while who why with yes you your
    der die das ein eine es in und wenn wie le la les un une il el los las una en""".split()  # noqa: SIM905 - words, not code
)
"""Words that are capitalised only at the beginning of a sentence."""


class _Word(NamedTuple):
    word: str
    start: int
    end: int


Verdict = Literal["open", "joined", "broken"]


class Seam:
    """Feed it the continuation as it comes; it returns what may be shown.

    `verdict` is `open` while everything is held back, `joined` once the text continues what was
    shown, `broken` if it does not. With `asked` False the text is an answer of its own, which joins
    only if it begins with everything that was shown.
    """

    def __init__(self, shown: str, *, asked: bool = True) -> None:
        self.verdict: Verdict = "open"
        self._shown = shown
        self.asked = asked
        self._words = _words(shown)
        self._in_code = len(_CODE.findall(shown)) % 2 == 1
        self._held = ""
        self._said = False

    def feed(self, text: str) -> str:
        """The part of the text so far that may be shown now."""
        self._held += text
        if self.verdict == "open":
            self._judge(self._held, ended=False)
        return self._release(ended=False) if self.verdict == "joined" else ""

    def end(self) -> str:
        """The continuation is over: returns the rest that may be shown."""
        if self.verdict == "open":
            self._judge(self._held, ended=True)
        nothing_new = not self._said and not self._held.strip()
        if nothing_new and not _ENDS.search(self._shown):
            self.verdict = "broken"  # otherwise it would end in the middle of a sentence
        return self._release(ended=True) if self.verdict == "joined" else ""

    # -- is it a continuation? ------------------------------------------------------------------

    def _judge(self, text: str, *, ended: bool) -> None:
        """Set the verdict on `text`, everything received so far, as soon as that is possible."""
        text = self._opened(text)
        words = _words(text)
        whole = ended or not words or words[-1].end < len(text)
        said, part = (words, "") if whole else (words[:-1], words[-1].word)
        if self._begins_again(text, said, part, ended):
            return
        if not self.asked:
            self.verdict = "broken"
        elif ended or (self._enough(text, said) and not self._within(said, part)):
            self._join_or_break(text, said, ended)

    def _enough(self, text: str, said: list[_Word]) -> bool:
        """Whether there is enough text to judge it, and to see whether it repeats a run of
        words."""
        held = 2 * HELD if _ENDS.search(self._shown) else HELD
        overlap, _ = self._overlap(said)
        return len(text.strip()) >= held and len(_words(text[overlap:])) > RUN

    def _begins_again(self, text: str, said: list[_Word], part: str, ended: bool) -> bool:
        """Whether the text begins as the shown text does, at once or after a preface; then the
        verdict is set, or waits for the end of the repetition."""
        shown = self._words
        for at in (0, *_taken_up(said, shown)):
            mine = said[at:]
            same = _common(mine, shown)
            if same == len(shown):
                self._join(text, mine[same - 1].end if same else 0)
            elif self._completes(mine, same):
                self._join(text, mine[same].start + len(shown[-1].word), in_word=True)
            elif same == len(mine) and not ended and shown[same].word.startswith(part):
                pass  # it may continue to repeat
            elif at == 0 and (same >= BEGUN_AGAIN or (same and ended and same == len(mine))):
                self.verdict = "broken"
            else:
                continue
            return True
        return False

    def _completes(self, said: list[_Word], same: int) -> bool:
        """The next word is the shown text's last one, which was cut off."""
        last = same == len(self._words) - 1 and 0 < same < len(said)
        return last and self._cut_in(said[same].word)

    def _cut_in(self, word: str) -> bool:
        """Whether the shown text may have been cut off within this word."""
        return self._shown[-1].isalnum() and word.startswith(self._words[-1].word)

    def _within(self, said: list[_Word], part: str) -> bool:
        """Whether all of it so far occurs near the end of the shown text, and may continue to that
        end."""
        shown, mine = [w.word for w in self._words], [w.word for w in said]
        n = len(mine)
        return n > 0 and any(
            shown[at : at + n] == mine and shown[at + n].startswith(part)
            for at in range(max(0, len(shown) - LOOKED_BACK), len(shown) - n)
        )

    def _join_or_break(self, text: str, said: list[_Word], ended: bool) -> None:
        overlap, in_word = self._overlap(said)
        anchored = 0 if overlap else self._anchored(said)
        preface = _PREFACE.match(text)
        if overlap or anchored:
            self._join(text, overlap or anchored, in_word=in_word)
        elif preface and preface.end():
            self._held = text[preface.end() :]
            self._judge(self._held, ended=ended)
        elif self._plausible(text, said):
            self._join(text, 0)
        else:
            self.verdict = "broken"

    def _overlap(self, said: list[_Word]) -> tuple[int, bool]:
        """The position after the longest repetition of the last words; 0: there is none.

        Second: whether the last of them was cut off and is completed here.
        """
        shown, mine = [w.word for w in self._words], [w.word for w in said]
        for n in range(min(len(mine), len(shown)), 0, -1):
            if shown[-n:] == mine[:n]:
                return said[n - 1].end, False
            if n > 1 and shown[-n:-1] == mine[: n - 1] and self._cut_in(mine[n - 1]):
                return said[n - 1].start + len(shown[-1]), True
        return 0, False

    def _anchored(self, said: list[_Word]) -> int:
        """The position of the last words repeated after a preface; 0: not found."""
        shown, mine = [w.word for w in self._words], [w.word for w in said]
        if len(shown) < ANCHOR:
            return 0
        for at in range(1, min(PREFACE, len(mine) - ANCHOR) + 1):
            if mine[at : at + ANCHOR] == shown[-ANCHOR:]:
                return said[at + ANCHOR - 1].end
        return 0

    def _plausible(self, text: str, said: list[_Word]) -> bool:
        """Whether a text that repeats nothing can be a continuation."""
        begin = text.lstrip()
        if not begin or refuses(begin):
            return False
        if _ENDS.search(self._shown) or not self._words:
            return not self._like_the_beginning(said)
        if self._in_code or not said:
            return True
        if _LISTED.match(begin):
            return False
        if not begin[0].isupper():
            return True
        known = {w.word for w in self._words if self._shown[w.start].islower()}
        anew = any(w.word[:5] in {k[:5] for k in known if len(k) > 4} for w in said[:3])
        return said[0].word not in SENTENCE_STARTERS and said[0].word not in known and not anew

    def _like_the_beginning(self, said: list[_Word]) -> bool:
        """Whether it paraphrases the beginning of the shown text."""
        shown = {w.word for w in self._words[:12] if len(w.word) > 3}
        mine = {w.word for w in said[:12] if len(w.word) > 3}
        return len(shown) >= 3 and len(shown & mine) >= 0.6 * len(shown)

    # -- what is shown of it --------------------------------------------------------------------

    def _join(self, text: str, cut: int, *, in_word: bool = False) -> None:
        """All of `text` before `cut` was shown before."""
        if self._repeats(text[cut:]):
            self.verdict = "broken"
            return
        rest, end = text[cut:], self._words[-1].end if self._words else 0
        trailing = self._shown[end:].strip()
        if cut and trailing and rest.lstrip().startswith(trailing):
            rest = rest.lstrip()[len(trailing) :]
        if self._shown[-1:].isspace():
            rest = rest.lstrip() if "\n" in self._shown[end:] else rest.lstrip(" ")
        elif not in_word and self._needs_space(rest):
            rest = f" {rest}"
        self._held, self.verdict = rest, "joined"

    def _repeats(self, rest: str) -> bool:
        """Whether a run of five words at the seam, most of them new, was shown before."""
        shown, new = [w.word for w in self._words], [w.word for w in _words(rest)[:RUN]]
        around = [*shown[-(RUN - NEW_IN_RUN) :], *new]
        runs = {tuple(shown[i : i + RUN]) for i in range(len(shown) - RUN + 1)}
        return any(tuple(around[i : i + RUN]) in runs for i in range(len(around) - RUN + 1))

    def _needs_space(self, rest: str) -> bool:
        before, after = self._shown[-1:], rest[:1]
        if self._in_code or _WIDE.match(before) or _WIDE.match(after) or not after.isalnum():
            return False
        return before.isalnum() or (before in ".,;:!?" and not after.isdigit())

    def _release(self, *, ended: bool) -> str:
        """The text without our fences; text that may turn out to be one is held back."""
        text = self._unfenced(self._held)
        keep = len(text)
        if not ended and (at := text.rfind("<")) >= 0:
            opened = text[at:]
            if any(fence.startswith(opened) for fence in _FENCES):
                keep = len(text[:at].rstrip())
        elif not ended and text and text[-1].isspace():
            keep = len(text.rstrip())  # a fence may follow, which takes its own line with it
        self._held = text[keep:]
        self._said = self._said or keep > 0
        return text[:keep]

    def _opened(self, text: str) -> str:
        """The text without a fence at its start, whether ours or that of code already open."""
        if (fenced := _FENCED.match(text)) and not _FENCE.search(self._shown):
            text = text[fenced.end() :]
        text = self._unfenced(text)
        if self._in_code and (opening := _OPENING.match(text)):
            text = text[opening.end() :]
        return text

    def _unfenced(self, text: str) -> str:
        if "<" not in text or _FENCE.search(self._shown):
            return text
        return re.sub(rf"\s*{_FENCE.pattern}\s*$|{_FENCE.pattern}", "", text)


def _words(text: str) -> list[_Word]:
    return [_Word(m.group().casefold(), m.start(), m.end()) for m in _WORD.finditer(text)]


def _common(found: list[_Word], shown: list[_Word]) -> int:
    """The number of words that both have in common at the beginning."""
    n = 0
    for one, other in zip(found, shown, strict=False):
        if one.word != other.word:
            break
        n += 1
    return n


def _taken_up(said: list[_Word], shown: list[_Word]) -> list[int]:
    """The number of preface words after which the shown text begins again, if it does."""
    mine, first = [w.word for w in said], [w.word for w in shown[:TAKEN_UP]]
    if len(first) < TAKEN_UP:
        return []
    places = range(1, min(PREFACE, len(mine) - TAKEN_UP) + 1)
    return [at for at in places if mine[at : at + TAKEN_UP] == first][:1]
