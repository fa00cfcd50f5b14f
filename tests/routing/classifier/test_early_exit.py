"""Half of the encoder decides what is clear, only where nothing needs the other half."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import structlog

from benchmarks.classification import cases, shipped
from config.loader import load
from config.models import Category
from routing.classifier.classifier import MODEL, WEIGHTS, Classifier
from routing.classifier.early_exit import EXIT
from routing.classifier.lessons import Lesson
from routing.classifier.training import learn
from routing.classifier.weights import Weights
from runtime.services import known_classifier, quickened, shared_encoder
from vectorstore.prompt_encoder import Begun, PromptEncoder

CATEGORIES = shipped()
CLEAR = "Schreibe eine kurze Geschichte über einen Drachen"
UNCLEAR = "Wie lautet die Hauptstadt von Peru, und wie viele Menschen leben dort?"


class Counted:
    """The real layers, and how often each half ran."""

    def __init__(self, encoder: PromptEncoder) -> None:
        self.encoder, self.begun, self.finished = encoder, 0, 0

    def begin(self, text: str) -> Begun:
        self.begun += 1
        return self.encoder.begin(text)

    def finish(self, begun: Begun) -> np.ndarray:
        self.finished += 1
        return self.encoder.finish(begun)


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    found = shared_encoder()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def weights() -> Weights:
    found = Weights.load((MODEL / WEIGHTS).read_bytes())
    assert found is not None
    return found


@pytest.fixture(scope="module")
def all_layers(encoder: PromptEncoder, weights: Weights) -> Classifier:
    found = Classifier.ready(weights, CATEGORIES, encoder.embed, encoder.name)
    assert found is not None
    return found


@pytest.fixture
def counted(encoder: PromptEncoder) -> Counted:
    return Counted(encoder)


@pytest.fixture
def quick(all_layers: Classifier, counted: Counted) -> Iterator[Classifier]:
    yield all_layers.with_early_exit(counted)
    all_layers.forget()


def test_a_clear_prompt_is_decided_by_the_lower_layers_alone(
    quick: Classifier, all_layers: Classifier, counted: Counted
) -> None:
    found = quick.classify(CLEAR)
    assert (counted.begun, counted.finished) == (1, 0)
    assert found.evidence["stage"] == "early exit"
    assert found.confidence >= EXIT
    assert found.vector is None
    assert found.category == all_layers.classify(CLEAR).category


def test_an_unclear_prompt_gets_what_all_layers_say_to_the_bit(
    quick: Classifier, all_layers: Classifier, counted: Counted
) -> None:
    found, whole = quick.classify(UNCLEAR), all_layers.classify(UNCLEAR)
    assert (counted.begun, counted.finished) == (1, 1)
    assert found.evidence == whole.evidence
    assert found.probabilities == whole.probabilities
    assert found.vector is not None
    assert np.array_equal(found.vector, whole.vector)


def test_a_prompt_that_comes_again_runs_no_layer_again(quick: Classifier, counted: Counted) -> None:
    for _ in range(3):
        quick.classify(CLEAR)
        quick.classify(UNCLEAR)
    assert (counted.begun, counted.finished) == (2, 1)
    quick.forget()
    quick.classify(CLEAR)
    assert counted.begun == 3


def test_what_leaves_early_is_what_all_layers_would_have_said(
    quick: Classifier, all_layers: Classifier
) -> None:
    prompts = [case.prompt for case in cases("dev")[::4]]
    left = [one for one in prompts if quick.classify(one).evidence["stage"] == "early exit"]
    assert len(left) > len(prompts) / 5
    assert [quick.classify(one).category for one in left] == [
        all_layers.classify(one).category for one in left
    ]


def test_the_nearest_examples_are_still_near_in_any_language(quick: Classifier) -> None:
    evidence = quick.classify("Quelle est la capitale de l'Italie ?").evidence
    assert evidence["stage"] == "early exit"
    assert isinstance(evidence["nearest"], list)
    assert [one["category"] for one in evidence["nearest"]] == ["general"] * 3
    assert evidence["nearest"][0]["similarity"] > 0.5


def test_no_prompt_leaves_early_while_a_lesson_is_in_force(
    quick: Classifier, all_layers: Classifier, counted: Counted
) -> None:
    lesson = Lesson("1", "What should I name my parrot?", "technical")
    taught = quick.with_lessons([lesson])
    assert taught.classify(CLEAR).evidence["stage"] == "embedding"
    assert taught.classify(lesson.prompt).category == "technical"
    expected = all_layers.with_lessons([lesson]).classify(CLEAR)
    assert taught.classify(CLEAR).probabilities == expected.probabilities
    assert counted.begun == 0
    assert taught.with_lessons([]).classify(CLEAR).evidence["stage"] == "early exit"


def test_categories_of_ones_own_have_no_early_exit(
    encoder: PromptEncoder, weights: Weights, counted: Counted
) -> None:
    own = Category(
        description="Travel.", examples=("Plan a trip to Rome.", "Which visa do I need?")
    )
    grown = {**CATEGORIES, "travel": own}
    learned = learn(grown, encoder.embed, encoder.name, weights)
    assert learned.early is None
    classifier = Classifier(grown, learned, encoder.embed)
    assert classifier.with_early_exit(counted) is classifier
    assert classifier.classify(CLEAR).evidence["stage"] == "embedding"
    assert Classifier.ready(weights, grown, encoder.embed, encoder.name) is None


def test_an_edited_example_or_another_encoder_has_no_early_exit(
    encoder: PromptEncoder, weights: Weights
) -> None:
    general = CATEGORIES["general"]
    edited = {**CATEGORIES, "general": general.model_copy(update={"keywords": ("visa",)})}
    assert Classifier.ready(weights, edited, encoder.embed, encoder.name) is None
    assert Classifier.ready(weights, CATEGORIES, encoder.embed, "another encoder") is None


def test_weights_without_an_early_exit_serve_as_before_and_it_is_said(
    encoder: PromptEncoder, weights: Weights, all_layers: Classifier
) -> None:
    bare = replace(weights, early_decide=None, early_down=None, early_up=None)
    classifier = Classifier.ready(
        Weights.load(bare.dump()), CATEGORIES, encoder.embed, encoder.name
    )
    assert classifier is not None
    with structlog.testing.capture_logs() as logged:
        assert quickened(classifier, encoder) is classifier
        assert quickened(all_layers, encoder) is not all_layers
    assert [one["event"] for one in logged] == ["early_exit_not_learned"]
    found, whole = classifier.classify(CLEAR), all_layers.classify(CLEAR)
    assert (found.evidence, found.probabilities) == (whole.evidence, whole.probabilities)


def test_the_service_uses_the_early_exit_for_the_shipped_categories(
    encoder: PromptEncoder, tmp_path: Path
) -> None:
    settings = load(Path("config"), tmp_path, environ={}, dotenv=None)
    classifier = known_classifier(settings, encoder)
    assert classifier is not None
    assert classifier.classify(CLEAR).evidence["stage"] == "early exit"
    without = known_classifier(settings, None)
    assert without is not None
    assert without.classify(CLEAR).evidence["stage"] == "rules"


@pytest.mark.parametrize("part", ["early_decide", "early_down", "early_up"])
def test_a_part_of_an_early_exit_that_cannot_be_is_refused(weights: Weights, part: str) -> None:
    array = getattr(weights, part)
    for wrong in (None, array[:-1], array[:, :-1], array.ravel(), array * np.nan):
        assert Weights.load(replace(weights, **{part: wrong}).dump()) is None
