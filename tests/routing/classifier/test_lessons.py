"""Corrections: a prompt that was corrected, and those like it, go where the user says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.classifier.classifier import Classifier
from routing.classifier.features import words
from routing.classifier.lessons import Lesson, Nearest
from routing.classifier.live import LiveClassifier
from tests.routing.classifier.test_classifier import MODEL, SMALL, embed

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


BOIL = Lesson("1", "How long do I boil an egg?", "technical")


@pytest.fixture(scope="module", params=["model", "words"])
def small(request: pytest.FixtureRequest) -> Classifier:
    return Classifier.train(SMALL, embed if request.param == "model" else None, MODEL)


def test_a_corrected_prompt_goes_where_the_user_says(small: Classifier) -> None:
    assert small.classify(BOIL.prompt).category == "general"
    found = small.with_lessons([BOIL]).classify(BOIL.prompt)
    assert found.category == "technical"
    assert found.confidence > 0.9
    assert found.evidence["taught"] == {"id": "1", "category": "technical", "similarity": 1.0}


def test_prompts_unlike_the_corrected_one_stay_where_they_were(small: Classifier) -> None:
    taught = small.with_lessons([BOIL])
    for prompt in ("Write a haiku about snow.", "Fix this SQL query, it is slow."):
        assert taught.classify(prompt).category == small.classify(prompt).category
        assert "taught" not in taught.classify(prompt).evidence


def test_a_lesson_that_is_taken_back_is_forgotten(small: Classifier) -> None:
    taught = small.with_lessons([BOIL])
    again = taught.with_lessons([])
    assert again.classify(BOIL.prompt).probabilities == small.classify(BOIL.prompt).probabilities


def test_a_lesson_for_a_category_that_is_not_configured_stays_silent(small: Classifier) -> None:
    taught = small.with_lessons([Lesson("2", BOIL.prompt, "cooking")])
    assert taught.classify(BOIL.prompt).category == "general"


def test_lessons_outlive_the_classifier_that_they_corrected(small: Classifier) -> None:
    live = LiveClassifier(small)
    assert live.teach([BOIL])
    assert not live.teach([BOIL])
    live.replace(Classifier.train(SMALL, embed, MODEL))
    assert live.classify(BOIL.prompt).category == "technical"


def test_a_lesson_more_costs_the_vector_of_that_lesson_alone() -> None:
    texts: list[str] = []

    def counted(asked: Sequence[str]) -> np.ndarray:
        texts.extend(asked)
        return embed(asked)

    taught = Classifier.train(SMALL, counted, MODEL).with_lessons([BOIL])
    taught.forget()
    del texts[:]
    more = taught.with_lessons([BOIL, Lesson("2", "How long do I bake bread?", "technical")])
    assert texts == ["How long do I bake bread?"]
    assert len(more.lessons.known) == 2


def test_what_a_model_said_is_recalled_for_like_prompts_alone(small: Classifier) -> None:
    live = LiveClassifier(small)
    assert live.recall(BOIL.prompt) is None
    live.remember(BOIL.prompt, "technical")
    assert live.recall(BOIL.prompt) == "technical"
    assert live.recall("Compose a limerick about a cat.") is None
    assert live.classify(BOIL.prompt).category == "general"
