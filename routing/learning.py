"""Multinomial logistic regression with a prior, and the calibration of its probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TEMPERATURES = np.geomspace(0.25, 4.0, 81)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to be learned, in as few columns as there are rows.

    A ridge penalty leaves nothing outside the span of the rows, so that thousands of features are
    learned in hundreds of coordinates: rows = points @ basis.T, with an orthonormal basis.
    """

    points: np.ndarray  # (rows, rank)
    basis: np.ndarray  # (features, rank)
    offsets: np.ndarray  # (rows, classes): the logits that the prior alone gives
    classes: np.ndarray  # (rows,) of int
    strength: float  # inverse variance of the prior


def pose(rows: np.ndarray, classes: np.ndarray, prior: np.ndarray, strength: float) -> Problem:
    """Rows of features (n, d), their classes, and the weights believed before (d, classes)."""
    values, vectors = np.linalg.eigh(rows @ rows.T)
    used = values > values[-1] * 1e-7
    scale = np.sqrt(values[used])
    points = vectors[:, used] * scale
    return Problem(points, rows.T @ (vectors[:, used] / scale), rows @ prior, classes, strength)


def fit(problem: Problem, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The most probable deviation from the prior (rank, classes), and the biases (classes).

    Classes weigh alike, however many rows each has. The loss is convex, so L-BFGS (Nocedal and
    Wright, chapter 7) finds its minimum. `rows` chooses the rows to learn from.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    chosen = np.arange(len(problem.classes)) if rows is None else rows
    points, offsets, classes = (
        part[chosen] for part in (problem.points, problem.offsets, problem.classes)
    )
    rank, width = points.shape[1], offsets.shape[1]
    sizes = np.bincount(classes, minlength=width)
    weight = (len(classes) / (width * np.maximum(sizes, 1)))[classes]
    target = np.eye(width)[classes]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        deviation, bias = flat[:-width].reshape(rank, width), flat[-width:]
        shares = softmax(points @ deviation + offsets + bias)
        likelihood = np.log(np.maximum((shares * target).sum(axis=1), 1e-12))
        value = problem.strength * (deviation * deviation).sum() / 2 - weight @ likelihood
        slope = (shares - target) * weight[:, None]
        gradient = points.T @ slope + problem.strength * deviation
        return float(value), np.concatenate([gradient.ravel(), slope.sum(axis=0)])

    start = np.zeros((rank + 1) * width)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return found[:-width].reshape(rank, width), found[-width:]


def held_out(problem: Problem, folds: Sequence[np.ndarray]) -> np.ndarray:
    """The logits of every row, as learned without the fold that the row is in."""
    logits = np.zeros_like(problem.offsets)
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(problem.classes)), fold)
        deviation, bias = fit(problem, rest)
        logits[fold] = problem.points[fold] @ deviation + problem.offsets[fold] + bias
    return logits


def temperature(logits: np.ndarray, classes: np.ndarray) -> float:
    """The divisor of the logits that makes the probabilities of held-out rows most likely.

    Guo et al., On Calibration of Modern Neural Networks (2017), section 4.2.
    """

    def loss(divisor: float) -> float:
        shares = softmax(logits / divisor)[np.arange(len(classes)), classes]
        return float(-np.log(np.maximum(shares, 1e-12)).mean())

    return float(min(TEMPERATURES, key=loss))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Shares that sum to 1 along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares
