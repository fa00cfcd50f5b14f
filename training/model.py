"""multilingual-e5-small in JAX, with low-rank changes to be learned (Hu et al., LoRA, 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from training.graph import EPSILON
from vectorstore.e5 import DIMENSIONS, E5File
from vectorstore.prompt_encoder import HEAD, WIDTH, kept

Arrays = dict[str, Any]
SHAPES = {
    "q": (DIMENSIONS, DIMENSIONS),
    "k": (DIMENSIONS, DIMENSIONS),
    "v": (DIMENSIONS, DIMENSIONS),
    "ao": (DIMENSIONS, DIMENSIONS),
    "fi": (DIMENSIONS, WIDTH),
    "fo": (WIDTH, DIMENSIONS),
}
"""The matrices of a layer: inputs and outputs."""


def layers(file: E5File, count: int) -> list[Arrays]:
    """The weights of the first layers, matrices as (inputs, outputs)."""
    found = []
    for number in range(count):
        name = f"l{number}."
        weights = {
            part: file.matrix(f"{name}{part}.w", size).T for part, (size, _) in SHAPES.items()
        }
        rest = [*(f"{part}.b" for part in SHAPES), "aln.w", "aln.b", "oln.w", "oln.b"]
        weights |= {part: file.vector(name + part) for part in rest}
        found.append({part: jnp.array(value) for part, value in weights.items()})
    return found


@dataclass(frozen=True, slots=True)
class Narrow:
    """What is left of a layer, and what is changed about it."""

    heads: np.ndarray | None  # numbers of those that are kept, ascending; None: all
    neurons: np.ndarray | None  # likewise
    changes: Arrays  # by matrix: a pair of low rank
    vectors: Arrays  # in place of the model's

    def of(self, weights: Arrays) -> Arrays:
        """The rows and columns of a whole layer that are kept, with the vectors in place."""
        rows, inputs = kept(self.heads, self.neurons)
        found = {}
        for name, value in weights.items():
            part = name.partition(".")[0]
            cut = value[..., rows[part]] if part in rows else value
            found[name] = cut[inputs[part]] if name in inputs else cut
        return found | {name: jnp.array(value) for name, value in self.vectors.items()}

    def after(self, earlier: Arrays) -> Narrow:
        """The same with changes that the whole layer had before; the ranks add up."""
        rows, inputs = kept(self.heads, self.neurons)
        changes = {}
        for part, (down, up) in earlier.items():
            down = down[inputs[part]] if part in inputs else down
            up = up[:, rows[part]] if part in rows else up
            own = self.changes.get(part)
            both = (
                (down, up) if own is None else (np.hstack([down, own[0]]), np.vstack([up, own[1]]))
            )
            changes[part] = both
        return Narrow(self.heads, self.neurons, changes, self.vectors)


def changed(weights: Arrays, changes: Arrays) -> Arrays:
    """A layer's weights with its changes added."""
    return weights | {part: weights[part] + down @ up for part, (down, up) in changes.items()}


def begin(random: np.random.Generator, rank: int) -> Arrays:
    """The changes of a layer before any learning: none."""
    return {
        part: (
            jnp.array(random.normal(0, inputs**-0.5, (inputs, rank)), jnp.float32),
            jnp.zeros((rank, outputs)),
        )
        for part, (inputs, outputs) in SHAPES.items()
    }


def normal(states: Any, weight: Any, bias: Any) -> Any:
    """Layer normalisation."""
    mean = states.mean(-1, keepdims=True)
    variance = ((states - mean) ** 2).mean(-1, keepdims=True)
    return (states - mean) * jax.lax.rsqrt(variance + EPSILON) * weight + bias


def layer(weights: Arrays, states: Any, mask: Any, change: Arrays | None = None) -> Any:
    """One layer of the encoder: states (texts, tokens, 384), mask (texts, tokens)."""
    states = middle(weights, states, attended(weights, states, mask, change), change)
    return normal(
        states + times(weights, "fo", activated(weights, states, change), change),
        weights["oln.w"],
        weights["oln.b"],
    )


def times(weights: Arrays, part: str, inputs: Any, change: Arrays | None = None) -> Any:
    """The product with one of the layer's matrices."""
    outputs = inputs @ weights[part] + weights[f"{part}.b"]
    return outputs if change is None else outputs + inputs @ change[part][0] @ change[part][1]


def attended(weights: Arrays, states: Any, mask: Any, change: Arrays | None = None) -> Any:
    """What the attention heads put out, side by side."""
    texts, tokens, _ = states.shape
    q, k, v = (
        times(weights, part, states, change).reshape(texts, tokens, -1, HEAD) for part in "qkv"
    )
    fit = jnp.einsum("bthd,bshd->bhts", q, k) / np.sqrt(HEAD)
    fit = jax.nn.softmax(fit + jnp.where(mask, 0, -1e9)[:, None, None, :])
    return jnp.einsum("bhts,bshd->bthd", fit, v).reshape(texts, tokens, -1)


def middle(weights: Arrays, states: Any, seen: Any, change: Arrays | None = None) -> Any:
    """The states between attention and neurons."""
    states = states + times(weights, "ao", seen, change)
    return normal(states, weights["aln.w"], weights["aln.b"])


def activated(weights: Arrays, states: Any, change: Arrays | None = None) -> Any:
    """What the neurons put out."""
    return jax.nn.gelu(times(weights, "fi", states, change), approximate=False)


def pooled(states: Any, mask: Any) -> Any:
    """The direction of the mean over the tokens."""
    mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return mean / jnp.linalg.norm(mean, axis=1, keepdims=True)
