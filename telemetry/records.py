"""The rows of the interactions log, as plain dicts; users script against these names."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

Outcome = Literal["ok", "failed", "timed_out", "late", "cancelled", "skipped"]
Role = Literal["primary", "fallback", "probe", "classifier", "judge", "compare"]


class AttemptRow(TypedDict, total=False):
    """One call to a provider, or the decision not to make it (`skipped`).

    Unique by (request_id, seq); a later `revision` of the same attempt replaces the earlier one.
    """

    request_id: str
    seq: int  # order within the request, from 0
    at: float  # Unix time in seconds when the attempt started
    category: str
    confidence: float | None
    provider: str
    model: str
    host: str
    role: Role
    outcome: Outcome
    error: str | None  # providers.base.ErrorKind
    detail: str | None  # the error's sentence, redacted
    served: bool
    started_ms: float  # since the request came in
    ttft_ms: float | None  # since the attempt started
    latency_ms: float | None  # since the attempt started
    tokens_in: int | None
    tokens_out: int | None
    cost_usd: float | None  # None: unknown, not free
    cost_estimated: bool
    propensity: float | None  # probability with which this provider was chosen as primary
    quality: float | None  # heuristic quality in [0, 1]; None: not measured
    finish_reason: str | None
    revision: int
    against: str | None  # of a verdict: the provider of the answer that this one was compared with
    against_role: Literal["primary", "fallback"] | None
    verdict: float | None  # 1: this answer is better, 0: the other, 0.5: neither
    source: Literal["judge", "late", "person"] | None  # who says so
    text: str | None  # only with log.text


class ToolStep(TypedDict):
    """A tool's call by a model, or what the tool returned."""

    kind: Literal["call", "result"]
    id: str  # of the call, which its result has too
    name: str
    text: str  # a call's arguments, a result's content


class InteractionRow(TypedDict, total=False):
    """One request; unique by request_id."""

    request_id: str
    at: float  # Unix time in seconds
    category: str
    confidence: float | None
    evidence: dict[str, object]  # what decided the category
    preferred: str | None  # first of the order at the time
    fallback: str | None
    fallback_used: bool
    winner: str | None  # provider name, or "passages"
    role: Literal["primary", "fallback"] | None
    success: bool
    latency_ms: float
    ttft_ms: float | None
    cost_usd: float | None
    liked: bool | None
    prompt_hash: str
    prompt: str | None  # only with log.text
    answer: str | None  # only with log.text
    error: str | None
    simulated: bool
    session_id: str | None  # the conversation, where the caller named one
    stopped: bool  # the caller left before the end
    reason: str | None  # why the answer changed hands, or why there is none
    tools: list[ToolStep] | None  # since the user's last words; only with log.text
    attempts: list[AttemptRow]  # joined in on reading


class AuditRow(TypedDict):
    """A step that the application took on its own: a search, a trial, a change to its config."""

    at: float  # Unix time in seconds
    kind: str
    subject: str  # the subject: a category, a provider
    detail: dict[str, object]


class HintRow(TypedDict, total=False):
    """A hint for other replicas: the cooldown that a host requested, or that a replica is there."""

    at: float  # Unix time in seconds
    by: str  # the replica
    of: str  # identity of the provider it concerns
    wait_s: float
    held: dict[str, tuple[str, float, int, int]]  # see `race.conversations.Note`
    page: str | None  # the address of its page


class TaughtRow(TypedDict, total=False):
    """A correction of the classifier, unique by `id`; a later one with that id replaces it."""

    id: str
    at: float  # Unix time in seconds
    category: str
    request_id: str | None  # the request that was corrected
    prompt: str | None  # the text to learn from
    detail: dict[str, object]
