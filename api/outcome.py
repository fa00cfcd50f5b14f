"""What every dialect reports about an answer: why it ended, its cost, and what the router did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from providers.base import estimate_tokens
from providers.messages import written
from race.state import Answer

FINISHED = frozenset({"stop", "length", "content_filter", "tool_calls"})


def router_object(answer: Answer, ignored: Sequence[str] = ()) -> dict[str, object]:
    """The `router` object; `ignored` are the request's fields that were left out."""
    attempts = [{k: v for k, v in row.items() if k != "text"} for row in answer.attempts]
    return {
        "request_id": answer.request_id,
        "category": answer.category,
        "confidence": answer.confidence,
        "provider": answer.provider,
        "role": answer.role,
        "attempts": attempts,
        "cost_usd": answer.cost_usd,
        "latency_ms": answer.latency_ms,
        "ttft_ms": answer.ttft_ms,
        "why": answer.why or answer.chosen,
        "note": _note(answer.note, ignored),
        "sources": answer.sources,
        "grounded": answer.grounded,
    }


def _note(note: str | None, ignored: Sequence[str]) -> str | None:
    left_out = f"ignored: {', '.join(ignored)}" if ignored else None
    return "; ".join(filter(None, (note, left_out))) or None


@dataclass(frozen=True, slots=True)
class Tokens:
    """An answer's token counts; each dialect names them differently."""

    prompt: int
    completion: int
    cached: int
    """Of the prompt's."""
    reasoning: int
    """Of the completion's."""

    @property
    def total(self) -> int:
        return self.prompt + self.completion


def usage(answer: Answer, prompt: str) -> dict[str, object]:
    """`usage` as in OpenAI's chat completions."""
    counted = tokens(answer, prompt)
    return {
        "prompt_tokens": counted.prompt,
        "completion_tokens": counted.completion,
        "total_tokens": counted.total,
        "prompt_tokens_details": {"cached_tokens": counted.cached},
        "completion_tokens_details": {"reasoning_tokens": counted.reasoning},
    }


def tokens(answer: Answer, prompt: str) -> Tokens:
    """Tokens of the prompt and of the text that the caller has; estimated if nobody counted them.
    docs/race.md explains the effect of a switch in the middle of a stream."""
    tokens_in, tokens_out = answer.tokens_in, answer.tokens_out
    if tokens_in is None:
        tokens_in = estimate_tokens(prompt)
    if tokens_out is None:
        calls = answer.tool_calls
        said = written({"role": "assistant", "content": answer.text, "tool_calls": calls})
        tokens_out = estimate_tokens(said)
    return Tokens(tokens_in, tokens_out, answer.tokens_cached, answer.tokens_reasoning)


def finish_reason(answer: Answer) -> str:
    """OpenAI's finish reason; a host's own one for a normal end becomes `stop`."""
    reason = answer.finish_reason
    if answer.tool_calls and reason != "length":
        return "tool_calls"
    return reason if reason is not None and reason in FINISHED else "stop"
