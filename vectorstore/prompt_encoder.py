"""Embeddings of prompts for classification: multilingual-e5-small with adapted upper layers.

The adapter of those layers comes from the project's own training, see `training/`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vectorstore.e5 import DIMENSIONS, E5File

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LOWER, UPPER, ADAPTER = "lower.onnx", "upper.onnx", "adapter.npz"
CUT = 6
"""Layers of the lower graph: what they say is often enough, see `routing.classifier.early_exit`."""
MOST_TOKENS = 40
"""Longer texts are read at both ends. Bounds the cost of a prompt: 2 ms fixed and about 0.15 ms for
each token, on one thread. With 43 two more of 624 of our own prompts are right, one less of 872 by
writers left out, as many of the 372 public ones, of which one less is wrong at more than 0.9; with
36 five more of the public ones are wrong, with 72 two more are right."""
WIDTH = 4 * DIMENSIONS
"""Width of a feed-forward layer."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A text after the lower layers."""

    states: np.ndarray  # (1, tokens, 384)
    topic: np.ndarray  # (384,): the mean after the layers that are not adapted

    @property
    def middle(self) -> np.ndarray:
        """The direction of the states' mean over the tokens: float32, shape (384,)."""
        return _unit(self.states[0].mean(axis=0))


class PromptEncoder:
    """Embeddings of the intent (the adapted layers) and of the topic (the original ones below).

    Thread-safe: share one instance.
    """

    def __init__(
        self, file: E5File, lower: bytes, upper: bytes, adapter: Mapping[str, np.ndarray]
    ) -> None:
        self._file = file
        self.name = f"{adapter['stamp']}, {MOST_TOKENS} tokens"
        """Changes whenever the same prompt would get another vector."""
        weights = dict(all_weights(file, adapter))
        below = tuple(f"l{number}." for number in range(CUT))
        first = {name: one for name, one in weights.items() if name.startswith((*below, "emb."))}
        self._lower = session(lower, first)
        self._upper = session(upper, {k: v for k, v in weights.items() if k not in first})

    @classmethod
    def load(cls, folder: Path) -> PromptEncoder:
        """From the trained files in `folder` and the installed model (0.5 s, 90 MB).

        Raises StorageError with the fix if the model is missing.
        """
        with np.load(folder / ADAPTER, allow_pickle=False) as arrays:
            adapter = dict(arrays)
        lower, upper = ((folder / name).read_bytes() for name in (LOWER, UPPER))
        return cls(E5File.installed(), lower, upper, adapter)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32, shape (texts, 768): the intent, then the topic, one half each."""
        rows = [self.finish(self.begin(text)) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(-1, 2 * DIMENSIONS)

    def begin(self, text: str) -> Begun:
        """Run the lower layers."""
        states = self._file.embedded(ends(self._file, text))[None].astype(np.float32)
        found, topic = self._lower.run(None, {"states": states})
        return Begun(found, topic[0])

    def finish(self, begun: Begun) -> np.ndarray:
        """Run the upper layers: the text's row of `embed`."""
        asked = self._upper.run(None, {"states": begun.states})[0][0]
        halves = np.concatenate([_unit(asked), _unit(begun.topic)])
        vector: np.ndarray = halves / np.float32(math.sqrt(2))
        return vector


def _unit(row: np.ndarray) -> np.ndarray:
    unit: np.ndarray = row / np.maximum(np.linalg.norm(row, axis=0, keepdims=True), 1e-12)
    return unit


def session(graph: bytes, weights: Mapping[str, np.ndarray]) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Higher levels would fuse additions with normalisations, which then take six times as long.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
    options.add_external_initializers(list(weights), values)
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def ends(file: E5File, text: str) -> list[int]:
    """The tokens of a text that are read: all, or two thirds from its beginning and the rest from
    its end."""
    ids = file.tokens(text, 8 * MOST_TOKENS)
    if len(ids) <= MOST_TOKENS:
        return ids
    tail = MOST_TOKENS // 3
    return [*ids[: MOST_TOKENS - tail], *ids[-tail:]]


def all_weights(
    file: E5File, adapter: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """All tensors of the graph by name, from the model's file and the adapter."""
    for part in ("emb.ln.w", "emb.ln.b"):
        yield part, file.vector(part)
    for layer in range(int(adapter["layers"])):
        for name, parts, inputs in (
            ("qkv", ("q", "k", "v"), DIMENSIONS),
            ("ao", ("ao",), DIMENSIONS),
            ("fi", ("fi",), DIMENSIONS),
            ("fo", ("fo",), WIDTH),
        ):
            rows = [_adapted(file, adapter, f"l{layer}.{part}", inputs) for part in parts]
            biases = [file.vector(f"l{layer}.{part}.b") for part in parts]
            yield f"l{layer}.{name}.b", np.concatenate(biases)
            for part, value in quantised(np.concatenate(rows)).items():
                yield f"l{layer}.{name}.{part}", value
        for part in ("aln.w", "aln.b", "oln.w", "oln.b"):
            yield f"l{layer}.{part}", file.vector(f"l{layer}.{part}")


def _adapted(file: E5File, adapter: Mapping[str, np.ndarray], name: str, inputs: int) -> np.ndarray:
    """A matrix (outputs, inputs) with its low-rank change, if it has one."""
    matrix = file.matrix(f"{name}.w", inputs)
    if f"{name}.down" in adapter:
        down, up = (adapter[f"{name}.{part}"].astype(np.float32) for part in ("down", "up"))
        matrix = matrix + (down @ up).T
    return matrix


def quantised(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """A matrix (outputs, inputs) in eight bits with a scale for each output."""
    scales = np.maximum(np.abs(matrix).max(axis=1), 1e-9) / 127
    whole = np.round(matrix / scales[:, None]).astype(np.int8)
    return {
        "w": np.ascontiguousarray(whole.T),
        "s": scales.astype(np.float32),
        "z": np.zeros(len(matrix), dtype=np.int8),
    }
