"""The classifier's cache: whatever is in the file, it is what was stored or nothing."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from config.models import Category
from routing.classifier.classifier import Classifier
from routing.classifier.weights import Weights
from tests.conftest import CATEGORIES

DECLARED = {name: Category.model_validate(one) for name, one in CATEGORIES.items()}


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.train(DECLARED, None)


@pytest.fixture(scope="module")
def weights(classifier: Classifier) -> Weights:
    found = Weights.load(classifier.dump())
    assert found is not None
    return found


def same(one: Weights, other: Weights) -> bool:
    return all(np.array_equal(getattr(one, n), getattr(other, n)) for n in Weights.__slots__)


def test_a_damaged_file_is_refused_or_harmless(weights: Weights) -> None:
    """A flip in what nobody reads, such as a date in the archive, may pass."""
    data = weights.dump()
    draw = random.Random(20261127)
    refused = 0
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(draw.choice((1, 1, 1, 8))):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        found = Weights.load(bytes(damaged))
        refused += found is None
        assert found is None or same(found, weights)
    assert refused > 200


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY", bytes(1000), b"PK\x05\x06" + bytes(18)])
def test_what_is_no_such_file_is_refused(data: bytes, weights: Weights) -> None:
    assert Weights.load(data) is None
    whole = weights.dump()
    assert Weights.load(whole[: len(whole) // 2]) is None
    assert Weights.load(data + whole[100:]) is None


def test_shapes_and_numbers_that_cannot_be_are_refused(weights: Weights) -> None:
    wrong = {
        "few rows": replace(weights, lexical=weights.lexical[:3]),
        "no rows": replace(weights, lexical=weights.lexical[:0]),
        "flat": replace(weights, lexical=weights.lexical.ravel()),
        "no number": replace(weights, lexical=weights.lexical * np.nan),
        "endless": replace(weights, rarity=weights.rarity * np.inf),
        "texts": replace(weights, rarity=weights.rarity.astype(str)),
        "whole": replace(weights, lexical=weights.lexical.astype(int)),
        "other words": replace(weights, vocabulary=weights.vocabulary[:-1]),
        "half": replace(weights, vectors=np.zeros((2, 2))),
    }
    for name, one in wrong.items():
        assert Weights.load(one.dump()) is None, name


def test_a_cache_that_lost_a_row_is_learned_anew(weights: Weights) -> None:
    for lexical in (weights.lexical[:-1], weights.lexical[:, :-1]):
        damaged = replace(weights, lexical=lexical).dump()
        assert Classifier.load(damaged, DECLARED, None) is None
