"""Learns what changes in the encoder's upper layers, so that its vectors say what is asked.

Two targets: the category, and the intent, which keeps apart what the categories lump together (a
new category will need that). Tokens are dropped at random, so that no single word decides.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from routing.classifier.features import divide, view
from training.data import Prompt
from training.model import Arrays, begin, layer, layers, normal, pooled
from vectorstore.e5 import DIMENSIONS, E5File
from vectorstore.prompt_encoder import ends

BATCH = 32
SHARPNESS = 16.0
"""The vectors have length 1; the logits are as many times larger."""
_KEPT = 1  # tokens at the beginning that are never dropped: the mark of the beginning
_WIDE = 8  # lengths are rounded up to multiples, for each is compiled


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained, and how long."""

    topic: int = 4  # layers below that stay as they are
    layers: int = 12
    rank: int = 16
    epochs: int = 3
    rate: float = 1e-3
    intent: float = 0.3  # weight of the second target
    dropped: float = 0.1  # share of the tokens
    smooth: float = 0.05
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was learned: a change for each upper layer, and the category's weights on vectors."""

    changes: list[Arrays]
    category: np.ndarray  # (384 + 1, categories) on vectors of length SHARPNESS; last row: bias
    intent: np.ndarray  # (384 + 1, intents) likewise
    intents: tuple[str, ...]
    plan: Plan

    def dump(self) -> bytes:
        """An npz file."""
        arrays = {
            f"{number}.{part}.{place}": value
            for number, changes in enumerate(self.changes)
            for part, pair in changes.items()
            for place, value in enumerate(pair)
        }
        words = json.dumps([self.intents, asdict(self.plan)]).encode()
        buffer = io.BytesIO()
        np.savez(
            buffer,
            words=np.frombuffer(words, dtype=np.uint8),
            category=self.category,
            intent=self.intent,
            **arrays,
        )
        return buffer.getvalue()

    @classmethod
    def load(cls, data: bytes) -> Tuned:
        """What `dump` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        intents, plan = json.loads(arrays.pop("words").tobytes())
        category, intent = arrays.pop("category"), arrays.pop("intent")
        changes: list[Arrays] = [{} for _ in range(plan["layers"] - plan["topic"])]
        for number, part in {tuple(name.split(".")[:2]) for name in arrays}:
            pair = (arrays[f"{number}.{part}.{place}"] for place in range(2))
            changes[int(number)][part] = tuple(pair)
        return cls(changes, category, intent, tuple(intents), Plan(**plan))

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """Of the categories, by vectors of length 1."""
        found: np.ndarray = SHARPNESS * vectors @ self.category[:-1] + self.category[-1]
        return found


class Tuner:
    """Holds the states below the trained layers, which never change."""

    def __init__(self, file: E5File, plan: Plan) -> None:
        self._file, self._plan = file, plan
        weights = layers(file, plan.layers)
        self._upper = weights[plan.topic :]
        first = [jnp.array(file.vector(f"emb.ln.{part}")) for part in "wb"]

        def below(states: Any, mask: Any) -> Any:
            states = normal(states, *first)
            for one in weights[: plan.topic]:
                states = layer(one, states, mask)
            return states

        self._below = jax.jit(below)
        self._vectors = jax.jit(self._above)

    def states(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Each text's tokens after the untouched layers, float16 (tokens, 384)."""
        tokens = [ends(self._file, view(divide(one))) for one in texts]
        embedded = [self._file.embedded(ids) for ids in tokens]
        found: list[np.ndarray] = [np.empty(0)] * len(texts)
        for rows in _alike(np.argsort([len(one) for one in embedded], kind="stable")):
            states = np.array(self._below(*_batch(embedded, rows)))
            for place, row in enumerate(rows):
                found[row] = states[place, : len(embedded[row])].astype(np.float16)
        return found

    def tune(
        self,
        prompts: Sequence[Prompt],
        names: Sequence[str],
        start: Tuned | None = None,
        *,
        report: Callable[[int, Tuned], None],
    ) -> Tuned:
        """Learn from these prompts, going on from `start`; `report` hears of each epoch's end."""
        plan, random = self._plan, np.random.default_rng(self._plan.seed)
        states = self.states([one.prompt for one in prompts])
        classes = np.array([names.index(one.category) for one in prompts])
        intents = sorted({f"{one.category}/{one.intent}" for one in prompts})
        kinds = np.array([intents.index(f"{one.category}/{one.intent}") for one in prompts])
        importance = np.sqrt(len(classes) / (len(names) * np.bincount(classes)))[classes]
        learned = _begun(plan, len(self._upper), len(names), intents, start, random)
        zero = jax.tree.map(jnp.zeros_like, learned)
        memory, number = (zero, zero), 0
        total = plan.epochs * math.ceil(len(prompts) / BATCH)
        step = jax.jit(self._step)
        for epoch in range(plan.epochs):
            for rows in _shuffled(states, random):
                number += 1
                rate = plan.rate * min(1, 10 * number / total) * max(0.02, 1 - number / total)
                batch = _batch(states, rows, random, plan.dropped)
                target = (classes[rows], kinds[rows], importance[rows].astype(np.float32))
                learned, memory, _ = step(learned, memory, number, rate, batch, target)
            values = jax.tree.map(np.array, learned)
            tuned = Tuned(**values, intents=tuple(intents), plan=plan)
            report(epoch, tuned)
        return tuned

    def vectors(self, tuned: Tuned, texts: Sequence[str]) -> np.ndarray:
        """What is asked by these texts, in full precision: (texts, 384) of length 1."""
        states = self.states(texts)
        found = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        for rows in _alike(np.argsort([len(one) for one in states], kind="stable")):
            found[rows] = np.array(self._vectors(tuned.changes, *_batch(states, rows)))
        return found

    def _above(self, changes: list[Arrays], states: Any, mask: Any) -> Any:
        for weights, change in zip(self._upper, changes, strict=True):
            states = layer(weights, states, mask, change)
        return pooled(states, mask)

    def _loss(self, learned: Arrays, batch: tuple[Any, Any], target: tuple[Any, Any, Any]) -> Any:
        vectors = self._above(learned["changes"], *batch)
        category, intent, weight = target
        plan = self._plan
        lost = _cross_entropy(vectors, learned["category"], category, plan.smooth)
        lost += plan.intent * _cross_entropy(vectors, learned["intent"], intent, 2 * plan.smooth)
        return (weight * lost).sum() / weight.sum()

    def _step(
        self, learned: Arrays, memory: Any, number: Any, rate: Any, batch: Any, target: Any
    ) -> tuple[Arrays, Any, Any]:
        """One step of AdamW (Loshchilov and Hutter, 2019), the gradient clipped to length 1."""
        lost, slope = jax.value_and_grad(self._loss)(learned, batch, target)
        length = jnp.sqrt(sum((one**2).sum() for one in jax.tree.leaves(slope)))
        slope = jax.tree.map(lambda one: one * jnp.minimum(1, 1 / length), slope)
        first = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, memory[0], slope)
        second = jax.tree.map(lambda old, new: 0.98 * old + 0.02 * new**2, memory[1], slope)

        def moved(weight: Any, mean: Any, square: Any) -> Any:
            way = mean / (1 - 0.9**number) / (jnp.sqrt(square / (1 - 0.98**number)) + 1e-8)
            return weight - rate * (way + 0.01 * weight)

        return jax.tree.map(moved, learned, first, second), (first, second), lost


