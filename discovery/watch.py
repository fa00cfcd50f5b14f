"""What becomes of a provider on trial, from what really happened to it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from routing.ranking.standings import Standing

ENOUGH = 20
"""Observations before a trial is judged at all, unless its breaker opens."""
LONG = 300
"""Observations after which no trial goes on: it is promoted unless it is likely the worse one."""
MARGIN = 0.02
"""A reward this far below the incumbent's is as good as it: the `margin` of the ranking."""


@dataclass(frozen=True, slots=True)
class Decision:
    """`reason` is a sentence with the figures, for the audit row and the page."""

    action: Literal["keep", "promote", "roll back"]
    reason: str


def verdict(
    trial: Standing, others: Sequence[Standing], *, breaker_opened: bool = False
) -> Decision:
    """Judge a provider on trial against the best of the category's trusted providers.

    Bounds are the ranking's own, of 90%. Promoted is what is certainly no worse than the
    incumbent but for MARGIN; rolled back is what is certainly worse, or whose breaker opened.
    """
    if breaker_opened:
        return Decision(
            "roll back", f"the breaker of {trial.provider} opened while it was on trial"
        )
    trusted = [s for s in others if s.trial is None and s.provider != trial.provider]
    if not trusted:
        return Decision("keep", "there is nobody to compare it with")
    best = min(trusted, key=lambda standing: standing.position)
    figures = (
        f"reward {trial.mean:.3f} ({trial.low:.3f} to {trial.high:.3f}) after {trial.n} calls,"
        f" {best.provider} {best.mean:.3f} ({best.low:.3f} to {best.high:.3f})"
    )
    if trial.n < ENOUGH:
        return Decision("keep", f"too early to judge: {figures}")
    if trial.high < best.low:
        return Decision("roll back", f"certainly worse: {figures}")
    if trial.low >= best.mean - MARGIN:
        return Decision("promote", f"as good or better: {figures}")
    if trial.n < LONG:
        return Decision("keep", f"not certain yet: {figures}")
    if trial.mean >= best.mean - MARGIN:
        return Decision("promote", f"no worse after a long trial: {figures}")
    return Decision("roll back", f"no better after a long trial: {figures}")
