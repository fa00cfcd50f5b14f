"""Learns the classifier's weights from the categories' examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from config.models import Category
from routing.classifier.features import view
from routing.classifier.learning import Problem, fit, fit_one, held_out, temperature
from routing.classifier.reader import Reader
from routing.classifier.weights import Weights

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to L2-normalised float32 vectors, one row for each; plain, without a query prefix."""
STRENGTH = 0.25
"""Inverse variance of the prior on the weights."""
ANCHOR = 20.0
"""The same for the shipped weights."""
NEWCOMER, SPREAD = 3.0, 3.0
"""The same for a category that is not among the shipped ones, on vectors scaled by this much."""
FAVOUR = 0.8
"""Log-odds in favour of a new category, since it was added on purpose. With 1 two of the six that
are measured take too many other prompts, with 0.6 two miss too many of their own."""
CLAIMED = 0.05
"""The share of the other categories' examples that are left out when a new category is learned."""
FOLDS = 6
_VERSION = 4  # of the features; increase it whenever the meaning of a stored weight changes


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
    """Changes whenever these categories and this embedding model would lead to different
    weights."""
    taught = {"examples", "keywords", "signals"}
    content = [(name, c.model_dump(mode="json", include=taught)) for name, c in categories.items()]
    return hashlib.sha256(json.dumps([_VERSION, model, content]).encode()).hexdigest()


def learn(
    categories: Mapping[str, Category],
    embed: Embed | None,
    model: str | None,
    shipped: Weights | None = None,
) -> Weights:
    """Learn both stages; without `embed` only the lexical one.

    `shipped` are the weights from the repository's own training with this model: categories that
    are still configured keep theirs, and new ones are learned in addition, in a few seconds.
    Single-threaded: two BLAS threads on two busy cores take twenty times as long.
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
    if shipped is None or shipped.full is None or shipped.vectors is None:
        full = _calibrated(vectors.astype(np.float64), rows, classes, prior, folds)
    else:
        full = beside(shipped, names, vectors, classes, prior)
    keys = tuple(key(view(reading.parts)) for reading in readings)
    return Weights(*base, keys=keys, vectors=vectors, full=full)


def key(text: str) -> str:
    """Identifies a text whose vector is stored."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _vectors(texts: Sequence[str], embed: Embed, shipped: Weights | None) -> np.ndarray:
    """The vectors of the examples; those that the repository ships are reused."""
    known: dict[str, np.ndarray] = {}
    if shipped is not None and shipped.vectors is not None:
        known = dict(zip(shipped.keys, shipped.vectors, strict=True))
    keys = [key(text) for text in texts]
    fresh = [number for number, one in enumerate(keys) if one not in known]
    made = embed([texts[number] for number in fresh])
    known |= {keys[number]: vector for number, vector in zip(fresh, made, strict=True)}
    return np.array([known[one] for one in keys], dtype=np.float32)


def beside(
    shipped: Weights,
    names: Sequence[str],
    vectors: np.ndarray,
    classes: np.ndarray,
    prior: np.ndarray,
) -> np.ndarray:
    """Weights of the second stage if only some of the categories are among the shipped ones.

    The shipped weights were learned from many more prompts than the configuration has: they are
    kept, and change only for examples that were not shipped. A new category is learned against
    them.
    """
    assert shipped.full is not None
    assert shipped.vectors is not None
    width = vectors.shape[1]
    full = np.zeros((len(prior) + 1, len(names)), dtype=np.float32)
    old = [column for column, name in enumerate(names) if name in shipped.names]
    for column in old:
        theirs = shipped.full[:, shipped.names.index(names[column])]
        full[:width, column], full[-1, column] = theirs[:width], theirs[-1]
    mine = np.isin(classes, old)
    if old and mine.sum() != len(shipped.vectors):
        full[:, old] = _moved(full[:, old], vectors[mine], np.searchsorted(old, classes[mine]))
    known = vectors @ full[:width, old] + full[-1, old]
    rest = np.logaddexp.reduce(known, axis=1) if old else np.zeros(len(vectors))
    for column in set(range(len(names))) - set(old):
        full[:width, column], full[-1, column] = _newcomer(
            vectors, classes == column, rest, shipped.vectors.mean(axis=0)
        )
        full[width:-1, column] = prior[width:, column]
    return full


def _moved(full: np.ndarray, vectors: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Shipped weights after seeing other examples too; they change only little."""
    from scipy.sparse import csr_array  # type: ignore[import-untyped]

    nothing = csr_array((len(vectors), len(full) - 1 - vectors.shape[1]))
    strength = np.full((len(full) - 1, full.shape[1]), ANCHOR)
    dense = vectors.astype(np.float64)
    problem = Problem(dense, nothing, classes, full[:-1].astype(np.float64), strength)
    return fit(problem, full[-1].astype(np.float64)).astype(np.float32)


def _newcomer(
    vectors: np.ndarray, mine: np.ndarray, rest: np.ndarray, middle: np.ndarray
) -> tuple[np.ndarray, float]:
    """Weights of a new category against the known ones: a logistic regression on the intents.

    The nearest examples of other categories are left out: they are the prompts for which the new
    category was made. `rest` is the log of the sum of the others' odds.
    """
    half = vectors.shape[1] // 2
    looked = SPREAD * (vectors[:, :half] - middle[:half]).astype(np.float64)
    centre = looked[mine].mean(axis=0)
    near = looked @ centre / np.linalg.norm(looked, axis=1)
    kept = mine | (near < np.quantile(near[~mine], 1 - CLAIMED))
    importance = np.where(mine[kept], (~mine).sum() / mine.sum() / 4, 1.0)
    found = fit_one(looked[kept], mine[kept], rest[kept], importance, NEWCOMER)
    weights = np.zeros(vectors.shape[1])
    weights[:half] = SPREAD * found[:-1]
    return weights, float(found[-1] - weights @ middle) + FAVOUR


def _calibrated(
    vectors: np.ndarray,
    rows: np.ndarray,
    classes: np.ndarray,
    prior: np.ndarray,
    folds: Sequence[np.ndarray],
) -> np.ndarray:
    """Weights, with biases in the last row, divided by the temperature that fits unseen intents."""
    from scipy.sparse import csr_array

    strength = np.full(prior.shape, STRENGTH)
    problem = Problem(vectors, csr_array(rows.astype(np.float64)), classes, prior, strength)
    divisor = temperature(held_out(problem, folds), classes)
    return (fit(problem) / divisor).astype(np.float32)


def _folds(known: Sequence[Example]) -> list[np.ndarray]:
    """Rows of each fold. Whole intents are held out, so that the measure is how well an unseen kind
    of prompt is judged; the rows of a category with few intents are distributed one by one.
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
