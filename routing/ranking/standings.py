"""What the ranking says of itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """A new order of a category, with its reason as one sentence."""

    category: str
    at: float  # Unix time in seconds of the row that brought it
    before: tuple[str, ...]
    after: tuple[str, ...]
    why: str
    cause: str  # evidence | interval | recovery
    recovered: str | None = None  # the provider that is back from an outage, if one is
    key: tuple[float, str, int] = (0.0, "", 0)  # of that row


@dataclass(frozen=True, slots=True)
class Standing:
    """One provider in one category. `low` and `high` bound the mean reward with 90%."""

    provider: str
    position: int
    declared_position: int
    mean: float
    low: float
    high: float
    p_best: float
    n: int
    success: float | None
    quality: float | None
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    cost_usd: float | None
    liked: int
    disliked: int
    trial: float | None = None
    """The fixed share of a provider on trial, else None."""
    verdicts: int = 0
    """On its answers against others',"""
    lead: float | None = None
    """and by how much more of them are liked for that."""


@dataclass(frozen=True, slots=True)
class Standings:
    """A category in its learned order."""

    category: str
    entries: tuple[Standing, ...]
    observations: int
    changes: int
    last_change: Change | None

    def as_dict(self) -> dict[str, object]:
        """The same as plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to ask, best first; the first one is asked as primary."""

    order: tuple[str, ...]
    explored: bool
    propensity: float | None
    """The probability with which the first one was chosen; None: by no chance, to try it again."""
