"""Writes what the application loads: the encoder's two graphs, its adapter, and the classifier."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from config.models import Category
from routing.classifier.classifier import WEIGHTS
from routing.classifier.features import divide, view
from routing.classifier.learning import Problem, fit, held_out, softmax, temperature
from routing.classifier.reader import Reader
from routing.classifier.training import STRENGTH, examples, key, stamp
from routing.classifier.weights import Weights
from training import data, graph
from training.data import Prompt
from training.finetune import SHARPNESS, Tuned
from vectorstore.e5 import DIMENSIONS
from vectorstore.prompt_encoder import ADAPTER, CUT, LOWER, UPPER, PromptEncoder

FOLDS = 6


def write(tuned: Tuned, divisor: float, folder: Path) -> None:
    """Write the four files; `divisor` is the temperature that fits writers who were left out."""
    folder.mkdir(parents=True, exist_ok=True)
    lower, upper = graph.halves(tuned.plan.topic, CUT, tuned.plan.layers)
    (folder / LOWER).write_bytes(lower)
    (folder / UPPER).write_bytes(upper)
    (folder / ADAPTER).write_bytes(adapter(tuned))
    shipped = data.categories()
    encoder = PromptEncoder.load(folder)
    weights = classifier(tuned, divisor, shipped, encoder)
    (folder / WEIGHTS).write_bytes(weights.dump())


def adapter(tuned: Tuned) -> bytes:
    """The low-rank changes in half precision, with a stamp of them."""
    arrays: dict[str, np.ndarray] = {"layers": np.array(tuned.plan.layers)}
    for number, changes in enumerate(tuned.changes, start=tuned.plan.topic):
        for part, (down, up) in changes.items():
            arrays[f"l{number}.{part}.down"] = np.asarray(down, dtype=np.float16)
            arrays[f"l{number}.{part}.up"] = np.asarray(up, dtype=np.float16)
    content = hashlib.sha256(b"".join(one.tobytes() for one in arrays.values())).hexdigest()
    arrays["stamp"] = np.array(f"multilingual-e5-small q4 adapted {content[:16]}")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def classifier(
    tuned: Tuned, divisor: float, shipped: dict[str, Category], encoder: PromptEncoder
) -> Weights:
    """Both stages for the shipped categories, and the vectors of their examples."""
    names = list(shipped)
    prompts = data.everything(shipped)
    reader, lexical = words_alone(prompts, shipped)
    texts = [view(divide(one.text)) for one in examples(shipped)]
    features = reader.prior().shape[0]
    full = np.zeros((2 * DIMENSIONS + features + 1, len(names)), dtype=np.float32)
    # Half of a vector has length 1 / sqrt(2).
    full[:DIMENSIONS] = SHARPNESS * np.sqrt(2) * tuned.category[:-1] / divisor
    full[-1] = tuned.category[-1] / divisor
    return Weights(
        stamp=stamp(shipped, encoder.name),
        model=encoder.name,
        names=tuple(names),
        vocabulary=reader.vocabulary,
        rarity=reader.rarity,
        lexical=lexical,
        keys=tuple(map(key, texts)),
        vectors=encoder.embed(texts),
        full=full,
    )


def words_alone(
    prompts: Sequence[Prompt], shipped: dict[str, Category]
) -> tuple[Reader, np.ndarray]:
    """The first stage, tempered by what is right on writers that are left out."""
    names = list(shipped)
    reader = Reader.learn(shipped, (one.prompt for one in prompts))
    rows = np.array([reader.read(one.prompt).row for one in prompts], dtype=np.float64)
    classes = np.array([names.index(one.category) for one in prompts])
    problem = first_stage(rows, classes, reader)
    folds = [np.array(fold) for fold in by_writer(prompts)]
    logits = held_out(problem, folds)
    divisor = temperature(logits, classes)
    shares = softmax(logits / divisor)
    right = shares.argmax(axis=1) == classes
    print(f"words alone: {right.mean():.3f} right, temperature {divisor:.2f}")
    return reader, (fit(problem) / divisor).astype(np.float32)


def first_stage(rows: np.ndarray, classes: np.ndarray, reader: Reader) -> Problem:
    """The training problem of the first stage, by the rows that `reader` made."""
    prior = reader.prior()
    strength = np.full(prior.shape, STRENGTH)
    return Problem(np.zeros((len(rows), 0)), csr_array(rows), classes, prior, strength)


def by_writer(prompts: Sequence[Prompt]) -> list[list[int]]:
    """Rows in folds, each writer whole in one of them but for the configuration's examples, which
    are divided by intent."""
    sources = [(one.writer, one.intent if one.writer == data.SHIPPED else "") for one in prompts]
    order = sorted(set(sources))
    folds: list[list[int]] = [[] for _ in range(FOLDS)]
    for row, source in enumerate(sources):
        folds[order.index(source) % FOLDS].append(row)
    return folds
