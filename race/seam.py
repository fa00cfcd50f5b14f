"""The seam of a live stream that changes speakers, read before it is shown.

Text that a caller was shown cannot be taken back, so whoever speaks next must go on from it. Models
that are asked to go on do so, or begin again, or repeat the last words, or say what they are about
to do. What comes first is therefore held back until it is plain which of these it is: what repeats
the shown text is dropped, fences and prefaces are taken away, a missing space is put in. What can
be neither a repetition nor a continuation is not shown at all.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from routing.quality import refuses

HELD = 40
"""Characters after which a continuation that repeats nothing so far is judged; twice as many after
the end of a sentence, where only more words tell the next one from a new beginning."""

BEGUN_AGAIN = 4
"""So many words in common with the beginning of the shown text are no chance."""

ANCHOR = 4
"""So many of the last words, found after a preface, are where the continuation begins."""

TAKEN_UP = 5
"""So many of the first words, found after a preface, are where the text begins again."""

RUN, NEW_IN_RUN = 5, 3
"""A run of so many words, of which at least so many are new, is no chance either."""

LOOKED_BACK = 200
"""Words at the end of the shown text that a continuation may repeat."""

PREFACE = 12
"""Words that a preface may have before the text is taken up."""

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
"""Words that are written with a capital only where a sentence begins."""


class _Word(NamedTuple):
    word: str
    start: int
    end: int


Verdict = Literal["open", "joined", "broken"]


class Seam:
    """Feed it the continuation as it comes; it gives back what may be shown.

    `verdict` is `open` while all is held back, `joined` once the text goes on from what was shown,
    `broken` when it does not. With `asked` False the text is an answer of its own, which joins only
    if it begins with all that was shown.
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
        """What may be shown now of what came so far."""
        self._held += text
        if self.verdict == "open":
            self._judge(self._held, ended=False)
        return self._release(ended=False) if self.verdict == "joined" else ""

    def end(self) -> str:
        """The continuation is over: the rest of what may be shown."""
        if self.verdict == "open":
            self._judge(self._held, ended=True)
        nothing_new = not self._said and not self._held.strip()
        if nothing_new and not _ENDS.search(self._shown):
            self.verdict = "broken"  # it would end in the middle of a sentence
        return self._release(ended=True) if self.verdict == "joined" else ""

    # -- is it a continuation? ------------------------------------------------------------------

    def _judge(self, text: str, *, ended: bool) -> None:
        """Give the verdict on `text`, all that came so far, as soon as it can be given."""
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
        """Enough is there to be judged, and to see whether it repeats a run of words."""
        held = 2 * HELD if _ENDS.search(self._shown) else HELD
        overlap, _ = self._overlap(said)
        return len(text.strip()) >= held and len(_words(text[overlap:])) > RUN

    def _begins_again(self, text: str, said: list[_Word], part: str, ended: bool) -> bool:
        """The text begins as the shown text does, at once or after a preface; then the verdict is
        given, or waits for the end of the repetition."""
        shown = self._words
        for at in (0, *_taken_up(said, shown)):
            mine = said[at:]
            same = _common(mine, shown)
            if same == len(shown):
                self._join(text, mine[same - 1].end if same else 0)
            elif self._completes(mine, same):
                self._join(text, mine[same].start + len(shown[-1].word), in_word=True)
            elif same == len(mine) and not ended and shown[same].word.startswith(part):
                pass  # it may go on repeating
            elif at == 0 and (same >= BEGUN_AGAIN or (same and ended and same == len(mine))):
                self.verdict = "broken"
            else:
                continue
            return True
        return False

    def _completes(self, said: list[_Word], same: int) -> bool:
        """The next word is the shown text's last one, which was cut within."""
        last = same == len(self._words) - 1 and 0 < same < len(said)
        return last and self._cut_in(said[same].word)

    def _cut_in(self, word: str) -> bool:
        """The shown text may have been cut within this word."""
        return self._shown[-1].isalnum() and word.startswith(self._words[-1].word)

    def _within(self, said: list[_Word], part: str) -> bool:
        """All of it so far stands near the end of the shown text, and may go on to that end."""
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
        """Where the text has repeated the last words, the longest such repetition; 0: nowhere.

        Second: the last of them was cut within, and is completed here.
        """
        shown, mine = [w.word for w in self._words], [w.word for w in said]
        for n in range(min(len(mine), len(shown)), 0, -1):
            if shown[-n:] == mine[:n]:
                return said[n - 1].end, False
            if n > 1 and shown[-n:-1] == mine[: n - 1] and self._cut_in(mine[n - 1]):
                return said[n - 1].start + len(shown[-1]), True
        return 0, False

    def _anchored(self, said: list[_Word]) -> int:
        """Where the last words are repeated after a preface; 0: nowhere."""
        shown, mine = [w.word for w in self._words], [w.word for w in said]
        if len(shown) < ANCHOR:
            return 0
        for at in range(1, min(PREFACE, len(mine) - ANCHOR) + 1):
            if mine[at : at + ANCHOR] == shown[-ANCHOR:]:
                return said[at + ANCHOR - 1].end
        return 0

    def _plausible(self, text: str, said: list[_Word]) -> bool:
        """Whether a text that repeats nothing can be what comes next."""
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
        """It says in other words what the shown text began with."""
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
        """A run of five words at the seam, most of them new, was shown before: it says it again."""
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
        """Without our fences; what may turn out to be one is held back."""
        text = self._unfenced(self._held)
        keep = len(text)
        if not ended and (at := text.rfind("<")) >= 0:
            opened = text[at:]
            if any(fence.startswith(opened) for fence in _FENCES):
                keep = len(text[:at].rstrip())
        elif not ended and text and text[-1].isspace():
            keep = len(text.rstrip())  # a fence may follow: its own line goes with it
        self._held = text[keep:]
        self._said = self._said or keep > 0
        return text[:keep]

    def _opened(self, text: str) -> str:
        """Without a fence that it begins with, ours or that of code that is open already."""
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
    """How many words both begin with."""
    n = 0
    for one, other in zip(found, shown, strict=False):
        if one.word != other.word:
            break
        n += 1
    return n


def _taken_up(said: list[_Word], shown: list[_Word]) -> list[int]:
    """After how many words of preface the shown text begins again, if it does."""
    mine, first = [w.word for w in said], [w.word for w in shown[:TAKEN_UP]]
    if len(first) < TAKEN_UP:
        return []
    places = range(1, min(PREFACE, len(mine) - TAKEN_UP) + 1)
    return [at for at in places if mine[at : at + TAKEN_UP] == first][:1]
