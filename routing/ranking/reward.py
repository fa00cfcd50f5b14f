"""The one reward that the ranking learns, in [0, 1] for each attempt:

    reward = success × max(0, quality × liking − latency share − cost share)

success        1 for an answer in time, `late_credit` for one that came too late, 0 for a failure
quality        heuristic quality in [0, 1], where it was measured
liking         1, or 1 − `feedback_weight` after a thumb down
latency share  `latency_weight` × the mean of t / (t + usual t), for t the time to the first token
               and for t the time per output token
cost share     `cost_weight` × min(1, c / 2 `cost_scale_usd`), c the cost of the attempt in USD

Usual is what the category is used to, so that 90 ms against 450 ms weigh as much as 0.9 s against
4.5 s. Both shares are half their weight at their scale and never more than it, so that one very
slow or dear answer cannot outweigh many good ones. The cost share is linear up to there: a dollar
weighs the same wherever it is spent, else dear and cheap models are mixed at a loss. What is
unknown is taken at a neutral value, not at its best: a provider without a price is not free.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import exp, log, tanh
from typing import Any, NamedTuple

from config.models import Ranking


class Observation(NamedTuple):
    """One attempt. Sorts by (at, request_id, seq), which is the order of the fold."""

    at: float  # Unix time in seconds when the attempt started
    request_id: str
    seq: int
    category: str
    provider: str
    role: str = "primary"
    outcome: str = "ok"
    error: str | None = None
    ttft_ms: float | None = None
    latency_ms: float | None = None
    cost_usd: float | None = None
    quality: float | None = None
    liked: bool | None = None
    propensity: float | None = None
    revision: int = 0
    tokens_out: int | None = None
    stays: bool = False  # a later turn of a conversation that stayed: nobody was drawn
    against: str | None = None  # the provider of the answer that this one was compared with
    beside: bool = False  # that one stood behind the primary and was written from passages
    verdict: float | None = None  # 1: this answer is better, 0: the other, 0.5: neither
    source: str | None = None  # who says so: judge | late | person


def observations(rows: Iterable[Mapping[str, Any]]) -> Iterator[Observation]:
    """The attempts of rows of the interactions log (`telemetry.records.InteractionRow`).

    What the caller said of an answer goes to the attempt that was served. A feedback that was
    withdrawn comes as None and replaces the one before.
    """
    for row in rows:
        liked = row.get("liked")
        stays = bool((row.get("evidence") or {}).get("stays"))
        for attempt in row.get("attempts") or ():
            get = attempt.get
            yield Observation(
                at=get("at") if get("at") is not None else row["at"],
                request_id=row["request_id"],
                seq=get("seq") or 0,
                category=get("category") or row.get("category") or "",
                provider=get("provider") or "",
                role=get("role") or "primary",
                outcome=get("outcome") or "failed",
                error=get("error"),
                ttft_ms=get("ttft_ms"),
                latency_ms=get("latency_ms"),
                cost_usd=get("cost_usd"),
                quality=get("quality"),
                liked=liked if get("served") else None,
                propensity=get("propensity"),
                revision=get("revision") or 0,
                tokens_out=get("tokens_out"),
                stays=stays and get("propensity") is None,
                against=get("against"),
                beside=get("against_role") == "fallback",
                verdict=get("verdict"),
                source=get("source"),
            )


NEUTRAL_QUALITY = 0.9
NEUTRAL_LIKING = NEUTRAL_QUALITY
NEUTRAL_SUCCESS = 0.95

SILENT = frozenset({"cancelled", "skipped"})
"""Outcomes that are no evidence: nobody waited for the answer, or nobody asked."""

CALLER_LIMIT = "caller_limit"
"""Lost by time where the caller gave it less, or more, than the configuration does."""

NOT_ITS_FAULT = frozenset(
    {"content_filter", "context_length", "bad_request", "capability", CALLER_LIMIT}
)
"""Errors that are about what was asked: they count for no ranking, breaker or trial."""


def success(outcome: str, error: str | None, weights: Ranking) -> float | None:
    """How far the attempt succeeded; None when it is no evidence on the provider."""
    if outcome == "ok":
        return 1.0
    if outcome in SILENT or error in NOT_ITS_FAULT:
        return None
    return weights.late_credit if outcome == "late" else 0.0


class Usual(NamedTuple):
    """What a category is used to: natural logarithms of seconds, None while nothing is known."""

    wait: float | None = None
    pace: float | None = None


WHOLE = 0.95
"""An answer whose first token took so much of its whole time came in one piece."""


def felt(seen: Observation, usual: Usual) -> Usual | None:
    """The logarithms of an attempt's time to the first token and time per output token; None
    where nothing was measured.

    An answer that came whole has no time per token: its total over what is usual for an answer of
    that length counts for both.
    """
    if seen.ttft_ms is None:
        return None
    wait = log_s(seen.ttft_ms)
    tokens, total_ms = seen.tokens_out or 0, seen.latency_ms
    if tokens < 2 or total_ms is None:
        return Usual(wait)
    if seen.ttft_ms < WHOLE * total_ms:
        return Usual(wait, log((total_ms - seen.ttft_ms) / 1_000 / (tokens - 1)))
    if usual.wait is None or usual.pace is None:
        return Usual(wait)
    expected_s = exp(usual.wait) + (tokens - 1) * exp(usual.pace)
    slower = log_s(total_ms) - log(expected_s)
    return Usual(usual.wait + slower, usual.pace + slower)


def log_s(took_ms: float) -> float:
    """No wait is taken for shorter than 1 ms: a clock that says 0 ms has not measured."""
    return log(max(took_ms, 1.0) / 1_000)


def latency_share(wait: float, pace: float | None, usual: Usual, weights: Ranking) -> float:
    """What waiting takes off the reward; both as logarithms of seconds."""
    part = share(wait, usual.wait)
    if pace is not None and usual.pace is not None:
        part = 0.5 * (part + share(pace, usual.pace))
    return weights.latency_weight * part


def share(took: float, usual: float | None) -> float:
    """t / (t + usual t), of their logarithms."""
    return NEUTRAL_SHARE if usual is None else 0.5 + 0.5 * tanh(0.5 * (took - usual))


NEUTRAL_SHARE = share(0.0, 0.0)
"""Of a weight, where a latency or a cost is not known: what it is at its scale."""


def cost_share(cost_usd: float, weights: Ranking) -> float:
    """What the price takes off the reward."""
    return weights.cost_weight * min(1.0, cost_usd / (2.0 * weights.cost_scale_usd))


def liking(share_liked: float, weights: Ranking) -> float:
    """The factor on quality when this share of the judged answers was liked."""
    return 1.0 - weights.feedback_weight * (1.0 - share_liked)


def reward(success: float, quality: float, liking: float, latency: float, cost: float) -> float:
    """The formula above; `latency` and `cost` are the shares."""
    return success * max(0.0, quality * liking - latency - cost)


def neutral(weights: Ranking) -> float:
    """The reward to expect of what nothing is known of."""
    liked = liking(NEUTRAL_LIKING, weights)
    slow, dear = weights.latency_weight * NEUTRAL_SHARE, weights.cost_weight * NEUTRAL_SHARE
    return reward(NEUTRAL_SUCCESS, NEUTRAL_QUALITY, liked, slow, dear)


def of(seen: Observation, weights: Ranking, usual: Usual) -> float | None:
    """The reward of one attempt on its own, unknown parts at their neutral value."""
    succeeded = success(seen.outcome, seen.error, weights)
    if succeeded is None:
        return None
    slow, dear = weights.latency_weight * NEUTRAL_SHARE, weights.cost_weight * NEUTRAL_SHARE
    took = felt(seen, usual)
    return reward(
        succeeded,
        NEUTRAL_QUALITY if seen.quality is None else seen.quality,
        liking(NEUTRAL_LIKING if seen.liked is None else float(seen.liked), weights),
        slow if took is None else latency_share(took.wait or 0.0, took.pace, usual, weights),
        dear if seen.cost_usd is None else cost_share(seen.cost_usd, weights),
    )
