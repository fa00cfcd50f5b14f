from __future__ import annotations

import pytest

from vectorstore.keywords import stem, words


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        # Examples of Porter's paper, step by step.
        ("caresses", "caress"),
        ("ponies", "poni"),
        ("cats", "cat"),
        ("agreed", "agre"),
        ("plastered", "plaster"),
        ("bled", "bled"),
        ("motoring", "motor"),
        ("sing", "sing"),
        ("conflated", "conflat"),
        ("hopping", "hop"),
        ("falling", "fall"),
        ("filing", "file"),
        ("happy", "happi"),
        ("sky", "sky"),
        ("relational", "relat"),
        ("conditional", "condit"),
        ("vietnamization", "vietnam"),
        ("triplicate", "triplic"),
        ("hopefulness", "hope"),
        ("adoption", "adopt"),
        ("probate", "probat"),
        ("controll", "control"),
        ("generalizations", "gener"),
        ("oscillators", "oscil"),
    ],
)
def test_words_are_stemmed_as_porter_does(word: str, expected: str) -> None:
    assert stem(word) == expected


def test_what_is_no_english_word_stays() -> None:
    assert [stem(w) for w in ("is", "utf8", "größe", "s")] == ["is", "utf8", "größe", "s"]


def test_forms_of_a_word_meet() -> None:
    assert words("Boiling eggs") == words("egg boiled")[::-1] == ["boil", "egg"]


def test_questions_lose_their_function_words() -> None:
    assert words("What is the capital of Australia?") == ["capit", "australia"]


def test_accents_apostrophes_and_underscores_do_not_hide_a_word() -> None:
    assert words("Brasília’s café __init__ snake_case") == [
        "brasilia", "cafe", "init", "snake", "case"
    ]  # fmt: skip


def test_text_without_spaces_is_cut_into_pairs() -> None:
    assert words("東京都") == ["東京", "京都"]
