"""Whom the caller would like to be asked: an order of names, some alone, none of some, by price or
by speed. What is wished for wins over the learned order.

An agent's loop over tools stays with the provider that began it. A loop is known by its
conversation up to the user's last words: what follows are the model's own calls and their results.
Kept in memory for LOOP_S; another process, or a restart, lets the order decide anew.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

import orjson

from config.errors import NotFoundError, UsageError
from config.models import Provider, Settings
from providers.base import Message
from race.state import Wishes

_UNKNOWN = float("inf")
"""Where a price or a time is not known: after all that are."""


def wished(
    order: Sequence[str],
    wishes: Wishes,
    settings: Settings,
    seconds: Callable[[str], float | None],
) -> list[str]:
    """The order as the caller wishes it; `seconds` is a provider's time to its first token.

    Raises NotFoundError for a name that nobody has, UsageError where nobody is left.
    """
    if not wishes:
        return list(order)
    first = _first(wishes, settings)
    only = [n for name in wishes.get("only", []) for n in _known(name, settings, "provider.only")]
    names = list(dict.fromkeys([*first, *order, *only]))
    names = [name for name in names if _allowed(settings.provider(name), wishes)]
    if not names:
        raise UsageError("no enabled provider is left by `provider`; loosen it", "provider")
    rank = {name: place for place, name in enumerate(first)}
    sort = wishes.get("sort")

    def key(name: str) -> tuple[float, float]:
        figure = 0.0
        if sort == "price":
            figure = _price(settings.provider(name))
        elif sort:
            known = seconds(name)
            figure = _UNKNOWN if known is None else known
        return rank.get(name, len(rank)), figure

    return sorted(names, key=key)


def allows(name: str, wishes: Wishes, settings: Settings) -> bool:
    """Whether the caller lets this provider be asked at all."""
    return not wishes or _allowed(settings.provider(name), wishes)


def _first(wishes: Wishes, settings: Settings) -> list[str]:
    """The providers that the caller names, in his order."""
    named: list[str] = []
    for name in wishes.get("models", []):
        named += _known(name, settings, "models")
    for name in wishes.get("order", []):
        named += _known(name, settings, "provider.order")
    return named


def _known(name: str, settings: Settings, param: str) -> list[str]:
    """The enabled providers of that name, or at the host of that name."""
    enabled = [p for p in settings.providers if p.disabled is None]
    found = [p.name for p in enabled if p.name == name] or [
        p.name for p in enabled if p.host == name
    ]
    if not found:
        known = ", ".join(p.name for p in enabled)
        raise NotFoundError(
            f"`{param}`: there is no provider or host {name[:80]!r}; there are {known}"
        )
    return found


def _allowed(provider: Provider, wishes: Wishes) -> bool:
    names = {provider.name, provider.host}
    if "only" in wishes and not names & set(wishes["only"]):
        return False
    if names & set(wishes.get("ignore", [])):
        return False
    cost, most = provider.cost, wishes.get("max_price") or {}
    if most and cost is None:
        return False
    return cost is None or (
        cost.input <= most.get("prompt", _UNKNOWN)
        and cost.output <= most.get("completion", _UNKNOWN)
    )


def _price(provider: Provider) -> float:
    return _UNKNOWN if provider.cost is None else provider.cost.input + provider.cost.output


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
