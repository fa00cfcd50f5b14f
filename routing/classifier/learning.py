"""Multinomial logistic regression with a prior, and the calibration of its probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

TEMPERATURES = np.geomspace(0.25, 4.0, 81)
_EFFORT = {"maxiter": 300, "ftol": 1e-6, "gtol": 1e-3}  # the probabilities are then exact to 0.001


@dataclass(frozen=True, slots=True)
class Problem:
    """A training problem: `rows` in two blocks of columns, because most features are sparse."""

    dense: np.ndarray  # (rows, dense features)
    sparse: Any  # scipy.sparse.csr_array (rows, sparse features)
    classes: np.ndarray  # (rows,) of int
    prior: np.ndarray  # (features, classes): the prior mean of the weights
    strength: np.ndarray  # (features, classes): the inverse variance of the prior

    def only(self, chosen: np.ndarray) -> Problem:
        """The same problem restricted to some of the rows."""
        return Problem(
            self.dense[chosen],
            self.sparse[chosen],
            self.classes[chosen],
            self.prior,
            self.strength,
        )

    def logits(self, weights: np.ndarray) -> np.ndarray:
        """The logits; the last row of the weights is the bias."""
        width = self.dense.shape[1]
        shares: np.ndarray = (
            self.dense @ weights[:width] + self.sparse @ weights[width:-1] + weights[-1]
        )
        return shares


def fit(problem: Problem, biases: np.ndarray | None = None) -> np.ndarray:
    """The most probable weights (features + 1, classes); the last row is the bias.

    `biases` are the starting point.

    Classes have equal weight, however many rows each has. The loss is convex, so L-BFGS (Nocedal
    and Wright, chapter 7) finds its minimum.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    height, width = problem.prior.shape
    sizes = np.bincount(problem.classes, minlength=width)
    importance = (len(problem.classes) / (width * np.maximum(sizes, 1)))[problem.classes]
    target = np.eye(width)[problem.classes]
    across, down = problem.dense.T, problem.sparse.T.tocsr()

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(height + 1, width)
        shares = softmax(problem.logits(weights))
        off = weights[:-1] - problem.prior
        likelihood = np.log(np.maximum((shares * target).sum(axis=1), 1e-12))
        value = (problem.strength * off * off).sum() / 2 - importance @ likelihood
        slope = (shares - target) * importance[:, None]
        gradient = np.vstack([across @ slope, down @ slope]) + problem.strength * off
        return float(value), np.concatenate([gradient.ravel(), slope.sum(axis=0)])

    begin = np.zeros(width) if biases is None else biases
    start = np.vstack([problem.prior, begin]).ravel()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=_EFFORT)
    weights: np.ndarray = found.x.reshape(height + 1, width)
    return weights


def fit_one(
    rows: np.ndarray,
    mine: np.ndarray,
    rest: np.ndarray,
    importance: np.ndarray,
    strength: float,
) -> np.ndarray:
    """Weights, and last the bias, of the log-odds that a row belongs to one class (`mine`).

    `rest` are each row's known log-odds of all other classes; `strength` is the inverse variance of
    a prior centred on 0.
    """
    from scipy.optimize import minimize

    target = mine.astype(np.float64)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        odds = np.clip(rows @ weights[:-1] + weights[-1] - rest, -40, 40)
        off = importance * (1 / (1 + np.exp(-odds)) - target)
        value = (importance * (np.logaddexp(0, odds) - target * odds)).sum()
        value += strength * (weights[:-1] ** 2).sum() / 2
        return float(value), np.append(off @ rows + strength * weights[:-1], off.sum())

    start = np.zeros(rows.shape[1] + 1)
    found: np.ndarray = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return found


def held_out(problem: Problem, folds: Sequence[np.ndarray]) -> np.ndarray:
    """The logits of every row, learned without the fold that contains the row."""
    logits = np.zeros((len(problem.classes), problem.prior.shape[1]))
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(problem.classes)), fold)
        logits[fold] = problem.only(fold).logits(fit(problem.only(rest)))
    return logits


def temperature(logits: np.ndarray, classes: np.ndarray) -> float:
    """The divisor of the logits that maximises the likelihood of held-out rows.

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
