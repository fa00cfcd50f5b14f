from __future__ import annotations

import pytest

from vectorstore.search import CANDIDATES, FLOOR, fuse, reorder, score


def test_what_both_halves_find_comes_first() -> None:
    assert fuse({1: 0.8, 2: 0.79}, {2: 9.0, 3: 9.1})[0] == 2


def test_a_clear_winner_of_one_half_beats_the_narrow_one_of_the_other() -> None:
    assert fuse({1: 0.70, 2: 0.69}, {2: 30.0, 1: 4.0}) == [2, 1]
    assert fuse({1: 0.90, 2: 0.50}, {2: 5.1, 1: 5.0}) == [1, 2]


def test_either_half_alone_gives_its_own_order() -> None:
    assert fuse({5: 0.2, 4: 0.9, 6: 0.5}, {}) == [4, 6, 5]
    assert fuse({}, {5: 1.0, 4: 3.0}) == [4, 5]
    assert fuse({}, {}) == []


def test_equals_stand_in_the_order_of_their_numbers() -> None:
    assert fuse({3: 0.5, 1: 0.5, 2: 0.5}, {}) == [1, 2, 3]


def test_keyword_candidates_are_read_to_a_depth() -> None:
    found = fuse({}, {n: float(n) for n in range(1, 200)})
    assert found == list(range(199, 199 - CANDIDATES, -1))


def test_the_score_grows_with_similarity_and_with_coverage() -> None:
    assert score(0.9, 1.0, 3) > score(0.7, 1.0, 3) > score(0.7, 0.2, 3) > score(0.3, 0.2, 3)


@pytest.mark.parametrize("similarity", [None, -1.0, 0.0, 0.5, 1.0])
@pytest.mark.parametrize("coverage", [0.0, 0.5, 1.0])
def test_the_score_is_a_probability(similarity: float | None, coverage: float) -> None:
    assert 0 <= score(similarity, coverage, 5) <= 1


def test_without_similarity_no_word_in_common_scores_nothing() -> None:
    assert score(None, 0.0, 60) == 0.0
    assert score(None, 1.0, 3) > FLOOR


def test_a_cross_encoder_has_the_last_word() -> None:
    assert reorder([7, 5, 6], [-2.0, 3.0, 0.0]) == [5, 6, 7]
