"""The values that the page shows of a request, and what of the configuration it needs for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.models import Settings

KINDS = {"simulated": "simulated", "llama_cpp": "embedded", "openai": "remote"}
"""A host's kind in the configuration, and what the page calls it."""


@dataclass(frozen=True, slots=True)
class DisplayConfig:
    """Plain values, so that the reducer needs no configuration in its tests."""

    limits_ms: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Category to (`ttft_s`, `deadline_s`), in milliseconds."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Provider to `simulated`, `embedded` or `remote`."""
    categories: tuple[str, ...] = ()
    """What a reader may correct the classifier to; none on a Space, which learns from nobody."""

    @classmethod
    def of(cls, settings: Settings) -> DisplayConfig:
        limits = {name: settings.limits_for(name) for name in settings.categories}
        return cls(
            {name: (own.ttft_s * 1000, own.deadline_s * 1000) for name, own in limits.items()},
            {p.name: KINDS[settings.hosts[p.host].kind] for p in settings.providers},
            () if settings.environment.space_id else tuple(settings.categories),
        )

    def kind(self, provider: str, *, simulated: bool = False) -> str:
        """`simulated`, `embedded` or `remote`; shown wherever the provider's name is."""
        return "simulated" if simulated else self.kinds.get(provider, "remote")


@dataclass(slots=True)
class Node:
    """One node of the graph, as far as it got."""

    state: str = "waiting"
    started_ms: float | None = None
    ended_ms: float | None = None
    sub: str = ""
    """The most important thing about it, in a word or two."""
    output: Any = None
