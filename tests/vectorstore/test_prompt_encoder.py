"""The encoder of prompts, with the files that are shipped."""

from __future__ import annotations

import numpy as np
import pytest

from routing.classifier.classifier import MODEL
from vectorstore.e5 import DIMENSIONS, E5File
from vectorstore.prompt_encoder import (
    ADAPTER,
    HEADS,
    MOST_TOKENS,
    WIDTH,
    PromptEncoder,
    ends,
    kept,
    quantised,
)


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    return PromptEncoder.load(MODEL)


def test_a_vector_has_two_halves_of_equal_length(encoder: PromptEncoder) -> None:
    vectors = encoder.embed(["write a poem", "什么是质数？", "", "x" * 10_000])
    assert vectors.shape == (4, 2 * DIMENSIONS)
    halves = np.linalg.norm(vectors.reshape(4, 2, DIMENSIONS), axis=2)
    assert halves == pytest.approx(np.full((4, 2), 0.5**0.5), abs=1e-3)


def test_a_long_text_is_read_at_both_ends() -> None:
    file = E5File.installed()
    ids = ends(file, " ".join(map(str, range(150))))
    assert len(ids) == MOST_TOKENS
    whole = file.tokens(" ".join(map(str, range(150))), 8 * MOST_TOKENS)
    assert ids[:8] == whole[:8]
    assert ids[-8:] == whole[-8:]


def test_what_an_adapter_keeps_is_named_by_head_and_by_neuron() -> None:
    rows, inputs = kept(np.array([0, 2], dtype=np.uint8), np.array([5, 1535], dtype=np.uint16))
    heads = [*range(32), *range(64, 96)]
    assert [*rows["q"]] == [*rows["k"]] == [*rows["v"]] == [*inputs["ao"]] == heads
    assert [*rows["fi"]] == [*inputs["fo"]] == [5, 1535]
    assert kept(None, None) == ({}, {})


def test_the_shipped_adapter_keeps_known_heads_and_neurons_each_once() -> None:
    with np.load(MODEL / ADAPTER) as arrays:
        for number in range(int(arrays["layers"])):
            for name, count in (("heads", HEADS), ("wide", WIDTH)):
                left = arrays.get(f"l{number}.{name}", np.arange(count)).tolist()
                assert left == sorted(set(left))
                assert set(left) <= set(range(count))


def test_eight_bits_come_within_half_a_step_of_the_matrix() -> None:
    matrix = np.random.default_rng(0).normal(size=(7, 30)).astype(np.float32)
    made = quantised(matrix)
    restored = (made["w"].astype(np.float32) * made["s"]).T
    assert np.abs(restored - matrix).max() <= made["s"].max() / 2 + 1e-6
    assert made["w"].flags["C_CONTIGUOUS"]
