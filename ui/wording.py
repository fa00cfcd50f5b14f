"""What happened, said in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STATES = {
    "waiting": "Waiting",
    "running": "Running",
    "done": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "skipped": "Skipped",
    "late": "Late",
}
KINDS = {"simulated": "simulation", "embedded": "demo quality", "remote": ""}
"""What is said beside a provider's name, wherever it stands."""
CAPABILITIES = {
    "json_schema": "JSON schemas",
    "json_object": "JSON",
    "images": "pictures",
    "logprobs": "log probabilities",
}
"""Capabilities whose names are no plain words."""

_ERRORS = {
    "auth": "its key was refused",
    "rate_limited": "it was asked too often",
    "server": "its server failed",
    "connection": "the connection broke",
    "timeout": "it took too long",
    "bad_reply": "its reply could not be used",
    "content_filter": "its content filter refused the prompt",
    "context_length": "the conversation is too long for it",
    "not_found": "its host does not serve that model",
    "no_provider": "it could not be asked",
}


def seconds(ms: float | None) -> str:
    """A duration as people say it: `85 ms`, `1.24 s`, `2 min 5 s`."""
    if ms is None:
        return "–"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 99_950:
        return f"{ms / 1000:.2f} s" if ms < 9_995 else f"{ms / 1000:.1f} s"
    minutes, rest = divmod(round(ms / 1000), 60)
    return f"{minutes} min {rest} s"


def usd(cost: float | None) -> str:
    """A price that keeps its first digits, however small; None is unknown, not free."""
    if cost is None:
        return "price unknown"
    if cost == 0:
        return "free"
    if cost < 0.0000005:
        return "under $0.000001"
    if cost < 0.01:
        return f"${cost:.6f}".rstrip("0")
    return f"${cost:.4f}" if cost < 1 else f"${cost:.2f}"


def price(attempt: Mapping[str, Any]) -> str:
    """What one call cost: nothing to say of one that was skipped, and not known yet of one that was
    too late and may still come."""
    cost = attempt.get("cost_usd")
    if attempt["outcome"] == "skipped":
        return ""
    return "not known yet" if cost is None and attempt["outcome"] == "timed_out" else usd(cost)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.0f} %"


def why_failed(kind: str | None) -> str:
    """The log's word for an error, as a clause with `it`."""
    return _ERRORS.get(kind or "", "it failed")


def why_switched(event: Mapping[str, Any], out: str | None, limit_ms: float | None) -> str:
    """Why somebody else speaks now; `out` is who spoke or should have spoken."""
    to, provider, reason = event["to"], event["provider"], event["reason"]
    lost = out if out and out != provider else "The other model"
    if provider == "passages":
        return "No model answered, so the best passages of the knowledge base are shown."
    if to == "primary":
        if reason == "retried":
            return f"{provider} was asked in the place of a call that failed, and answers."
        how = "fell silent" if reason == "stalled" else "failed"
        return f"The fallback {how}, so {provider} answers after all."
    if reason == "timeout":
        limit = f" within {seconds(limit_ms)}" if limit_ms else " in time"
        how = f"{lost} had not said a word{limit}"
    elif reason == "stalled":
        how = f"{lost} fell silent in the middle of its answer"
    elif reason == "no_provider":
        how = "No preferred model could be asked"
    else:
        how = f"{lost} failed: {why_failed(reason)}"
    return f"{how}, so {provider} answers instead."


def how_ended(attempt: Mapping[str, Any]) -> str:
    """One attempt's end as a clause that follows the provider's name."""
    first, whole = attempt.get("ttft_ms"), attempt.get("latency_ms")
    match attempt["outcome"]:
        case "ok" if attempt.get("served"):
            return f"answered in {seconds(whole)}, first word after {seconds(first)}"
        case "ok":
            return f"was ready after {seconds(whole)}, and was not needed"
        case "failed":
            return f"failed after {seconds(whole)}: {why_failed(attempt.get('error'))}"
        case "timed_out":
            return f"was too late after {seconds(whole)}"
        case "late":
            return f"came late, after {seconds(whole)}"
        case "cancelled":
            return f"was cancelled after {seconds(whole)}, for it was no longer needed"
        case "skipped":
            return "was skipped: its circuit breaker is open"
        case _:
            return "is being asked"
