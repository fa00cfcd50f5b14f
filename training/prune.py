"""Makes the encoder narrower by the attention heads and neurons that the others can replace.

Layer by layer from the bottom, on prompts of the training: what is left of a layer is fitted by
least squares to what the whole encoder makes of the same prompts, and so mends the layers below it
too. Those go first whose loss raises the error least once the rest is fitted, as in "optimal brain
surgeon" (Hassibi and Stork, 1993).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from training.data import Prompt
from training.finetune import Tuned, alike, batch, embedded
from training.model import Arrays, Narrow, activated, attended, changed, layers, normal, times
from vectorstore.e5 import E5File
from vectorstore.prompt_encoder import HEAD, HEADS, WIDTH

RIDGE = 3e-3
"""How strongly a fit is held to the original weights, in mean variances of its inputs."""
WIDTHS = (*[(12, 640)] * 2, *[(12, 1408)] * 2, *[(9, 704)] * 4, *[(9, 768)] * 4)
"""Heads and neurons that are kept of each layer, of 12 and 1,536: 64% of all weights."""
RANK = 32
"""Of the changes that are fitted, beside those that were tuned."""
FITTED = 2000
"""Prompts that the fit is made on. With 700 and rank 48 it follows its own prompts more closely,
and those of writers that were left out less."""
_FOREIGN = FITTED * 4 // 7  # of them, not in English
_AT_ONCE = 64  # neurons that go between two fits

_attended, _activated, _normal = jax.jit(attended), jax.jit(activated), jax.jit(normal)
_times = jax.jit(times, static_argnames="part")


@dataclass(slots=True)
class Stream:
    """The states of some texts on their way up, through the whole encoder and through what is left
    of it; both begin with the normalised embedded tokens."""

    mask: np.ndarray
    whole: Any
    left: Any

    def off(self) -> np.ndarray:
        """Squares of the difference, and of the whole."""
        mask = self.mask[..., None]
        pair = (self.whole - self.left, self.whole)
        return np.array([float(((one * mask) ** 2).sum()) for one in pair])


@dataclass(frozen=True, slots=True)
class _Fitted:
    """What replaces a matrix: the inputs that are kept, a change of these rows, and the bias."""

    rows: np.ndarray
    change: tuple[np.ndarray, np.ndarray]
    bias: np.ndarray

    def matrix(self, whole: Any) -> Any:
        down, up = self.change
        return jnp.array(np.asarray(whole)[self.rows] + down @ up)


def narrowed(file: E5File, tuned: Tuned, prompts: Sequence[Prompt]) -> list[Narrow]:
    """What is left of the tuned encoder, fitted on some of these prompts."""
    plain, topic = layers(file, tuned.plan.layers), tuned.plan.topic
    upper = zip(plain[topic:], tuned.changes, strict=True)
    whole = [*plain[:topic], *(changed(*one) for one in upper)]
    first = [file.vector(f"emb.ln.{part}") for part in "wb"]
    tokens = embedded(file, [one.prompt for one in _chosen(prompts)])
    streams = []
    for rows in alike(tokens):
        states, mask = batch(tokens, rows)
        states = _normal(states, *first)
        streams.append(Stream(mask, states, states))
    found = prune(whole, WIDTHS[: len(whole)], RANK, topic, streams)
    return found[:topic] + [
        one.after(earlier) for one, earlier in zip(found[topic:], tuned.changes, strict=True)
    ]


def _chosen(prompts: Sequence[Prompt]) -> list[Prompt]:
    mixed = [prompts[row] for row in np.random.default_rng(0).permutation(len(prompts))]
    foreign = [one for one in mixed if one.lang != "en"][:_FOREIGN]
    return foreign + [one for one in mixed if one.lang == "en"][: FITTED - len(foreign)]


def prune(
    layers: Sequence[Arrays],
    widths: Sequence[tuple[int, int]],
    rank: int,
    mended: int,
    streams: Sequence[Stream],
) -> list[Narrow]:
    """Keep so many heads and neurons of each layer.

    What is fitted are changes of this rank to the matrices behind them, and their biases: where
    something goes, and in every layer from number `mended` on.
    """
    found = []
    for number, (weights, (heads, neurons)) in enumerate(zip(layers, widths, strict=True)):
        parts = {"ao": ("aln", HEAD, heads, HEADS), "fo": ("oln", 1, neurons, WIDTH)}
        fitted = {}
        for part, (norm, block, keep, all_) in parts.items():
            half = _Half(weights, part, norm, block)
            if keep < all_ or number >= mended:
                fitted[part] = half.pruned(streams, keep, rank)
            else:
                half.passed(streams)
        found.append(_narrow(fitted))
        off, size = np.sum([one.off() for one in streams], axis=0)
        print(f"layer {number + 1} narrowed: {off / size:.3f} of the states off", flush=True)
    return found


def _narrow(fitted: Mapping[str, _Fitted]) -> Narrow:
    rows = {part: one.rows for part, one in fitted.items()}
    heads = rows["ao"][::HEAD] // HEAD if "ao" in rows else None
    return Narrow(
        heads=None if heads is None or len(heads) == HEADS else heads,
        neurons=None if len(rows.get("fo", range(WIDTH))) == WIDTH else rows["fo"],
        changes={part: one.change for part, one in fitted.items()},
        vectors={f"{part}.b": one.bias for part, one in fitted.items()},
    )


@dataclass(frozen=True, slots=True)
class _Half:
    """Half a layer: from the states to `matrix` and to the normalisation behind it."""

    weights: Arrays
    matrix: str
    normal: str
    block: int  # inputs of the matrix that are kept or go together

    def pruned(self, streams: Sequence[Stream], keep: int, rank: int) -> _Fitted:
        """Keep so many blocks, and bring the streams to the end of this half."""
        inputs = self._ahead(streams)
        moments = _Moments.of(inputs, streams)
        scale = np.asarray(self.weights[f"{self.normal}.w"], dtype=np.float64)
        matrix = np.asarray(self.weights[self.matrix])
        fitted = moments.fitted(matrix.astype(np.float64), scale, keep, self.block, rank)
        left = [one[..., fitted.rows] for one in inputs]
        self._behind(streams, left, fitted.matrix(matrix), fitted.bias)
        return fitted

    def passed(self, streams: Sequence[Stream]) -> None:
        """Bring the streams to the end of this half, of which everything is kept."""
        bias = self.weights[f"{self.matrix}.b"]
        self._behind(streams, self._ahead(streams), self.weights[self.matrix], bias)

    def _ahead(self, streams: Sequence[Stream]) -> list[Any]:
        """The matrix' inputs by what is left; the whole states move on."""
        for one in streams:
            inside = self._inputs(one.whole, one.mask)
            one.whole = one.whole + _times(self.weights, self.matrix, inside)
        return [self._inputs(one.left, one.mask) for one in streams]

    def _behind(
        self, streams: Sequence[Stream], inputs: Sequence[Any], matrix: Any, bias: Any
    ) -> None:
        normal = [self.weights[f"{self.normal}.{part}"] for part in "wb"]
        for one, inside in zip(streams, inputs, strict=True):
            one.whole = _normal(one.whole, *normal)
            one.left = _normal(one.left + inside @ matrix + bias, *normal)

    def _inputs(self, states: Any, mask: np.ndarray) -> Any:
        if self.matrix == "ao":
            return _attended(self.weights, states, mask)
        return _activated(self.weights, states)


