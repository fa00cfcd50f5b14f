"""What is asked of a host: the body of a chat-completion request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from config.models import Provider
from providers.base import CallOptions, Message
from providers.failures import error_object

_REFUSALS = {
    "stream_options": re.compile(r"stream_options|include_usage"),
    "max_tokens": re.compile(r"\bmax_tokens\b.*not supported.*max_completion_tokens", re.DOTALL),
}
"""Parameters of ours that some models refuse, and how a 400 says so."""


def payload(
    provider: Provider, messages: Sequence[Message], options: CallOptions
) -> dict[str, Any]:
    """The request's body: the provider's settings, then the caller's, which win."""
    chosen: dict[str, Any] = {
        "max_tokens": _first(options.max_tokens, provider.max_tokens),
        "temperature": _first(options.temperature, provider.temperature),
        "top_p": _first(options.top_p, provider.top_p),
        "stop": list(options.stop) or None,
    }
    return {
        "model": provider.resolved_model,
        "messages": with_instructions(provider.instructions, messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        **provider.extra,
        **{name: value for name, value in chosen.items() if value is not None},
        **options.extra,
    }


def with_instructions(instructions: str | None, messages: Sequence[Message]) -> list[Message]:
    """The messages with all system messages merged into one, instructions first.

    One and leading, because the chat templates of some models reject a second one.
    """
    system = [m["content"] for m in messages if m["role"] == "system"]
    if instructions:
        system.insert(0, instructions)
    rest = [m for m in messages if m["role"] != "system"]
    if not system:
        return rest
    return [Message(role="system", content="\n\n".join(system)), *rest]


def without(wanted: dict[str, Any], refused: frozenset[str]) -> dict[str, Any]:
    """The body without what the model refuses; `max_tokens` goes under its newer name."""
    kept = {name: value for name, value in wanted.items() if name not in refused}
    if "max_tokens" in refused and "max_tokens" in wanted:
        kept["max_completion_tokens"] = wanted["max_tokens"]
    return kept


def refusals(status: int, body: bytes, wanted: dict[str, Any]) -> frozenset[str]:
    """Which of our parameters a 400 refuses, so that the call can be asked without them."""
    if status not in (400, 422):
        return frozenset()
    detail = error_object(body)
    words = f"{detail.param} {detail.words}" if detail else body.decode("utf-8", "replace")
    return frozenset(
        name for name, said in _REFUSALS.items() if name in wanted and said.search(words)
    )


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
