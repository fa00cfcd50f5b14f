"""Sentence embeddings: bge-small-en-v1.5, int8, on the CPU, with nothing to download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from vectorstore.onnx_model import MAX_TOKENS, OnnxModel, model_folder

DIMENSIONS = 384
MODEL = "bge-small-en-v1.5"
QUERY_PREFIX = "Represent this sentence for searching relevant passages: "
"""The instruction that the model was trained with for questions (BAAI, FlagEmbedding README)."""


class Embedder:
    """Turns texts into unit vectors. Thread-safe: share one instance."""

    name = MODEL

    def __init__(self, model: OnnxModel) -> None:
        self._model = model

    @classmethod
    def load(cls, threads: int = 1) -> Embedder:
        """Load the model (0.15 s, 100 MB); StorageError with the mend if its files are missing."""
        return cls(OnnxModel(model_folder("bge_small_en"), threads))

    def embed(
        self,
        texts: Sequence[str],
        kind: Literal["plain", "query"] = "plain",
        max_tokens: int = MAX_TOKENS,
    ) -> np.ndarray:
        """L2-normalised float32 vectors, one row a text: shape (len(texts), 384).

        `query` puts the model's retrieval instruction before each text. Texts longer than
        `max_tokens` are truncated; fewer tokens are faster (2 ms for 10, 29 ms for 200).
        """
        prefix = QUERY_PREFIX if kind == "query" else ""
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            states = self._model.run(self._model.encode(prefix + text), max_tokens)
            vectors[row] = states[0]  # the [CLS] token's state: bge's pooling
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors
