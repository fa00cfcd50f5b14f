"""The shipped categories with the real embedding model, on prompts never trained on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from benchmarks.classification import (
    TARGETS,
    by_language,
    calibration_error,
    cases,
    judge,
    macro_f1,
    shipped,
)
from config.models import Category
from routing.classifier.classifier import MODEL, WEIGHTS, Classifier
from routing.classifier.lessons import Lesson
from routing.classifier.training import examples, stamp
from routing.classifier.weights import Weights
from vectorstore.prompt_encoder import PromptEncoder

CATEGORIES = shipped()
ENCODER = PromptEncoder.load(MODEL)
SHIPPED = Weights.load((MODEL / WEIGHTS).read_bytes())

LEGAL = Category(
    description="Contracts, rights, courts and the wording of legal documents.",
    examples=(
        "Draft a non-disclosure agreement between two companies.",
        "Is a verbal contract binding in court?",
        "Explain the indemnity clause in my freelance contract.",
        "What is the limitation period for claims under a warranty?",
        "Can my landlord terminate the lease without notice?",
        "Which law governs a contract between a German and a French firm?",
        "Review this clause on liability and tell me what is missing.",
        "What does force majeure mean in a supply agreement?",
        "How do I appeal against a court judgment?",
        "Write a cease and desist letter for trademark infringement.",
    ),
    keywords=("contract", "clause", "lawsuit", "liability", "plaintiff", "statute"),
)


@cache
def _vector(text: str) -> np.ndarray:
    vector: np.ndarray = ENCODER.embed([text])[0]
    return vector


def embed(texts: Sequence[str]) -> np.ndarray:
    """The real model, remembering what it has seen: the examples are embedded once."""
    return np.array([_vector(text) for text in texts])


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    found = Classifier.ready(SHIPPED, CATEGORIES, embed, ENCODER.name)
    assert found is not None, "the weights are of other categories: run `python -m training`"
    return found


def test_the_shipped_weights_are_those_of_the_shipped_categories_and_encoder() -> None:
    assert SHIPPED is not None
    assert SHIPPED.stamp == stamp(CATEGORIES, ENCODER.name)
    assert SHIPPED.names == tuple(CATEGORIES)


def test_the_vectors_that_are_shipped_are_those_that_the_encoder_makes() -> None:
    assert SHIPPED is not None
    assert SHIPPED.vectors is not None
    known = examples(CATEGORIES)
    for row in range(0, len(known), 211):
        made = embed([Classifier.embedded(known[row].text)])[0]
        assert float(made @ SHIPPED.vectors[row]) == pytest.approx(1, abs=0.01)


def test_it_reaches_its_targets_on_prompts_never_trained_on(classifier: Classifier) -> None:
    judged = judge(classifier, list(CATEGORIES), cases("test"))
    assert judged.right.mean() >= TARGETS["accuracy"]
    assert macro_f1(judged) >= TARGETS["macro F1"]
    assert calibration_error(judged) <= 0.08


def test_other_languages_are_understood_as_well(classifier: Classifier) -> None:
    found = by_language(classifier).values()
    assert sum(right for right, _ in found) >= 0.9 * sum(count for _, count in found)


def test_no_measured_prompt_is_an_example() -> None:
    known = {" ".join(example.text.lower().split()) for example in examples(CATEGORIES)}
    measured = [*cases("dev"), *cases("test")]
    assert not [case for case in measured if " ".join(case.prompt.lower().split()) in known]
    assert len({case.prompt for case in measured}) == len(measured)


@pytest.mark.parametrize(
    ("prompt", "category"),
    [
        ("```python\nfor i in range(3):\n    print(i\n```\nwhy does this fail?", "technical"),
        ("SELECT a, b FROM t WHERE a = 1; how do I add an index for this", "technical"),
        ("Escribe un poema sobre la lluvia", "creative"),
        ("Écris une courte histoire de pirates", "creative"),
        ("Wie schreibe ich eine Schleife in Python?", "technical"),
        ("写一个关于龙的故事", "creative"),
        ("¿Cuál es la capital de Italia?", "general"),
        ("write me a rap about a compiler", "creative"),
        ("Write a Python program that prints a poem", "technical"),
    ],
)
def test_code_and_other_languages_are_understood(
    classifier: Classifier, prompt: str, category: str
) -> None:
    assert classifier.classify(prompt).category == category


@pytest.mark.parametrize(
    ("instruction", "category"),
    [
        ("Summarise the following article in three sentences.", "general"),
        ("Write a short story about this.", "creative"),
    ],
)
def test_the_instruction_decides_and_not_the_100_kb_pasted_after_it(
    classifier: Classifier, instruction: str, category: str
) -> None:
    pasted = "Quantum field theory joins relativity with quantum mechanics. " * 1700
    assert classifier.classify(f"{instruction}\n\n{pasted}").category == category


@pytest.mark.parametrize(
    ("earlier", "prompt", "category"),
    [
        ("Write a Python function that parses a log file.", "now in Rust", "technical"),
        ("Write a Python function that parses a log file.", "it doesn't work", "technical"),
        ("Write a poem about the sea.", "make it rhyme", "creative"),
        ("Write a poem about the sea.", "What is the capital of Peru?", "general"),
        ("Write a Python function.", "now write a limerick about it", "creative"),
        ("What should I see in Rome?", "what about Naples?", "general"),
    ],
)
def test_a_conversation_gives_a_short_turn_its_meaning(
    classifier: Classifier, earlier: str, prompt: str, category: str
) -> None:
    history = [{"role": "user", "content": earlier}, {"role": "assistant", "content": "Sure."}]
    assert classifier.classify(prompt, history).category == category


def test_an_empty_prompt_is_general(classifier: Classifier) -> None:
    assert classifier.classify("").category == "general"


def test_a_category_added_to_the_configuration_alone_is_routed() -> None:
    extended = Classifier.train({**CATEGORIES, "legal": LEGAL}, embed, ENCODER.name, SHIPPED)
    asked = (
        "What happens if the other party breaches our contract?",
        "Explain the arbitration clause in this agreement.",
        "Is this liability waiver enforceable?",
    )
    assert [extended.classify(prompt).category for prompt in asked] == ["legal"] * 3
    assert extended.classify("Write a haiku about rain").category == "creative"
    assert extended.classify("Write a Python function").category == "technical"


def test_five_corrections_teach_a_kind_in_any_language_and_leave_the_rest(
    classifier: Classifier,
) -> None:
    corrected = [
        "Translate into Spanish: The train leaves at nine.",
        "Traduis en anglais : je suis en retard",
        "Übersetze ins Italienische: Guten Morgen",
        "translate this to german: see you next week",
        "How do you say 'thank you very much' in Japanese?",
    ]
    lessons = [Lesson(str(n), prompt, "creative") for n, prompt in enumerate(corrected)]
    unseen = [
        "Put this sentence into French: I lost my keys.",
        "Переведи на английский: добрый вечер",
        "把这句话翻译成英文：明天见",
        "what is 'bread' in portuguese",
    ]
    elsewhere = [case.prompt for case in cases("dev")[::12]]
    taught = classifier.with_lessons(lessons).generalised()
    assert [classifier.classify(one).category for one in unseen] == ["general"] * len(unseen)
    assert [taught.classify(one).category for one in unseen] == ["creative"] * len(unseen)
    assert [taught.classify(one).category for one in elsewhere] == [
        classifier.classify(one).category for one in elsewhere
    ]
