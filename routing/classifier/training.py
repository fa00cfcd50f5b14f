"""Learns the weights of the classifier from the categories' examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from config.models import Category
from routing.classifier.features import view
from routing.classifier.learning import Problem, fit, held_out, temperature
from routing.classifier.reader import Reader
from routing.classifier.weights import Weights

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to L2-normalised float32 vectors, one row a text; plain, without a query prefix."""
STRENGTH = 0.25
"""Inverse variance of the prior on the weights."""
FOLDS = 6
_VERSION = 3  # of the features; raise it whenever a stored weight would mean something else


@dataclass(frozen=True, slots=True)
class Example:
    text: str
    category: str
    intent: str


def examples(categories: Mapping[str, Category]) -> list[Example]:
    """Every example with its category and intent, in the order of the configuration."""
    found = []
    for name, category in categories.items():
        grouped = category.examples
        intents = grouped if isinstance(grouped, dict) else {name: grouped}
        found += [Example(t, name, i) for i, texts in intents.items() for t in texts]
    return found


def stamp(categories: Mapping[str, Category], model: str | None) -> str:
    """Changes whenever these categories and this embedding model would teach something else."""
    content = [(name, category.model_dump(mode="json")) for name, category in categories.items()]
    return hashlib.sha256(json.dumps([_VERSION, model, content]).encode()).hexdigest()


def learn(categories: Mapping[str, Category], embed: Embed | None, model: str | None) -> Weights:
    """Learn both stages; without `embed` the lexical one alone.

    On one thread: two of BLAS's own on two busy cores take twenty times as long.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        return _learn(categories, embed, model)


def _learn(categories: Mapping[str, Category], embed: Embed | None, model: str | None) -> Weights:
    known = examples(categories)
    names = list(categories)
    classes = np.array([names.index(example.category) for example in known])
    folds = _folds(known)
    reader = Reader.learn(categories, (example.text for example in known))
    readings = [reader.read(example.text) for example in known]
    rows = np.array([reading.row for reading in readings])
    nothing = np.zeros((len(known), 0))
    lexical = _calibrated(nothing, rows, classes, reader.prior(), folds)
    base = (stamp(categories, model), reader.vocabulary, reader.rarity, lexical)
    if embed is None:
        return Weights(*base)
    vectors = embed([view(reading.parts) for reading in readings]).astype(np.float32)
    prior = np.vstack([np.zeros((vectors.shape[1], len(names))), reader.prior()])
    full = _calibrated(vectors.astype(np.float64), rows, classes, prior, folds)
    return Weights(*base, vectors=vectors, full=full)


def _calibrated(
    vectors: np.ndarray,
    rows: np.ndarray,
    classes: np.ndarray,
    prior: np.ndarray,
    folds: Sequence[np.ndarray],
) -> np.ndarray:
    """Weights, then biases in the last row, divided by the temperature that fits unseen intents."""
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    problem = Problem(vectors, csr_array(rows.astype(np.float64)), classes, prior, STRENGTH)
    divisor = temperature(held_out(problem, folds), classes)
    return (fit(problem) / divisor).astype(np.float32)


def _folds(known: Sequence[Example]) -> list[np.ndarray]:
    """Rows of each fold. Intents are left out as a whole, so that what is measured is how well an
    unseen kind of prompt is judged; the rows of a category with few intents are dealt out singly.
    """
    intents: dict[str, dict[str, list[int]]] = {}
    for row, example in enumerate(known):
        intents.setdefault(example.category, {}).setdefault(example.intent, []).append(row)
    folds: list[list[int]] = [[] for _ in range(FOLDS)]
    turn = 0
    for groups in intents.values():
        whole = list(groups.values())
        parts = whole if len(whole) >= FOLDS else [[row] for rows in whole for row in rows]
        for part in parts:
            folds[turn % FOLDS] += part
            turn += 1
    return [np.array(fold) for fold in folds if fold]
