"""Learns what decides clear prompts halfway through the encoder: `--stage early`.

The encoder stays as it is. Writers that it has not seen say how far the probabilities must be
tempered, and from which one a prompt may leave (`routing.classifier.early_exit.EXIT`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from routing.classifier.classifier import CLEAR, WEIGHTS
from routing.classifier.early_exit import EarlyWeights
from routing.classifier.features import divide, view
from routing.classifier.learning import Problem, fit, held_out, softmax, temperature
from routing.classifier.reader import Reader
from routing.classifier.training import STRENGTH, examples, stamp
from routing.classifier.weights import Weights
from training import data
from training.data import Prompt
from training.export import by_writer, first_stage
from vectorstore.e5 import DIMENSIONS
from vectorstore.prompt_encoder import PromptEncoder

FOLDS = 4
"""Of the writers that the encoder has not seen, each whole in one of them."""
RANK, RIDGE = 32, 1.0
"""Of the regression from the states to the intent: its rank, and the weight of its penalty. With
384 in place of 32, and with a tenth of the penalty, the nearest examples are as often right."""
PROBABILITIES = (0.9, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97)


@dataclass(frozen=True, slots=True)
class Passes:
    """What the stages make of the prompts, one row each."""

    middles: np.ndarray  # (prompts, 384): directions between the layers
    intents: np.ndarray  # (prompts, 384): halves of the vectors after all layers
    lexical: np.ndarray  # (prompts, categories): by first stages that did not see the writer
    full: np.ndarray  # (prompts, categories): by all layers
    classes: np.ndarray


def write(folder: Path, apart: Sequence[str]) -> None:
    """Add the early exit to the weights in `folder`; `apart` are writers that the encoder has not
    seen. The examples' vectors are made again by the encoder as it is."""
    shipped, path = data.categories(), folder / WEIGHTS
    weights = Weights.load(path.read_bytes())
    assert weights is not None
    assert weights.stamp == stamp(shipped, weights.model), "the weights are of other categories"
    encoder = PromptEncoder.load(folder)
    vectors = encoder.embed([view(divide(one.text)) for one in examples(shipped)])
    weights = replace(
        weights, model=encoder.name, stamp=stamp(shipped, encoder.name), vectors=vectors
    )
    prompts = data.everything(shipped)
    early = learn(passes(weights, prompts, encoder), prompts, apart)
    path.write_bytes(
        replace(weights, early_decide=early.decide, early_down=early.down, early_up=early.up).dump()
    )


def passes(weights: Weights, prompts: Sequence[Prompt], encoder: PromptEncoder) -> Passes:
    """Run every prompt through all stages: a minute of one core."""
    assert weights.full is not None
    shipped = data.categories()
    reader = Reader(shipped, weights.vocabulary, weights.rarity)
    readings = [reader.read(one.prompt) for one in prompts]
    rows = np.array([one.row for one in readings], dtype=np.float64)
    classes = np.array([weights.names.index(one.category) for one in prompts])
    problem = first_stage(rows, classes, reader)
    lexical = held_out(problem, [np.array(fold) for fold in by_writer(prompts)])
    lexical /= temperature(lexical, classes)
    begun = [encoder.begin(view(one.parts)) for one in readings]
    vectors = np.array([encoder.finish(one) for one in begun])
    return Passes(
        middles=np.array([one.middle for one in begun]),
        intents=vectors[:, :DIMENSIONS],
        lexical=lexical - lexical.mean(axis=1, keepdims=True),
        full=np.concatenate([vectors, rows], axis=1) @ weights.full[:-1] + weights.full[-1],
        classes=classes,
    )


def learn(found: Passes, prompts: Sequence[Prompt], apart: Sequence[str]) -> EarlyWeights:
    """Learn from all prompts, tempered by what is right on writers that are left out."""
    everyone = np.arange(len(prompts))
    logits = np.zeros_like(found.full)
    unseen = np.array([row for row in everyone if prompts[row].writer in apart])
    for fold in _folds(prompts, apart):
        decide = _decide(found, np.setdiff1d(everyone, fold))
        rows = np.concatenate([found.middles[fold], found.lexical[fold]], axis=1)
        logits[fold] = rows @ decide[:-1] + decide[-1]
    # Writers whom the encoder did see would make the probabilities look too careful.
    divisor = max(1.0, temperature(logits[unseen], found.classes[unseen]))
    _report(found, logits / divisor, unseen, divisor)
    down, up = _expected(found.middles, found.intents)
    return EarlyWeights((_decide(found, everyone) / divisor).astype(np.float32), down, up)


def _folds(prompts: Sequence[Prompt], apart: Sequence[str]) -> Iterator[np.ndarray]:
    for number in range(FOLDS):
        writers = sorted(apart)[number::FOLDS]
        yield np.array([row for row, one in enumerate(prompts) if one.writer in writers], dtype=int)


def _decide(found: Passes, rows: np.ndarray) -> np.ndarray:
    """Weights of the states and of the first stage's logits; before anything is learned the exit
    says what the first stage says."""
    middle = found.middles[rows].mean(axis=0)
    names = found.full.shape[1]
    prior = np.vstack([np.zeros((DIMENSIONS, names)), np.eye(names)])
    problem = Problem(
        found.middles[rows] - middle,
        csr_array(found.lexical[rows]),
        found.classes[rows],
        prior,
        np.full(prior.shape, STRENGTH),
    )
    weights = fit(problem)
    weights[-1] -= middle @ weights[:DIMENSIONS]
    return weights


def _expected(middles: np.ndarray, intents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ridge regression of reduced rank (Izenman, 1975) from the states to the intents, both from
    their centres: `down` with its bias, and `up`."""
    centre = middles.mean(axis=0)
    states = (middles - centre).astype(np.float64)
    square = states.T @ states + RIDGE * np.eye(DIMENSIONS)
    whole = np.linalg.solve(square, states.T @ (intents - intents.mean(axis=0)))
    _, _, ways = np.linalg.svd(states @ whole, full_matrices=False)
    up = ways[:RANK]
    down = whole @ up.T
    return np.vstack([down, -centre @ down]).astype(np.float32), up.astype(np.float32)


def _report(found: Passes, logits: np.ndarray, rows: np.ndarray, divisor: float) -> None:
    """Print what leaves at each probability, of the prompts that the first stage is unsure of."""
    unsure = rows[softmax(found.lexical[rows]).max(axis=1) < CLEAR]
    truth = found.classes[unsure]
    right = logits[unsure].argmax(axis=1) == truth
    later = found.full[unsure].argmax(axis=1) == truth
    sure = softmax(logits[unsure]).max(axis=1)
    print(f"halfway, of {len(unsure)} prompts by writers left out; temperature {divisor:.2f}")
    for least in PROBABILITIES:
        left = sure >= least
        wrong, lost, won = left & ~right, left & ~right & later, left & right & ~later
        print(
            f"from {least:.2f}: {left.mean():.2f} leave, {wrong.sum()} wrong, {lost.sum()} of them "
            f"right after all layers, {won.sum()} the other way round"
        )
