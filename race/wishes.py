"""The caller's preferences among providers: an order of names, some only, none of some, by price or
by speed. They take precedence over the learned order.

An agent's tool loop stays with the provider that began it. A loop is identified by its conversation
up to the user's last message: what follows are the model's own calls and their results. Kept in
memory for LOOP_S; in another process, or after a restart, the order decides anew.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

import orjson

from config.errors import NotFoundError, UsageError
from config.hosts import Provider
from config.models import Settings
from providers.base import Message

if TYPE_CHECKING:  # the routing state does not need LangGraph, nor do commands that print it
    from race.state import Wishes

_ALWAYS = frozenset({"allow_fallbacks", "require_parameters"})
"""Fields that only confirm how this router works anyway."""
_UNKNOWN = float("inf")
"""Used for an unknown price or time, which sorts after all known ones."""


AUTO = "auto"
SORTED: dict[str, Literal["price", "latency"]] = {"floor": "price", "nitro": "latency"}
"""`auto:floor` asks the cheapest first, `auto:nitro` the fastest."""


def wished(
    order: Sequence[str],
    wishes: Wishes,
    settings: Settings,
    seconds: Callable[[str], float | None],
) -> list[str]:
    """The order that the caller prefers; `seconds` returns a provider's time to its first token.

    Raises NotFoundError for an unknown name, UsageError if no provider is left.
    """
    if not wishes:
        return list(order)

    def by(sort: str | None, names: Sequence[str]) -> list[str]:
        if sort is None:
            return list(names)
        if sort == "price":
            return sorted(names, key=lambda name: _price(settings.provider(name)))
        times = {name: seconds(name) for name in names}
        return sorted(names, key=lambda n: _UNKNOWN if (t := times[n]) is None else t)

    alone = [n for name in wishes.get("only", []) for n in _known(name, settings, "provider.only")]
    all_ = by(wishes.get("sort"), list(dict.fromkeys([*order, *alone])))
    first: list[str] = []
    for name in wishes.get("models", []):
        meant = _meant(name, settings)
        if _is_auto(meant, settings):
            first += by(SORTED.get(meant.partition(":")[2]), all_)
        else:
            first += _known(meant, settings, "models")
    for name in wishes.get("order", []):
        first += _known(name, settings, "provider.order")
    names = dict.fromkeys([*first, *all_])
    left = [name for name in names if allows(name, wishes, settings)]
    if not left:
        raise UsageError("no enabled provider is left by `provider`; loosen it", "provider")
    return left


def wishes_of(provider: object, models: object) -> Wishes:
    """The preferences of a caller in Python, from `provider` and `models`; raises UsageError that
    names the first invalid one."""
    wishes: Wishes = {"models": _names(models, "models")} if models else {}
    given = provider or {}
    if not isinstance(given, Mapping):
        raise UsageError("`provider` must be an object", "provider")
    for wish, value in given.items():
        param = f"provider.{wish}"
        if wish in ("order", "only", "ignore"):
            wishes.update({wish: _names(value, param)})  # type: ignore[misc]
        elif wish == "sort" and value in ("price", "throughput", "latency"):
            wishes["sort"] = value
        elif wish == "max_price" and isinstance(value, Mapping):
            wishes["max_price"] = dict(value)
        elif value and not (wish in _ALWAYS and value is True):
            message = f"`{param}`: {value!r:.60} is not supported here; leave it out"
            raise UsageError(message, param, "unsupported_parameter")
    return wishes


def _names(given: object, param: str) -> list[str]:
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
        raise UsageError(f"`{param}` must be a list of names", param)
    return list(given)


def allows(name: str, wishes: Wishes, settings: Settings) -> bool:
    """Whether the caller allows this provider at all."""
    return not wishes or ruled_out_by(name, wishes, settings) is None


def ruled_out_by(name: str, wishes: Wishes, settings: Settings) -> str | None:
    """The preference that rules out this provider; None if it may be asked."""
    provider = settings.provider(name)
    names, cost, most = {name, provider.host}, provider.cost, wishes.get("max_price")
    if (only := wishes.get("only")) and not names & set(only):
        return "only"
    if names & set(wishes.get("ignore", [])):
        return "ignore"
    if most and (
        cost is None
        or cost.input > most.get("prompt", _UNKNOWN)
        or cost.output > most.get("completion", _UNKNOWN)
    ):
        return "max_price"
    return None


def _meant(name: str, settings: Settings) -> str:
    """The name itself, or what `aliases` map it to if it is not one of ours."""
    if _is_auto(name, settings) or settings.enabled(name) or name in settings.hosts:
        return name
    return next((to for known, to in settings.aliases.items() if fnmatchcase(name, known)), name)


def _is_auto(name: str, settings: Settings) -> bool:
    kind, _, what = name.partition(":")
    return name == AUTO or (kind == AUTO and (what in SORTED or what in settings.categories))


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


def _price(provider: Provider) -> float:
    return _UNKNOWN if provider.cost is None else provider.cost.input + provider.cost.output


LOOP_S = 600.0
MOST = 10_000
"""Maximum number of loops in memory; the oldest goes first."""


class Loops:
    """Shared by all requests of a process; every method is fast."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def provider(self, messages: Sequence[Message]) -> str | None:
        """The provider that made the calls whose results these messages contain; None if there are
        none."""
        if not messages or messages[-1]["role"] != "tool":
            return None
        name, until = self._known.get(_key(messages), ("", 0.0))
        return name if name and self._clock() < until else None

    def remember(self, messages: Sequence[Message], provider: str) -> None:
        """Record that this provider answered these messages with tool calls."""
        key = _key(messages)
        self._known[key] = provider, self._clock() + LOOP_S
        self._known.move_to_end(key)
        while len(self._known) > MOST:
            self._known.popitem(last=False)


def _key(messages: Sequence[Message]) -> bytes:
    last = max((i for i, m in enumerate(messages) if m["role"] == "user"), default=-1)
    return hashlib.blake2b(orjson.dumps(messages[: last + 1]), digest_size=16).digest()
