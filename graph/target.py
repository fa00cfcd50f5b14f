"""What a model's name asks for: `auto`, a category, the cheapest, the fastest, or a provider."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from config.errors import NotFoundError
from config.models import Settings
from race.state import Wishes

AUTO = "auto"
SORTED: dict[str, Literal["price", "latency"]] = {"floor": "price", "nitro": "latency"}
"""`auto:floor` asks the cheapest first, `auto:nitro` the fastest."""


@dataclass(frozen=True, slots=True)
class Target:
    """A category, a provider, or an order; nothing of these for `auto`."""

    category: str | None = None
    provider: str | None = None
    sort: Literal["price", "latency"] | None = None

    def wishes(self, given: Wishes) -> Wishes:
        """The caller's wishes with what the name itself wishes for."""
        return {**given, "sort": self.sort} if self.sort and "sort" not in given else given


def target_of(settings: Settings, model: str) -> Target:
    """What the name asks for, by `aliases` where it is none of ours; NotFoundError if unknown."""
    found = _own(settings, model)
    if found is None:
        named = (to for name, to in settings.aliases.items() if fnmatchcase(model, name))
        found = _own(settings, next(named, ""))
    if found is None:
        off = next((p.disabled for p in settings.providers if p.name == model and p.disabled), None)
        why = f"is disabled: {off}" if off else "does not exist; GET /v1/models lists what does"
        raise NotFoundError(f"the model {model[:80]!r} {why}")
    return found


def _own(settings: Settings, model: str) -> Target | None:
    kind, _, what = model.partition(":")
    if model == AUTO:
        return Target()
    if kind == AUTO and what in settings.categories:
        return Target(category=what)
    if kind == AUTO and what in SORTED:
        return Target(sort=SORTED[what])
    return Target(provider=model) if settings.enabled(model) else None
