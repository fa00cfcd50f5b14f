"""A continuation is read before it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from race.seam import Seam

SHOWN = "The breaker opens after five failures and stays open"
WHOLE = f"{SHOWN} for thirty seconds."

CLEAN = [
    ("goes on", SHOWN, " for thirty seconds.", " for thirty seconds."),
    ("without its space", SHOWN, "for thirty seconds.", " for thirty seconds."),
    ("begins again", SHOWN, WHOLE, " for thirty seconds."),
    ("begins again in other case", SHOWN, WHOLE.upper(), " FOR THIRTY SECONDS."),
    ("repeats the last words", SHOWN, "and stays open for thirty seconds.", " for thirty seconds."),
    ("repeats the last word", SHOWN, "open for thirty seconds.", " for thirty seconds."),
    ("a preface", SHOWN, "Sure, here is the rest: for thirty seconds.", " for thirty seconds."),
    (
        "a preface and again",
        SHOWN,
        f"Certainly! Here is my answer. {WHOLE}",
        " for thirty seconds.",
    ),
    (
        "a preface and the last words",
        SHOWN,
        "Continuing the text: failures and stays open for thirty seconds.",
        " for thirty seconds.",
    ),
    ("a fence behind", SHOWN, "for thirty seconds.\n</passages>", " for thirty seconds."),
    ("a fence before", SHOWN, "<text>\nfor thirty seconds.\n</text>", " for thirty seconds."),
    ("a fence and again", SHOWN, f"<text>\n{WHOLE}\n</text>", " for thirty seconds."),
    ("cut after a space", SHOWN + " ", "for thirty seconds.", "for thirty seconds."),
    ("cut after a space, with one", SHOWN + " ", " for thirty seconds.", "for thirty seconds."),
    ("cut in a word, begins again", "The breaker op", "The breaker opens late.", "ens late."),
    ("cut in a word, last words", "Then the breaker op", "breaker opens late.", "ens late."),
    ("a whole word like a fragment", "It waits for", "forty seconds.", " forty seconds."),
    ("a name", "The capital of France is", "Paris.", " Paris."),
    ("a full stop said twice", "It is blue.", "blue. It is wide.", " It is wide."),
    ("after a sentence", "It is blue.", "Nothing else is.", " Nothing else is."),
    ("after a line", "1. one\n", "2. two\n", "2. two\n"),
    ("a decimal", "Pi is 3.", "14159.", "14159."),
    ("no spaces", "天空是", "天空是蓝色的。", "蓝色的。"),
    ("no spaces, goes on", "天空是", "蓝色的。", "蓝色的。"),
    ("code that is open", "```python\nx = 1\n", "```python\ny = 2\n```", "y = 2\n```"),
    ("all was said", WHOLE, WHOLE, ""),
]

BROKEN = [
    ("another answer", SHOWN, "Circuit breakers protect a system from a failing part."),
    ("the same in other words", SHOWN, "The breaker opens after five errors, then waits."),
    ("an answer to the words", SHOWN, "The text says that the breaker stays open."),
    ("a refusal", SHOWN, "I'm sorry, but I cannot continue this text."),
    ("less than was shown", SHOWN, "The breaker opens after five failures."),
    ("nothing", SHOWN, "  \n"),
    ("nothing new", SHOWN, SHOWN),
    ("a list of its own", SHOWN, "2. A breaker that is half-open lets one call through."),
    (
        "the beginning in other words, after a sentence",
        "A circuit breaker protects callers from a failing service. ",
        "Callers are protected by a circuit breaker when a service is failing.",
    ),
]


def shown_by(seam: Seam, pieces: list[str]) -> str:
    return "".join(seam.feed(piece) for piece in pieces) + seam.end()


@pytest.mark.parametrize(("name", "shown", "text", "new"), CLEAN, ids=[c[0] for c in CLEAN])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_only_what_is_new_is_shown(name: str, shown: str, text: str, new: str, size: int) -> None:
    seam = Seam(shown)
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert (shown_by(seam, pieces), seam.verdict) == (new, "joined")


@pytest.mark.parametrize(("name", "shown", "text"), BROKEN, ids=[b[0] for b in BROKEN])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_what_does_not_go_on_is_not_shown_at_all(name: str, shown: str, text: str, size: int):
    seam = Seam(shown)
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert (shown_by(seam, pieces), seam.verdict) == ("", "broken")


def test_an_answer_of_its_own_joins_only_if_it_begins_like_the_shown_text() -> None:
    alike, other = Seam(SHOWN, asked=False), Seam(SHOWN, asked=False)
    assert shown_by(alike, [WHOLE]) == " for thirty seconds."
    assert shown_by(other, ["for thirty seconds."]) == ""
    assert other.verdict == "broken"


def test_an_answer_of_its_own_is_waited_for_while_it_is_alike() -> None:
    seam = Seam(SHOWN, asked=False)
    assert (seam.feed("The breaker opens af"), seam.verdict) == ("", "open")
    assert (seam.feed("ter fi"), seam.verdict) == ("", "open")
    assert (seam.feed("re"), seam.verdict) == ("", "broken")


def test_a_long_continuation_is_shown_as_it_comes() -> None:
    seam = Seam(SHOWN)
    first = seam.feed(" for thirty seconds, then lets one call through and ")
    assert first.startswith(" for thirty seconds")
    assert seam.feed("closes. ") + seam.end() != ""


WORDS = st.lists(
    st.sampled_from(["one", "two", "three", "four", "five", "six", "open", "closed"]), max_size=12
)


@given(WORDS, WORDS, st.integers(1, 9))
def test_a_text_that_begins_again_word_for_word_is_shown_once(
    before: list[str], after: list[str], size: int
) -> None:
    shown, whole = " ".join(before), " ".join([*before, *after])
    seam = Seam(shown)
    pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    new = shown_by(seam, pieces)
    if len(before) >= 4 and after:
        assert (shown + new).strip() == whole
    assert seam.verdict != "open"
