"""What training yields, as one value that can be stored."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Weights:
    """The parameters of the two stages; the embedding's are None where there is no model."""

    stamp: str  # what they were learned from
    vocabulary: tuple[str, ...]
    rarity: np.ndarray  # (terms,)
    lexical: np.ndarray  # (features + 1, categories), divided by the temperature; last row: bias
    vectors: np.ndarray | None = None  # (examples, dimensions)
    full: np.ndarray | None = None  # (dimensions + features + 1, categories), likewise

    def dump(self) -> bytes:
        """The bytes of an npz file, without pickles."""
        arrays: dict[str, Any] = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if isinstance(getattr(self, field.name), np.ndarray)
        }
        words = json.dumps([self.stamp, self.vocabulary]).encode()
        buffer = io.BytesIO()
        np.savez_compressed(buffer, words=np.frombuffer(words, dtype=np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def load(cls, data: bytes) -> Weights | None:
        """What `dump` wrote; None if the bytes are anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            stamp, vocabulary = json.loads(arrays.pop("words").tobytes())
            found = cls(stamp=stamp, vocabulary=tuple(vocabulary), **arrays)
            return found if found.fits() else None
        except Exception:
            return None

    def fits(self) -> bool:
        """True if the shapes go together and every number is one."""
        categories = self.lexical.shape[1]
        sound = self.rarity.shape == (len(self.vocabulary),)
        sound &= self.lexical.ndim == 2 and self.lexical.shape[0] > len(self.vocabulary)
        sound &= (self.vectors is None) == (self.full is None)
        if self.vectors is not None and self.full is not None:
            both = self.vectors.shape[1] + self.lexical.shape[0]
            sound &= self.vectors.ndim == 2 and self.full.shape == (both, categories)
        arrays = (self.rarity, self.lexical, self.vectors, self.full)
        kinds = [array for array in arrays if array is not None]
        return bool(sound and all(a.dtype.kind == "f" and np.isfinite(a).all() for a in kinds))
