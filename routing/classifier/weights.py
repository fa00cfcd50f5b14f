"""The result of training, as one value that can be stored."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from routing.classifier.early_exit import EarlyWeights

_SECOND, _EARLY = ("vectors", "full"), ("early_decide", "early_down", "early_up")
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
    # Of the early exit; categories that were not shipped have none.
    early_decide: np.ndarray | None = None  # (states + categories + 1, categories), likewise
    early_down: np.ndarray | None = None  # (states + 1, rank); last row: bias
    early_up: np.ndarray | None = None  # (rank, dimensions / 2)

    @property
    def early(self) -> EarlyWeights | None:
        """What decides halfway through the encoder, if that was learned."""
        if self.early_decide is None or self.early_down is None or self.early_up is None:
            return None
        return EarlyWeights(self.early_decide, self.early_down, self.early_up)

    def without_model(self) -> Weights:
        """The first stage alone."""
        nothing = dict.fromkeys((*_SECOND, *_EARLY))
        return replace(self, keys=(), **nothing)  # type: ignore[arg-type]

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
        early = [array for name in _EARLY if (array := getattr(self, name)) is not None]
        sound &= not early or self._exits(*early)
        arrays = (self.rarity, self.lexical, self.vectors, self.full, *early)
        kinds = [array for array in arrays if array is not None]
        return bool(sound and all(a.dtype.kind == "f" and np.isfinite(a).all() for a in kinds))

    def _exits(self, *early: np.ndarray) -> bool:
        if len(early) < len(_EARLY) or self.vectors is None:
            return False
        decide, down, up = early
        categories, width = len(self.names), self.vectors.shape[1] // 2
        sound = all(array.ndim == 2 for array in early)
        return bool(
            sound
            and decide.shape == (down.shape[0] + categories, categories)
            and up.shape == (down.shape[1], width)
        )
