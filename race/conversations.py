"""Which provider holds a conversation's prompt cache, and the value of staying with it."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import orjson

from config.hosts import Cost
from providers.base import Message, Usage

MOST = 10_000
"""Maximum number of conversations in memory; the oldest goes first."""

HITS = 2.0
"""Weight, in turns, of the prior that everything is cached, before a provider has shown
otherwise."""

MOST_HITS = 20.0
"""Maximum weight, in turns, of what a provider has shown, since hosts change."""


MOST_NEWS = 1_000
"""Maximum number of conversations reported to other replicas at once."""

Note = tuple[str, float, int, int]
"""Provider, seconds since its answer, messages, tokens."""


class Thread(NamedTuple):
    """One turn of a conversation."""

    key: bytes
    named: bool
    """Whether the caller has named the conversation."""
    length: int
    """Messages so far."""


class Held(NamedTuple):
    """The provider that answered a conversation last."""

    provider: str
    until: float
    length: int
    tokens: int
    """Tokens of its prompt and answer: what a prompt cache can hold of the next turn."""


def thread(caller: str, session_id: str | None, messages: Sequence[Message]) -> Thread:
    """The conversation of these messages: by the name that the caller gave it, else by its first
    messages, up to the user's first one. `caller` distinguishes the callers."""
    if session_id is not None:
        said: object = [caller, session_id]
    else:
        first = next((n for n, m in enumerate(messages) if m["role"] == "user"), -1)
        said = [caller, *messages[: first + 1], None]
    key = hashlib.blake2b(orjson.dumps(said), digest_size=16).digest()
    return Thread(key, session_id is not None, len(messages))


class Conversations:
    """Shared by all requests of a process; every method is fast."""

    def __init__(self, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._known: OrderedDict[bytes, Held] = OrderedDict()
        self._fresh: dict[bytes, float] = {}
        self._hits: dict[str, tuple[float, float]] = {}  # weight and mean share that was cached

    def with_ttl(self, ttl_s: float) -> Conversations:
        """The same conversations, which stay so long from their next answer on."""
        self._ttl_s = ttl_s
        return self

    def holder(self, of: Thread) -> Held | None:
        """The provider that answered it last, unless that is too long ago.

        A conversation without a name must have grown: programs begin every prompt with the same
        examples, which may include an assistant's answers, and those are not a conversation.
        """
        held = self._known.get(of.key)
        if held is None or self._clock() >= held.until:
            return None
        return held if of.named or of.length > held.length else None

    def remember(self, of: Thread, provider: str, usage: Usage | None) -> None:
        """Record that this provider answered it as the primary, with the usage that the host
        reported."""
        held = self.holder(of)
        if usage is not None and held is not None and held.provider == provider and held.tokens:
            self._found(provider, min(1.0, usage.cached / held.tokens))
        tokens = usage.tokens_in + usage.tokens_out if usage is not None else 0
        if self._ttl_s > 0:
            until = self._clock() + self._ttl_s
            self._known[of.key] = Held(provider, until, of.length, tokens)
            self._known.move_to_end(of.key)
            self._fresh.pop(of.key, None)
            self._fresh[of.key] = self._clock()
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def news(self, within_s: float) -> dict[str, Note]:
        """Conversations recorded here within that time, for other replicas; at most the newest
        few."""
        now = self._clock()
        self._fresh = {
            key: at
            for key, at in list(self._fresh.items())[-MOST_NEWS:]
            if now - at <= within_s and key in self._known
        }
        return {
            key.hex(): (held.provider, round(now - at, 3), held.length, held.tokens)
            for key, at in self._fresh.items()
            for held in (self._known[key],)
        }

    def hear(self, notes: Mapping[str, Note], age_s: float) -> None:
        """Adopt what another replica recorded so long ago, unless a later answer is known here."""
        now = self._clock()
        for named, (provider, before_s, length, tokens) in notes.items():
            key, until = bytes.fromhex(named), now - age_s - before_s + self._ttl_s
            ours = self._known.get(key)
            if until > now and (ours is None or ours.until < until):
                self._known[key] = Held(provider, until, length, tokens)
                self._known.move_to_end(key)
                self._fresh.pop(key, None)  # the replica that answered it reports it
        while len(self._known) > MOST:
            self._known.popitem(last=False)

    def cached(self, held: Held) -> float:
        """The number of the next turn's tokens expected to be in its holder's cache."""
        return held.tokens * self._hits.get(held.provider, (HITS, 1.0))[1]

    def _found(self, provider: str, share: float) -> None:
        weight, mean = self._hits.get(provider, (HITS, 1.0))
        weight = min(weight + 1.0, MOST_HITS)
        self._hits[provider] = weight, mean + (share - mean) / weight


def saved_usd(tokens: float, cost: Cost | None) -> float:
    """How much less so many prompt tokens cost in USD if cached; zero if no price of cached tokens
    is known."""
    if cost is None or cost.cached_input is None:
        return 0.0
    return tokens * (cost.input - cost.cached_input) / 1_000_000