@dataclass(frozen=True, slots=True)
class _Moments:
    """Means and covariances of a matrix' inputs, and with what it should put out."""

    inputs: np.ndarray  # (n, n)
    both: np.ndarray  # (n, outputs)
    mean: np.ndarray
    wanted: np.ndarray  # (outputs,): mean

    @classmethod
    def of(cls, inputs: Sequence[Any], streams: Sequence[Stream]) -> _Moments:
        """What is wanted brings the states that are left to those of the whole."""
        sums: list[np.ndarray] = []
        for inside, one in zip(inputs, streams, strict=True):
            parts = _sums(inside, one.whole - one.left, one.mask)
            wide = [np.asarray(part, dtype=np.float64) for part in parts]
            sums = [a + b for a, b in zip(sums, wide, strict=True)] if sums else wide
        square, both, first, second, count = sums
        mean, wanted = first / count, second / count
        return cls(
            square / count - np.outer(mean, mean),
            both / count - np.outer(mean, wanted),
            mean,
            wanted,
        )

    def fitted(
        self, matrix: np.ndarray, scale: np.ndarray, keep: int, block: int, rank: int
    ) -> _Fitted:
        """Keep so many blocks of inputs; `scale` says how much each output matters."""
        ridge = RIDGE * np.trace(self.inputs) / len(self.inputs)
        square = self.inputs + ridge * np.eye(len(self.inputs))
        target = self.both + ridge * matrix
        rows, inverse = np.arange(len(square)), np.linalg.inv(square)
        while len(rows) > keep * block:
            weights = inverse @ target[rows]
            if block == 1:
                away = _least_neurons(weights * scale, inverse, min(_AT_ONCE, len(rows) - keep))
            else:
                away = _least_block(weights * scale, inverse, block)
            rest = np.setdiff1d(np.arange(len(rows)), away)
            inverse, rows = _without(inverse, rest, away), rows[rest]
        change = inverse @ target[rows] - matrix[rows]
        pair = _low_rank(change, square[np.ix_(rows, rows)], scale, rank)
        down, up = (one.astype(np.float32) for one in pair)
        bias = self.wanted - self.mean[rows] @ (matrix[rows] + down @ up)
        return _Fitted(rows, (down, up), bias.astype(np.float32))


