"""How many calls may be made that turn out not to have been needed (Dean and Barroso, The Tail at
Scale, CACM 2013: hedged requests)."""

from __future__ import annotations

SHARE = 0.10
"""Extra calls for each request."""

MOST = 10.0
"""Hedges that can be saved up in quiet times."""


class HedgeBudget:
    """Each request earns a tenth of a hedge; a hedge spends one."""

    def __init__(self, share: float = SHARE, most: float = MOST) -> None:
        self._share = share
        self._most = most
        self._saved = 1.0

    def earn(self) -> None:
        self._saved = min(self._saved + self._share, self._most)

    def spend(self) -> bool:
        """True, and one hedge less, if there is one to spend."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
