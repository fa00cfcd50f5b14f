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
"""Neurons of a feed-forward layer, before any were pruned."""
HEADS, HEAD = 12, 32
"""Attention heads of a layer, before any were pruned, and the dimensions of each."""


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
    for number in range(int(adapter["layers"])):
        layer = _Layer(file, adapter, f"l{number}.")
        for name, parts in (("qkv", "qkv"), ("ao", ("ao",)), ("fi", ("fi",)), ("fo", ("fo",))):
            yield f"l{number}.{name}.b", np.concatenate([layer.vector(f"{p}.b") for p in parts])
            matrix = np.concatenate([layer.matrix(part) for part in parts])
            for part, value in quantised(matrix).items():
                yield f"l{number}.{name}.{part}", value
        for part in ("aln.w", "aln.b", "oln.w", "oln.b"):
            yield f"l{number}.{part}", layer.vector(part)


class _Layer:
    """The tensors of one layer: what is kept of the model's, with the adapter's changes."""

    def __init__(self, file: E5File, adapter: Mapping[str, np.ndarray], name: str) -> None:
        self._file, self._adapter, self._name = file, adapter, name
        self._rows, self._inputs = kept(adapter.get(f"{name}heads"), adapter.get(f"{name}wide"))

    def matrix(self, part: str) -> np.ndarray:
        """A matrix (outputs, inputs) with its low-rank change, if it has one."""
        name = self._name + part
        matrix = self._file.matrix(f"{name}.w", WIDTH if part == "fo" else DIMENSIONS)
        matrix = matrix[self._rows.get(part, slice(None))][:, self._inputs.get(part, slice(None))]
        if f"{name}.down" in self._adapter:
            down, up = (self._adapter[f"{name}.{x}"].astype(np.float32) for x in ("down", "up"))
            matrix = matrix + (down @ up).T
        return matrix

    def vector(self, part: str) -> np.ndarray:
        """A vector: the adapter's, if it has one."""
        name = self._name + part
        if name in self._adapter:
            return self._adapter[name].astype(np.float32)
        vector = self._file.vector(name)
        return vector[self._rows.get(part.partition(".")[0], slice(None))]


def kept(
    heads: np.ndarray | None, wide: np.ndarray | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Which outputs and which inputs of a layer's matrices are left, by the numbers of the heads
    and neurons that are kept; matrices that are whole are missing."""
    rows: dict[str, np.ndarray] = {}
    inputs: dict[str, np.ndarray] = {}
    if heads is not None:
        inputs["ao"] = (heads.astype(int)[:, None] * HEAD + np.arange(HEAD)).ravel()
        rows |= dict.fromkeys("qkv", inputs["ao"])
    if wide is not None:
        rows["fi"] = inputs["fo"] = wide.astype(int)
    return rows, inputs


def quantised(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """A matrix (outputs, inputs) in eight bits with a scale for each output."""
    scales = np.maximum(np.abs(matrix).max(axis=1), 1e-9) / 127
    whole = np.round(matrix / scales[:, None]).astype(np.int8)
    return {
        "w": np.ascontiguousarray(whole.T),
        "s": scales.astype(np.float32),
        "z": np.zeros(len(matrix), dtype=np.int8),
    }