def _begun(
    plan: Plan,
    upper: int,
    categories: int,
    intents: Sequence[str],
    start: Tuned | None,
    random: np.random.Generator,
) -> Arrays:
    """What learning begins with: nothing, or what `start` has learned."""
    learned: Arrays = {
        "changes": [begin(random, plan.rank) for _ in range(upper)],
        "category": np.zeros((DIMENSIONS + 1, categories), dtype=np.float32),
        "intent": np.zeros((DIMENSIONS + 1, len(intents)), dtype=np.float32),
    }
    if start is not None:
        learned |= {"changes": start.changes, "category": start.category}
        for column, name in enumerate(intents):
            if name in start.intents:
                learned["intent"][:, column] = start.intent[:, start.intents.index(name)]
    return jax.tree.map(jnp.array, learned)  # type: ignore[no-any-return]


def _cross_entropy(vectors: Any, weights: Any, classes: Any, smooth: float) -> Any:
    logits = SHARPNESS * vectors @ weights[:-1] + weights[-1]
    count = logits.shape[1]
    target = jax.nn.one_hot(classes, count) * (1 - smooth) + smooth / count
    return -(target * jax.nn.log_softmax(logits)).sum(-1)


def _shuffled(states: Sequence[np.ndarray], random: np.random.Generator) -> Iterator[np.ndarray]:
    """Batches in random order, each of texts of like length."""
    order, batches = random.permutation(len(states)), []
    for start in range(0, len(order), 8 * BATCH):
        some = order[start : start + 8 * BATCH]
        some = some[np.argsort([len(states[row]) for row in some], kind="stable")]
        batches += _alike(some)
    for number in random.permutation(len(batches)):
        yield batches[number]


def _alike(order: np.ndarray) -> list[np.ndarray]:
    return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]


def _batch(
    states: Sequence[np.ndarray],
    rows: np.ndarray,
    random: np.random.Generator | None = None,
    dropped: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """States and mask of some texts, padded."""
    longest = max(len(states[row]) for row in rows)
    length = math.ceil(longest / _WIDE) * _WIDE
    batch = np.zeros((len(rows), length, DIMENSIONS), dtype=np.float32)
    mask = np.zeros((len(rows), length), dtype=np.float32)
    for place, row in enumerate(rows):
        one = states[row]
        batch[place, : len(one)], mask[place, : len(one)] = one, 1
        if random is not None and len(one) > 6 * _KEPT:
            mask[place, _KEPT : len(one)] *= random.random(len(one) - _KEPT) >= dropped
    return batch, mask
