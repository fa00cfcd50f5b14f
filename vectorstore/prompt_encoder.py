"""Embeddings of prompts for classification: multilingual-e5-small with adapted upper layers.

The adapter of those layers comes from the project's own training, see `training/`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from vectorstore.e5 import DIMENSIONS, E5File

GRAPH, ADAPTER = "encoder.onnx", "adapter.npz"
MOST_TOKENS = 48
"""Longer texts are read at both ends. Bounds the cost of a prompt: 2 ms fixed and about 0.15 ms for
each token, on one thread. With 72, two of 372 public prompts more are classified correctly; with
40, four fewer."""
WIDTH = 4 * DIMENSIONS
"""Width of a feed-forward layer."""


class PromptEncoder:
    """Embeddings of the intent (the adapted layers) and of the topic (the original ones below).

    Thread-safe: share one instance.
    """

    def __init__(self, file: E5File, graph: bytes, adapter: Mapping[str, np.ndarray]) -> None:
        import onnxruntime

        self._file = file
        self.name = str(adapter["stamp"])
        """Changes whenever the same prompt would get another vector."""
        weights = dict(_weights(file, adapter))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Higher levels would fuse additions with normalisations, which then take six times as long.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
        options.add_external_initializers(list(weights), values)
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )

    @classmethod
    def load(cls, folder: Path) -> PromptEncoder:
        """From the trained files in `folder` and the installed model (0.5 s, 90 MB).

        Raises StorageError with the fix if the model is missing.
        """
        with np.load(folder / ADAPTER, allow_pickle=False) as arrays:
            adapter = dict(arrays)
        return cls(E5File.installed(), (folder / GRAPH).read_bytes(), adapter)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32, shape (texts, 768): the intent, then the topic, one half each."""
        rows = [self._vector(text) for text in texts]
        vectors = np.array(rows, dtype=np.float32).reshape(-1, 2, DIMENSIONS)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=2, keepdims=True), 1e-12)
        return vectors.reshape(-1, 2 * DIMENSIONS) / np.float32(math.sqrt(2))

    def _vector(self, text: str) -> np.ndarray:
        states = self._file.embedded(ends(self._file, text))[None].astype(np.float32)
        vector: np.ndarray = self._session.run(None, {"states": states})[0][0]
        return vector


def ends(file: E5File, text: str) -> list[int]:
    """The tokens of a text that are read: all, or two thirds from its beginning and the rest from
    its end."""
    ids = file.tokens(text, 8 * MOST_TOKENS)
    if len(ids) <= MOST_TOKENS:
        return ids
    tail = MOST_TOKENS // 3
    return [*ids[: MOST_TOKENS - tail], *ids[-tail:]]


def _weights(file: E5File, adapter: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
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
