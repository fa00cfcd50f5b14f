"""What several corrections have in common: others of their kind follow, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from routing.classifier.classifier import Classifier
from routing.classifier.kinds import LEAST, Kinds, learn_kinds
from routing.classifier.lessons import Lesson
from routing.classifier.live import LiveClassifier
from tests.routing.classifier.test_classifier import MODEL, SMALL, embed

RANDOM = np.random.default_rng(4)
WIDTH = 24
EVEN = np.zeros(3)


def around(place: int, count: int) -> np.ndarray:
    """Directions that lie together around one axis."""
    rows = RANDOM.normal(0, 0.15, (count, WIDTH))
    rows[:, place] += 1
    found: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


EXAMPLES = np.concatenate([around(place, 60) for place in range(4)])
INTENTS = np.repeat(np.arange(4), 60)


def learned(*groups: tuple[int, int, int | None]) -> Kinds:
    """The kinds of corrections: (place, how many, category)."""
    directions = np.concatenate([around(place, count) for place, count, _ in groups])
    columns = [column for _, count, column in groups for _ in range(count)]
    return learn_kinds(directions, columns, np.zeros((len(columns), 3)), EXAMPLES, INTENTS)


def test_unseen_prompts_of_a_kind_follow_its_corrections_and_others_stay() -> None:
    kinds = learned((7, 5, 2))
    sure_of_the_first = np.log([0.9, 0.05, 0.05])
    chosen = [int(kinds.joined(sure_of_the_first, one)[0].argmax()) for one in around(7, 20)]
    assert np.mean(np.array(chosen) == 2) > 0.9
    elsewhere = np.concatenate([around(place, 20) for place in range(4)])
    assert all(kinds.joined(sure_of_the_first, one)[0].argmax() == 0 for one in elsewhere)


def test_two_kinds_that_go_to_one_category_are_learned_apart() -> None:
    kinds = learned((7, 4, 2), (9, 4, 2))
    assert kinds.columns.tolist() == [2, 2]
    assert kinds.members == (0, 0, 0, 0, 1, 1, 1, 1)
    assert [kinds.joined(EVEN, around(place, 1)[0])[1] for place in (7, 9)] == [0, 1]


def test_a_kind_as_broad_as_an_intent_is_not_held_back_by_that_intents_own_examples() -> None:
    """One in ten of its prompts changed when only the nearest of these were left out."""
    kinds = learned((2, 5, 2))
    sure_of_the_first = np.log([0.9, 0.05, 0.05])
    chosen = [kinds.joined(sure_of_the_first, one)[0].argmax() for one in around(2, 40)]
    assert np.mean(np.array(chosen) == 2) > 0.9
    elsewhere = np.concatenate([around(place, 20) for place in (0, 1, 3)])
    assert all(kinds.joined(sure_of_the_first, one)[0].argmax() == 0 for one in elsewhere)


def test_examples_of_one_intent_alone_are_not_all_left_out() -> None:
    directions = around(7, 5)
    alone = np.zeros(len(EXAMPLES), dtype=int)
    kinds = learn_kinds(directions, [1] * 5, np.zeros((5, 3)), around(7, 240), alone)
    assert np.isfinite(kinds.weights).all()


def test_alike_prompts_that_were_sent_to_two_categories_do_not_outvote_each_other() -> None:
    kinds = learned((7, 6, 2), (9, 6, 1))
    for place, column in ((7, 2), (9, 1)):
        assert kinds.joined(EVEN, around(place, 1)[0])[0].argmax() == column


@pytest.mark.parametrize("groups", [((7, LEAST - 1, 2),), ((7, 6, None),)])
def test_a_few_corrections_or_silent_ones_make_no_kind(
    groups: tuple[tuple[int, int, int | None], ...],
) -> None:
    kinds = learned(*groups)
    assert not kinds
    assert set(kinds.members) == {None}


@pytest.fixture
def live() -> LiveClassifier:
    return LiveClassifier(Classifier.train(SMALL, embed, MODEL))


EGGS = [
    Lesson(str(n), prompt, "technical")
    for n, prompt in enumerate(
        ["How long do I boil an egg?", "how long to boil eggs", "Boil two eggs, how long?"]
    )
]


def test_what_lessons_have_in_common_is_learned_once_behind_the_service(
    live: LiveClassifier,
) -> None:
    assert not live.generalise()
    live.teach(EGGS)
    assert live.generalise()
    assert not live.generalise()
    found = live.classify("boil an egg: how long?")
    assert found.category == "technical"
    assert isinstance(found.evidence["taught"], dict)


def test_a_lesson_more_leaves_what_was_learned_in_force_and_one_less_does_not(
    live: LiveClassifier,
) -> None:
    live.teach(EGGS)
    live.generalise()
    current = live.current
    assert isinstance(current, Classifier)
    more = current.with_lessons([*EGGS, Lesson("9", "Write a haiku about snow.", "general")])
    less = current.with_lessons(EGGS[1:])
    assert more.lessons._kinds is current.lessons._kinds
    assert more.lessons.behind
    assert less.lessons._kinds is None
