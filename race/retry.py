"""What the primary side does with its waiting time after a failed call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_CALLS = 3
"""Calls of the primary side in one request, whatever happens."""

LONGEST_WAIT_S = 1.0
"""A longer Retry-After is better spent at the next provider."""

_PASSING = frozenset({"server", "connection", "rate_limited", "timeout"})


@dataclass(frozen=True, slots=True)
class NextCall:
    """Call `provider` after `wait_s` seconds."""

    provider: str
    wait_s: float = 0.0


def next_call(
    tried: Sequence[str],
    kind: str,
    retry_after_s: float | None,
    remaining: Sequence[str],
    *,
    again: bool = True,
) -> NextCall | None:
    """The call that follows a failed one, or None to leave it at that.

    `tried` are the providers called so far, in order; `remaining` the callable ones not tried yet,
    best first;
    `again`: the last one may be asked once more. A failure that may pass is repeated once on the
    same provider, a 429 only if it names a short wait; anything else, and a second failure, moves
    on to the next provider.
    """
    if len(tried) >= MAX_CALLS or kind == "content_filter":
        return None
    last = tried[-1]
    if again and kind in _PASSING and tried.count(last) < 2:
        if kind != "rate_limited":
            return NextCall(last)
        if retry_after_s is not None and retry_after_s <= LONGEST_WAIT_S:
            return NextCall(last, retry_after_s)
    return NextCall(remaining[0]) if remaining else None
