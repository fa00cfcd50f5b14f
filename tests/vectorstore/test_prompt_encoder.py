"""The encoder of prompts, with the files that are shipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from routing.classifier.classifier import MODEL
from runtime.services import shared_encoder
from vectorstore.e5 import DIMENSIONS, E5File
from vectorstore.prompt_encoder import (
    ADAPTER,
    MOST_TOKENS,
    PromptEncoder,
    all_weights,
    ends,
    quantised,
    session,
)

WHOLE = Path(__file__).parent / "whole_encoder.onnx"
"""All layers in one graph, from `states` to the means after the last layer and after the fourth."""
TEXTS = (
    "write a poem",
    "什么是质数？",
    "",
    "Why is the sky blue, and the sea? " * 20,
    "x" * 10_000,
)


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    found = shared_encoder()
    assert found is not None
    return found


def test_a_vector_has_two_halves_of_equal_length(encoder: PromptEncoder) -> None:
    vectors = encoder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), 2 * DIMENSIONS)
    halves = np.linalg.norm(vectors.reshape(-1, 2, DIMENSIONS), axis=2)
    assert halves == pytest.approx(np.full(halves.shape, 0.5**0.5), abs=1e-3)
    assert encoder.embed([]).shape == (0, 2 * DIMENSIONS)


def test_the_upper_layers_go_on_to_what_all_layers_in_one_graph_say_to_the_bit(
    encoder: PromptEncoder,
) -> None:
    file = E5File.installed()
    with np.load(MODEL / ADAPTER, allow_pickle=False) as adapter:
        whole = session(WHOLE.read_bytes(), dict(all_weights(file, adapter)))
    begun = [encoder.begin(text) for text in TEXTS]
    for text, one in zip(TEXTS, begun, strict=True):
        states = file.embedded(ends(file, text))[None]
        halves = whole.run(None, {"states": states})[0].reshape(2, DIMENSIONS)
        halves /= np.linalg.norm(halves, axis=1, keepdims=True)
        expected = halves.ravel() / np.float32(2**0.5)
        assert np.array_equal(encoder.finish(one), expected)
        assert np.array_equal(encoder.embed([text])[0], expected)


def test_a_long_text_is_read_at_both_ends() -> None:
    file = E5File.installed()
    text = " ".join(map(str, range(150)))
    ids, whole = ends(file, text), file.tokens(text, 8 * MOST_TOKENS)
    assert len(ids) == MOST_TOKENS
    assert ids[:8] == whole[:8]
    assert ids[-8:] == whole[-8:]


def test_eight_bits_come_within_half_a_step_of_the_matrix() -> None:
    matrix = np.random.default_rng(0).normal(size=(7, 30)).astype(np.float32)
    made = quantised(matrix)
    restored = (made["w"].astype(np.float32) * made["s"]).T
    assert np.abs(restored - matrix).max() <= made["s"].max() / 2 + 1e-6
    assert made["w"].flags["C_CONTIGUOUS"]
