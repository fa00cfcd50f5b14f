"""An agent's loop over tools stays with the provider that began it.

A loop is known by its conversation up to the user's last words: what follows are the model's own
calls and their results. Kept in memory for LOOP_S; another process, or a restart, lets the order
decide anew.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import orjson

from providers.base import Message

LOOP_S = 600.0
MOST = 10_000
"""Loops remembered at once; the oldest goes first."""


class Loops:
    """Shared by all requests of a process; every method is quick."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def provider(self, messages: Sequence[Message]) -> str | None:
        """Who made the calls whose results these messages bring; None where they bring none."""
        if not messages or messages[-1]["role"] != "tool":
            return None
        name, until = self._known.get(_key(messages), ("", 0.0))
        return name if name and self._clock() < until else None

    def remember(self, messages: Sequence[Message], provider: str) -> None:
        """This provider answered these messages with calls of tools."""
        key = _key(messages)
        self._known[key] = provider, self._clock() + LOOP_S
        self._known.move_to_end(key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)


def _key(messages: Sequence[Message]) -> bytes:
    last = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=-1)
    return hashlib.blake2b(orjson.dumps(messages[: last + 1]), digest_size=16).digest()
