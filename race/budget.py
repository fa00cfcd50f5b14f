"""Limits on spending and on extra calls.

Replicas that share a log share the day's budget: each may spend its share of what was left at its
last read of the log, until the next read a second later. Together they spend at most the budget
plus the calls in progress when it is reached; a replica that the others have not seen yet may add
one share.

Near a daily limit cheap models come first; at the limit, paid ones are skipped. Hedged requests
(Dean and Barroso, The Tail at Scale, CACM 2013) may turn out to be unnecessary, so they are limited
to a share of all calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from config.models import Budget

NEAR = 0.8
"""Share of the daily limit from which the order favours cheap models."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """The remaining budget of today; all figures in USD, days in UTC."""

    budget: Budget
    spent: Mapping[str, float]
    own: Mapping[str, float] = field(default_factory=dict)
    """The part of it that this process has spent since its last read of the log."""
    sharers: int = 1
    """Number of processes that spend the budget, including this one."""

    @property
    def total(self) -> float:
        return sum(self.spent.values())

    @property
    def lean(self) -> float:
        """From 0 (spend freely) to 1 (at the limit): how much more the cost weighs."""
        limit = self.budget.daily_usd
        if limit is None:
            return 0.0
        if limit <= 0 or self.total >= limit:
            return 1.0
        return max(0.0, (self.total / limit - NEAR) / (1.0 - NEAR))

    def barred(self, provider: str, *, free: bool) -> str | None:
        """Why a provider may not be called any more today, or None. Free ones always may.

        A provider with an unknown price is not free.
        """
        if free:
            return None
        limit, own = self.budget.daily_usd, self.budget.providers.get(provider)
        if limit is not None and self.total >= limit:
            return f"today's budget of ${limit:g} is spent (${self.total:.4f})"
        spent = self.spent.get(provider, 0.0)
        if own is not None and spent >= own:
            return f"today's budget of ${own:g} for {provider} is spent (${spent:.4f})"
        parts = [(limit, self.total, sum(self.own.values()))]
        parts.append((own, spent, self.own.get(provider, 0.0)))
        if self.sharers > 1 and any(self._over(*part) for part in parts):
            return f"this replica's share of today's budget is spent (${self.total:.4f} in all)"
        return None

    def _over(self, limit: float | None, spent: float, own: float) -> bool:
        """Whether this process's share of what was left at the last read is used up."""
        return limit is not None and own >= (limit - (spent - own)) / self.sharers


SHARE = 0.10
"""Extra calls for each request."""

MOST = 10.0
"""Maximum number of hedges saved up in quiet times."""


class HedgeBudget:
    """Each request earns a tenth of a hedge; a hedge spends one."""

    def __init__(self, share: float = SHARE, most: float = MOST) -> None:
        self._share = share
        self._most = most
        self._saved = 1.0

    def earn(self) -> None:
        self._saved = min(self._saved + self._share, self._most)

    def spend(self) -> bool:
        """Spend one hedge; False if there is none."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
