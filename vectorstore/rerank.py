"""The cross-encoder re-ranker: ms-marco-MiniLM-L12, int8. Better order, dearer by far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vectorstore.onnx_model import OnnxModel, model_folder


class Reranker:
    """Scores a question together with each passage. Thread-safe."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model

    @classmethod
    def load(cls, threads: int = 1) -> Reranker:
        """Load the model; StorageError with the mend if its files are missing."""
        return cls(OnnxModel(model_folder("reranker_en"), threads))

    def score(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """The log-odds, for each text, that it answers the question: shape (len(texts),).

        About 40 ms of CPU for each text of 800 characters.
        """
        logits = [self._model.run(self._model.encode(question, text))[0] for text in texts]
        return np.array(logits, dtype=np.float32)
