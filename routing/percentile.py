"""Percentiles, by nearest rank (Hyndman and Fan, Sample Quantiles, 1996, definition 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed; None of nothing.

    `share` is in [0, 1].
    """
    if not values:
        return None
    rank = math.ceil(round(share * len(values), 9))  # 0.07 * 100 is a little more than 7
    return sorted(values)[max(rank - 1, 0)]
