"""The result of training, as one value that can be stored."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

_TEXTS = ("stamp", "model", "names", "vocabulary", "keys")


@dataclass(frozen=True, slots=True)
class Weights:
    """The parameters of the two stages; the second one's are None if there is no model."""

    stamp: str  # identifies the training data
    model: str | None  # the embedding model's name
    names: tuple[str, ...]  # names of the categories
    vocabulary: tuple[str, ...]
    rarity: np.ndarray  # (terms,)
    lexical: np.ndarray  # (features + 1, categories), divided by the temperature; last row: bias
    keys: tuple[str, ...] = ()  # of the examples' texts
    vectors: np.ndarray | None = None  # (examples, dimensions) of length 1
    full: np.ndarray | None = None  # (dimensions + features + 1, categories), likewise

    def dump(self) -> bytes:
        """The bytes of an npz file, without pickles; vectors quantised to eight bits."""
        arrays: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        if self.vectors is not None:
            scales = np.maximum(np.abs(self.vectors).max(axis=1, keepdims=True), 1e-9) / 127
            arrays["vectors"] = np.round(self.vectors / scales).astype(np.int8)
            arrays["scales"] = scales.astype(np.float32)
        words = json.dumps([getattr(self, name) for name in _TEXTS]).encode()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, words=np.frombuffer(words, dtype=np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, data: bytes) -> Weights | None:
        """Restore what `dump` wrote; None if the bytes are anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            stamp, model, *texts = json.loads(arrays.pop("words").tobytes())
            if "vectors" in arrays:
                arrays["vectors"] = arrays["vectors"] * arrays.pop("scales")
            names, vocabulary, keys = map(tuple, texts)
            found = cls(
                stamp=stamp, model=model, names=names, vocabulary=vocabulary, keys=keys, **arrays
            )
            return found if found.fits() else None
        except Exception:
            return None

    def fits(self) -> bool:
        """Whether the shapes are consistent and every number is finite."""
        categories = len(self.names)
        sound = self.rarity.shape == (len(self.vocabulary),)
        sound &= self.lexical.ndim == 2 and self.lexical.shape[0] > len(self.vocabulary)
        sound &= self.lexical.shape[1] == categories
        sound &= (self.vectors is None) == (self.full is None)
        if self.vectors is not None and self.full is not None:
            both = self.vectors.shape[1] + self.lexical.shape[0]
            sound &= len(self.keys) == len(self.vectors)
            sound &= self.vectors.ndim == 2 and self.full.shape == (both, categories)
        arrays = (self.rarity, self.lexical, self.vectors, self.full)
        kinds = [array for array in arrays if array is not None]
        return bool(sound and all(a.dtype.kind == "f" and np.isfinite(a).all() for a in kinds))
