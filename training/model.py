"""multilingual-e5-small in JAX, with low-rank changes to be learned (Hu et al., LoRA, 2021)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from training.graph import EPSILON, HEADS
from vectorstore.e5 import DIMENSIONS, E5File
from vectorstore.prompt_encoder import WIDTH

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
    texts, tokens, _ = states.shape

    def times(inputs: Any, part: str) -> Any:
        outputs = inputs @ weights[part] + weights[f"{part}.b"]
        return outputs if change is None else outputs + inputs @ change[part][0] @ change[part][1]

    q, k, v = (times(states, part).reshape(texts, tokens, HEADS, -1) for part in "qkv")
    fit = jnp.einsum("bthd,bshd->bhts", q, k) / np.sqrt(DIMENSIONS // HEADS)
    fit = jax.nn.softmax(fit + jnp.where(mask, 0, -1e9)[:, None, None, :])
    seen = jnp.einsum("bhts,bshd->bthd", fit, v).reshape(texts, tokens, DIMENSIONS)
    states = normal(states + times(seen, "ao"), weights["aln.w"], weights["aln.b"])
    wide = jax.nn.gelu(times(states, "fi"), approximate=False)
    return normal(states + times(wide, "fo"), weights["oln.w"], weights["oln.b"])


def pooled(states: Any, mask: Any) -> Any:
    """The direction of the mean over the tokens."""
    mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return mean / jnp.linalg.norm(mean, axis=1, keepdims=True)
