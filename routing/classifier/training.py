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
ANCHOR = 20.0
"""The same for weights that the repository ships."""
FOLDS = 6
_VERSION = 4  # of the features; raise it whenever a stored weight would mean something else


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
    taught = {"examples", "keywords", "signals"}
    content = [(name, c.model_dump(mode="json", include=taught)) for name, c in categories.items()]
    return hashlib.sha256(json.dumps([_VERSION, model, content]).encode()).hexdigest()


def learn(
    categories: Mapping[str, Category],
    embed: Embed | None,
    model: str | None,
    shipped: Weights | None = None,
) -> Weights:
    """Learn both stages; without `embed` the lexical one alone.

    `shipped` holds what the repository's own training made of its categories with this model: those
    that are still configured keep it, and what is new is learned beside them, in a few seconds.
    On one thread: two of BLAS's own on two busy cores take twenty times as long.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        return _learn(categories, embed, model, shipped)


def _learn(
    categories: Mapping[str, Category],
    embed: Embed | None,
    model: str | None,
    shipped: Weights | None,
) -> Weights:
    known = examples(categories)
    names = list(categories)
    classes = np.array([names.index(example.category) for example in known])
    folds = _folds(known)
    reader = Reader.learn(categories, (example.text for example in known))
    readings = [reader.read(example.text) for example in known]
    rows = np.array([reading.row for reading in readings])
    nothing = np.zeros((len(known), 0))
    lexical = _calibrated(nothing, rows, classes, reader.prior(), folds)
    base = (
        stamp(categories, model),
        model,
        tuple(names),
        reader.vocabulary,
        reader.rarity,
        lexical,
    )
    if embed is None:
        return Weights(*base)
    vectors = _vectors([view(reading.parts) for reading in readings], embed, shipped)
    prior = np.vstack([np.zeros((vectors.shape[1], len(names))), reader.prior()])
    if shipped is None or shipped.full is None:
        full = _calibrated(vectors.astype(np.float64), rows, classes, prior, folds)
    else:
        full = _beside(shipped.full, shipped.names, names, vectors, rows, classes, prior)
    keys = tuple(key(view(reading.parts)) for reading in readings)
    return Weights(*base, keys=keys, vectors=vectors, full=full)


def key(text: str) -> str:
    """Names a text whose vector is stored."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _vectors(texts: Sequence[str], embed: Embed, shipped: Weights | None) -> np.ndarray:
    """The vectors of the examples; those that the repository ships need not be made again."""
    known: dict[str, np.ndarray] = {}
    if shipped is not None and shipped.vectors is not None:
        known = dict(zip(shipped.keys, shipped.vectors, strict=True))
    keys = [key(text) for text in texts]
    fresh = [number for number, one in enumerate(keys) if one not in known]
    made = embed([texts[number] for number in fresh])
    known |= {keys[number]: vector for number, vector in zip(fresh, made, strict=True)}
    return np.array([known[one] for one in keys], dtype=np.float32)


def _beside(
    shipped: np.ndarray,
    shipped_names: Sequence[str],
    names: Sequence[str],
    vectors: np.ndarray,
    rows: np.ndarray,
    classes: np.ndarray,
    prior: np.ndarray,
) -> np.ndarray:
    """Weights of the second stage for categories of which the repository has learned some.

    Theirs were learned from many more prompts than the configuration shows, so they are a strong
    prior; the weights of new categories are free. No temperature: the shipped ones have theirs.
    """
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    width = vectors.shape[1]
    strength = np.full((len(prior), len(names)), STRENGTH)
    for column, name in enumerate(names):
        if name in shipped_names:
            prior[:width, column] = shipped[:width, shipped_names.index(name)]
            strength[:, column] = ANCHOR
    problem = Problem(
        vectors.astype(np.float64), csr_array(rows.astype(np.float64)), classes, prior, strength
    )
    biases = [
        float(shipped[-1, shipped_names.index(name)]) if name in shipped_names else 0.0
        for name in names
    ]
    return fit(problem, np.array(biases)).astype(np.float32)


def _calibrated(
    vectors: np.ndarray,
    rows: np.ndarray,
    classes: np.ndarray,
    prior: np.ndarray,
    folds: Sequence[np.ndarray],
) -> np.ndarray:
    """Weights, then biases in the last row, divided by the temperature that fits unseen intents."""
    from scipy.sparse import csr_array

    strength = np.full(prior.shape, STRENGTH)
    problem = Problem(vectors, csr_array(rows.astype(np.float64)), classes, prior, strength)
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
