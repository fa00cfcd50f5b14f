"""What the categories say of each other: partial pooling of the providers' rewards.

    reward of provider a in category c = base c + lead a + what is its own there

The leads are taken to be normal about the declared order, what is own about 0, and the variance of
the latter is estimated from the log (empirical Bayes; Efron and Morris, Stein's Estimation Rule and
Its Competitors, 1973): where providers do alike in all categories a new category knows them
already, where they do not it begins nearly from nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Array = np.ndarray

OWN = 0.2
"""Standard deviation of what is a provider's own in a category, before the log says anything,"""

GUESS = 100.0
"""and how many pairs of provider and category that is worth."""

LEAD = 0.3
"""Standard deviation of a provider's lead over the others."""

SWEEPS = 2


class Pooled(NamedTuple):
    """What to expect in each category of each provider without its own answers there."""

    mean: Array
    variance: Array
    own: float
    """Variance of what is a provider's own in a category."""


def pool(weight: Array, mean: Array, declared: Array, noise: float, own: float) -> Pooled:
    """From the weight and mean reward of each category's (row) providers (column).

    `declared` is the lead that the declared order claims, `noise` the variance of one reward,
    `own` the last estimate of that variance. A provider's own answers in a category count for what
    is expected elsewhere, not there.
    """
    seen = weight > 0.0
    error = np.where(seen, noise / np.maximum(weight, 1e-9), 0.0)
    trust = np.where(seen, 1.0 / (own + error), 0.0)
    lead = declared.mean(0)
    for _ in range(SWEEPS):
        rest = mean - lead
        whole = (trust * rest).sum() / max(float(trust.sum()), 1e-9)
        base = ((trust * rest).sum(1) + whole / LEAD**2) / (trust.sum(1) + 1.0 / LEAD**2)
        gain = trust * (mean - base[:, None])
        lead = (gain.sum(0) + declared.mean(0) / LEAD**2) / (trust.sum(0) + 1.0 / LEAD**2)
    others = trust.sum(0) - trust + 1.0 / LEAD**2
    elsewhere = (gain.sum(0) - gain + declared / LEAD**2) / others
    expected = base[:, None] + elsewhere
    return Pooled(expected, own + 1.0 / others, _own(seen, mean - base[:, None] - lead, error, own))


def _own(seen: Array, rest: Array, error: Array, own: float) -> float:
    """The variance of what is own, by the method of moments, with the guess."""
    pairs, fitted = int(seen.sum()), sum(seen.shape)
    if seen.shape[0] < 2 or pairs <= fitted:
        return OWN**2
    trust = np.where(seen, 1.0 / (own + error) ** 2, 0.0)
    found = float((trust * (rest**2 - error)).sum() / trust.sum()) * pairs / (pairs - fitted + 1)
    return max(1e-4, (pairs * found + GUESS * OWN**2) / (pairs + GUESS))