@jax.jit
def _sums(inputs: Any, wanted: Any, mask: Any) -> tuple[Any, ...]:
    mask = mask.reshape(-1, 1)
    inputs = inputs.reshape(len(mask), -1) * mask
    wanted = wanted.reshape(len(mask), -1) * mask
    return inputs.T @ inputs, inputs.T @ wanted, inputs.sum(0), wanted.sum(0), mask.sum()


def _least_neurons(weights: np.ndarray, inverse: np.ndarray, count: int) -> np.ndarray:
    """The inputs whose loss costs least, each by itself."""
    found: np.ndarray = np.argsort((weights**2).sum(axis=1) / np.diag(inverse))[:count]
    return found


def _least_block(weights: np.ndarray, inverse: np.ndarray, block: int) -> np.ndarray:
    """The block of inputs whose loss costs least."""
    blocks = np.arange(len(weights)).reshape(-1, block)
    costs = [
        float((weights[one] * np.linalg.solve(inverse[np.ix_(one, one)], weights[one])).sum())
        for one in blocks
    ]
    found: np.ndarray = blocks[int(np.argmin(costs))]
    return found


def _without(inverse: np.ndarray, rest: np.ndarray, away: np.ndarray) -> np.ndarray:
    """The inverse of the matrix without some rows and columns, from that with them."""
    between = inverse[np.ix_(rest, away)]
    lost = between @ np.linalg.solve(inverse[np.ix_(away, away)], between.T)
    found: np.ndarray = inverse[np.ix_(rest, rest)] - lost
    return found


def _low_rank(
    change: np.ndarray, square: np.ndarray, scale: np.ndarray, rank: int
) -> tuple[np.ndarray, np.ndarray]:
    """The two factors of this rank that do most of what a change does to inputs like these."""
    root = np.linalg.cholesky(square).T
    left, sizes, right = np.linalg.svd(root @ (change * scale), full_matrices=False)
    halves = np.sqrt(sizes[:rank])
    down: np.ndarray = np.linalg.solve(root, left[:, :rank] * halves)
    up: np.ndarray = halves[:, None] * right[:rank] / scale
    return down, up
