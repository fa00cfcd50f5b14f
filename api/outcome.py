"""What every dialect says of an answer: why it ended, what it cost, and what the router did."""

from __future__ import annotations

from collections.abc import Sequence

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


def usage(answer: Answer, prompt: str) -> dict[str, int]:
    """Tokens of the prompt and of the text that the caller has; estimated where nobody counted
    them. What a switch in the middle of a stream does to it: docs/race.md."""
    tokens_in, tokens_out = answer.tokens_in, answer.tokens_out
    if tokens_in is None:
        tokens_in = estimate_tokens(prompt)
    if tokens_out is None:
        calls = answer.tool_calls
        said = written({"role": "assistant", "content": answer.text, "tool_calls": calls})
        tokens_out = estimate_tokens(said)
    total = tokens_in + tokens_out
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": total}


def finish_reason(answer: Answer) -> str:
    """OpenAI's word; a host's own word for a plain end is `stop`."""
    reason = answer.finish_reason
    if answer.tool_calls and reason != "length":
        return "tool_calls"
    return reason if reason is not None and reason in FINISHED else "stop"
