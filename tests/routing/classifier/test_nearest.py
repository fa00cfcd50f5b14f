"""Examples that are near by their words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.classifier.features import words
from routing.classifier.nearest import Nearest

EXAMPLES = [
    "What is the capital of Australia?",
    "What is the plural of mouse?",
    "Write a haiku about rain.",
    "Write a haiku about a failed unit test.",
]


@pytest.mark.parametrize(
    ("prompt", "first"),
    [
        ("What is the capital of France?", "What is the capital of Australia?"),
        ("write a HAIKU about rain", "Write a haiku about rain."),
        ("a unit test that failed", "Write a haiku about a failed unit test."),
    ],
)
def test_rare_words_in_common_bring_two_texts_together(prompt: str, first: str) -> None:
    similar = Nearest(EXAMPLES).similarities(words(prompt))
    assert EXAMPLES[similar.argmax()] == first


def test_a_word_that_no_example_has_sets_a_prompt_apart() -> None:
    nearest = Nearest(EXAMPLES)
    known = nearest.similarities(words("What is the capital of Australia?")).max()
    unknown = nearest.similarities(words("What is the capital of Zanzibar?")).max()
    assert known == pytest.approx(1.0)
    assert unknown < 0.9


def test_nothing_in_common_is_no_similarity() -> None:
    assert not Nearest(EXAMPLES).similarities(words("zq")).any()
    assert not Nearest(EXAMPLES).similarities([]).any()
    assert Nearest([]).similarities(["word"]).shape == (0,)


@given(st.lists(st.sampled_from([*"abcdefg"]), max_size=8), st.lists(st.text(), max_size=5))
def test_similarities_are_cosines(tokens: list[str], texts: list[str]) -> None:
    similar = Nearest([*texts, "a b c", "c d e f"]).similarities(tokens)
    assert ((similar >= 0) & (similar <= 1 + 1e-9)).all()
