"""Who may use the service, and how often: bearer keys, and a token bucket for each client."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from time import monotonic

from fastapi import Request
from pydantic import SecretStr

from api.errors import INVALID, Problem, RefusedError, too_many

MOST_CLIENTS = 10_000
"""Maximum number of buckets; the least recently used goes first, and was full again long before."""

EVERYBODY = 10
"""The limit of all clients together, in multiples of one client's: addresses are cheap to forge."""


LOCAL = "local"
"""The caller of a service without keys."""


class Keys:
    """The keys of `ROUTER_API_KEYS`, stored as digests; changes take effect without a restart."""

    def __init__(self, current: Callable[[], Iterable[SecretStr]]) -> None:
        """Whether keys are required is decided here: editing the keys never opens a service."""
        self._current = current
        self._read = current()
        self._kept = [_digest(key.get_secret_value()) for key in self._read]

    def __bool__(self) -> bool:
        return bool(self._digests)

    @property
    def _digests(self) -> list[bytes]:
        keys = self._current()
        if self._kept and keys and keys is not self._read:
            self._read = keys
            self._kept = [_digest(key.get_secret_value()) for key in keys]
        return self._kept

    def accept(self, request: Request) -> bool:
        """True for a known key, and for any caller if no keys are set.

        Takes the same time whichever key it is, and however much of it is correct.
        """
        if not self._digests:
            return True
        digest = _digest(_given(request))
        known = [hmac.compare_digest(digest, one) for one in self._digests]
        return any(known)

    def who(self, request: Request) -> str:
        """A name for the caller that reveals nothing about the key: its shortened digest."""
        if not self._digests:
            return LOCAL
        return f"key {_digest(_given(request)).hex()[:8]}"

    def owner(self, request: Request) -> str:
        """Whose files and batches a caller sees: those of the same key, and everybody's where no
        keys are set. Nothing of the key can be had from it."""
        return _digest(_given(request)).hex() if self._digests else LOCAL

    def owners(self) -> dict[str, SecretStr] | None:
        """The key of each owner that has one now; None where no keys are set."""
        if not self._digests:
            return None
        return {_digest(key.get_secret_value()).hex(): key for key in self._read}

    async def require(self, request: Request) -> None:
        """Route dependency; 401 without a known key."""
        if self.accept(request):
            return
        sent = any(name in request.headers for name in ("authorization", "x-api-key"))
        said = "this key is unknown" if sent else "a key is needed"
        message = (
            f"{said}: send one of ROUTER_API_KEYS as `Authorization: Bearer …` or as `x-api-key`"
        )
        headers = {"www-authenticate": "Bearer"}
        raise RefusedError(Problem(401, message, INVALID, "invalid_api_key", headers=headers))


def caller(request: Request) -> str:
    """Tells callers apart by their keys, of which nothing can be had from it."""
    return _digest(_given(request)).hex()


def _given(request: Request) -> str:
    """The key that was sent, as OpenAI's or Anthropic's clients send it."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer.strip()
    return request.headers.get("x-api-key", "").strip()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


class Bucket:
    """Holds up to `burst` tokens and gains `per_s` a second; `at` is the instant of `tokens`."""

    __slots__ = ("at", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at

    def take(self, per_s: float, burst: float, now: float) -> float:
        """Take a token and return 0.0, or return the seconds until one is available."""
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
        """0.0 if the request may proceed, else the seconds until it may."""
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

    def standing(self, client: str) -> dict[str, str]:
        """The client's bucket in the form of OpenAI's rate-limit headers."""
        bucket = self._clients[client]
        full_in_s = math.ceil((self._burst - bucket.tokens) / self._per_s)
        minutes, seconds = divmod(full_in_s, 60)
        return {
            "x-ratelimit-limit-requests": str(self._burst),
            "x-ratelimit-remaining-requests": str(int(bucket.tokens)),
            "x-ratelimit-reset-requests": f"{minutes}m{seconds}s" if minutes else f"{seconds}s",
        }

    async def require(self, request: Request) -> None:
        """Route dependency; 429 with Retry-After above the limit."""
        client = client_of(request)
        wait = self.wait_s(client)
        standing = self.standing(client)
        request.state.headers += [(k.encode(), v.encode()) for k, v in standing.items()]
        if wait:
            message = "this public service limits requests per minute; try again shortly"
            raise RefusedError(too_many(message, wait, "rate_limit_exceeded"))


def client_of(request: Request) -> str:
    """The address as the nearest proxy saw it: a Space is only reached through one.

    Earlier entries come from the client itself and prove nothing.
    """
    forwarded = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return forwarded or (request.client.host if request.client else "")
