"""The values that the page shows of a request, and what of the configuration it needs for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from config.models import Settings
from providers.messages import ToolCall
from race.state import Source
from telemetry.records import ToolStep

KINDS = {"simulated": "simulated", "llama_cpp": "embedded", "openai": "remote"}
"""A host's kind in the configuration, and what the page calls it."""


class Asked(TypedDict, total=False):
    """What the caller sent, as far as it is known."""

    prompt: str
    category: str | None
    provider: str | None
    ttft_s: float | None  # what the first model is given for its first sign of life
    prompt_hash: str | None


class ShownAttempt(TypedDict, total=False):
    """One call of a model; instants are milliseconds since the request came in."""

    seq: int
    provider: str
    model: str
    host: str
    role: str
    kind: str
    outcome: str  # as in the log, or `running`
    error: str | None
    detail: str | None
    served: bool
    started_ms: float
    first_ms: float | None
    ended_ms: float | None
    ttft_ms: float | None
    latency_ms: float | None
    tokens_in: int | None
    tokens_out: int | None
    cost_usd: float | None
    cost_estimated: bool


class ShownAnswer(TypedDict, total=False):
    """An answer as the caller has it, without its attempts; see `race.state.Answer`."""

    request_id: str
    text: str
    category: str
    confidence: float | None
    provider: str | None
    role: str | None
    success: bool
    stopped: bool
    error: str | None
    why: str | None
    note: str | None
    finish_reason: str | None
    cost_usd: float | None
    latency_ms: float | None
    ttft_ms: float | None
    sources: list[Source]
    tool_calls: list[ToolCall]
    tools: list[ToolStep]  # of a request from the log: results too


class Note(TypedDict):
    """Somebody else speaks from here on."""

    at_ms: float
    text: str
    to: str
    dropped: str


class ShownLoser(TypedDict):
    """An answer that was not served."""

    provider: str
    text: str


class Limit(TypedDict):
    """The limits of one request's category; `ttft_ms` since the request came in."""

    ttft_ms: float
    ttft_s: float
    deadline_ms: float


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
    output: object = None
