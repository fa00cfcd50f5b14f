"""The classifier on a small configuration: what it promises whatever the categories are."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from config.models import Category
from routing.classifier.classifier import Classifier
from tests.conftest import CATEGORIES

SMALL = {name: Category(**settings) for name, settings in CATEGORIES.items()}
MODEL = "letters"


def embed(texts: Sequence[str]) -> np.ndarray:
    """A tiny deterministic embedding: how often each letter occurs."""
    counts = [[text.lower().count(chr(97 + n)) + 0.01 for n in range(26)] for text in texts]
    vectors = np.array(counts, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


@pytest.fixture(scope="module")
def small() -> Classifier:
    return Classifier.train(SMALL, embed, MODEL)


@pytest.fixture(scope="module")
def lexical() -> Classifier:
    return Classifier.train(SMALL, None)


def test_the_probabilities_are_those_of_every_category_and_sum_to_one(small: Classifier) -> None:
    found = small.classify("Write a haiku about snow.")
    assert set(found.probabilities) == set(SMALL)
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.confidence == found.probabilities[found.category]


def test_the_margin_is_the_lead_of_the_likeliest_over_the_second(small: Classifier) -> None:
    found = small.classify("Fix this SQL query.")
    first, second = sorted(found.probabilities.values(), reverse=True)[:2]
    assert found.margin == pytest.approx(first - second)


def test_the_evidence_is_json_and_names_the_nearest_examples(small: Classifier) -> None:
    evidence = small.classify("Write a haiku about rain.").evidence
    assert json.loads(json.dumps(evidence)) == evidence
    nearest = evidence["nearest"]
    assert isinstance(nearest, list)
    assert nearest[0]["example"] == "Write a haiku about rain."
    assert nearest[0]["category"] == "creative"
    assert nearest[0]["similarity"] == pytest.approx(1, abs=0.01)


def test_a_keyword_that_was_found_is_named_with_its_category(small: Classifier) -> None:
    rules = small.classify("a haiku, please").evidence["rules"]
    assert rules == ["creative → creative (haiku)"]


@pytest.mark.parametrize(
    ("shares", "category", "unsure"),
    [
        ({"technical": 0.45, "creative": 0.15, "general": 0.40}, "general", True),
        ({"technical": 0.46, "creative": 0.44, "general": 0.10}, "technical", False),
        ({"technical": 0.55, "creative": 0.15, "general": 0.30}, "technical", False),
    ],
    ids=["between it and another", "between two others", "clear"],
)
def test_a_close_call_goes_to_general_if_that_is_one_of_the_two(
    small: Classifier, shares: dict[str, float], category: str, unsure: bool
) -> None:
    found = small._decide(np.array([shares[name] for name in SMALL]), {}, None)
    assert (found.category, found.evidence["unsure"]) == (category, unsure)


def test_without_an_unsure_category_the_likeliest_is_chosen() -> None:
    two = {name: SMALL[name] for name in ("technical", "creative")}
    found = Classifier.train(two, None).classify("zq")
    assert found.category == max(found.probabilities, key=lambda name: found.probabilities[name])


def test_a_vector_given_by_the_caller_spares_the_embedding() -> None:
    asked: list[str] = []

    def counted(texts: Sequence[str]) -> np.ndarray:
        asked.extend(texts)
        return embed(texts)

    classifier = Classifier.train(SMALL, counted, MODEL)
    asked.clear()
    prompt = "Compose something for my cat."
    given = classifier.classify(prompt, vector=embed([Classifier.embedded(prompt)])[0])
    assert not asked
    assert given.evidence["stage"] == "embedding"


def test_what_was_learned_survives_being_stored(small: Classifier) -> None:
    again = Classifier.load(small.dump(), SMALL, embed, MODEL)
    assert again is not None
    for prompt in ("Write a haiku.", "How long do I boil rice?", "sort a list in python"):
        assert again.classify(prompt).probabilities == small.classify(prompt).probabilities


def test_what_was_learned_from_other_categories_is_not_loaded(small: Classifier) -> None:
    changed = {**SMALL, "general": SMALL["general"].model_copy(update={"keywords": ("visa",)})}
    assert Classifier.load(small.dump(), changed, embed, MODEL) is None


def test_what_was_learned_from_another_model_is_not_loaded(small: Classifier) -> None:
    assert Classifier.load(small.dump(), SMALL, embed, "other") is None


def test_without_the_model_what_was_learned_of_words_alone_still_serves(small: Classifier) -> None:
    found = Classifier.load(small.dump(), SMALL, None, MODEL)
    assert found is not None
    assert found.classify("a haiku, please").evidence["stage"] == "rules"


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 broken", b"not an archive" * 100])
def test_a_damaged_file_is_not_loaded(data: bytes) -> None:
    assert Classifier.load(data, SMALL, embed, MODEL) is None


def test_without_a_model_words_decide_and_the_evidence_says_so(lexical: Classifier) -> None:
    found = lexical.classify("a poem, or rather a haiku")
    assert found.category == "creative"
    assert found.evidence["stage"] == "rules"
    assert found.evidence["limited"] == "the embedding model is not installed"


def test_training_twice_learns_the_same(small: Classifier) -> None:
    assert Classifier.train(SMALL, embed, MODEL).dump() == small.dump()


@pytest.mark.parametrize(
    "prompt",
    ["", " \n\t ", "\x00\x01\x1b[31m", "\u202e\u200b", "?", "🙂", "{" * 100_000, "a" * 1_000_000],
)
def test_any_input_gets_a_category(small: Classifier, prompt: str) -> None:
    found = small.classify(prompt)
    assert found.category in SMALL
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_a_short_follow_up_takes_its_category_from_the_turn_before(small: Classifier) -> None:
    history = [
        {"role": "user", "content": "Write a haiku about rain."},
        {"role": "assistant", "content": "Soft drops on the roof"},
    ]
    found = small.classify("and shorter please", history)
    assert found.category == "creative"
    assert found.evidence["context"] == {"turn": "Write a haiku about rain.", "weight": 1.0}


def test_a_turn_that_stands_for_itself_is_not_bent_by_history(small: Classifier) -> None:
    history = [{"role": "user", "content": "Write a haiku about rain."}]
    prompt = (
        "Please fix this long SQL query, which returns many duplicate rows for each customer of us"
    )
    assert small.classify(prompt, history).probabilities == small.classify(prompt).probabilities
