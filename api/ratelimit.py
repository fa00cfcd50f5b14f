"""A token bucket for each client, for a service that is open to everybody."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from fastapi import Request

from api.errors import RefusedError, too_many

MOST_CLIENTS = 10_000
"""Buckets kept; the one that was used longest ago goes first, and was full again long before."""

EVERYBODY = 10
"""All clients together may do so many times what one may: an address is cheap to forge."""


class Bucket:
    """Holds up to `burst` tokens and gains `per_s` a second; `at` is the instant of `tokens`."""

    __slots__ = ("at", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at

    def take(self, per_s: float, burst: float, now: float) -> float:
        """0.0 and a token less, or the seconds until there is one."""
        self.tokens = min(burst, self.tokens + (now - self.at) * per_s)
        self.at = now
        if self.tokens < 1.0:
            return (1.0 - self.tokens) / per_s
        self.tokens -= 1.0
        return 0.0


class RateLimit:
    """At most `burst` requests of one client at once and `per_minute` in the long run."""

    def __init__(
        self, per_minute: float = 20.0, burst: int = 10, clock: Callable[[], float] = monotonic
    ) -> None:
        self._per_s = per_minute / 60.0
        self._burst = burst
        self._clock = clock
        self._clients: OrderedDict[str, Bucket] = OrderedDict()
        self._everybody = Bucket(burst * EVERYBODY, clock())

    def wait_s(self, client: str) -> float:
        """0.0 where the request may go on, else when to try again."""
        now = self._clock()
        bucket = self._clients.get(client)
        if bucket is None:
            bucket = self._clients[client] = Bucket(self._burst, now)
            if len(self._clients) > MOST_CLIENTS:
                self._clients.popitem(last=False)
        self._clients.move_to_end(client)
        wait = bucket.take(self._per_s, self._burst, now)
        return wait or self._everybody.take(
            self._per_s * EVERYBODY, float(self._burst * EVERYBODY), now
        )

    async def require(self, request: Request) -> None:
        """A route's dependency; 429 with Retry-After past the limit."""
        if wait := self.wait_s(client_of(request)):
            message = "this open service takes only so many requests a minute; wait a little"
            raise RefusedError(too_many(message, wait, "rate_limit_exceeded"))


def client_of(request: Request) -> str:
    """The address as the nearest proxy saw it: a Space is only reached through one.

    The entries before the last come from the client itself and prove nothing.
    """
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return forwarded or (request.client.host if request.client else "")
