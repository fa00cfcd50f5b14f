"""Builds the body of a chat-completion request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from config.hosts import Provider
from providers.base import CallOptions, Message
from providers.error_reply import ErrorReply, error_in_body
from providers.messages import text_of

RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Parameters with another name for models that reject the first."""
SPARE = frozenset(
    {
        *RENAMED,
        "stream_options",
        "reasoning_effort",
        "verbosity",
        "parallel_tool_calls",
        "temperature",
        "top_p",
        "seed",
        "user",
        "metadata",
        "store",
        "prompt_cache_key",
        "safety_identifier",
        "service_tier",
        "return_progress",
    }
)
"""Optional parameters: the answer means the same without them, and models that reason often fix
their sampling. A model that rejects one is asked without it; any other rejection is left to the
next provider."""
_REFUSED = re.compile(
    r"not (?:be )?(?:supported|permitted|allowed|recogni[sz]ed|accepted|available)|unsupported"
    r"|unknown|unrecogni[sz]ed|unexpected|does(?: not|n't) support|no longer supported|extra"
    r"|invalid (?:field|parameter|argument|param)|use '?max_(?:completion_)?tokens|incompatible",
    re.IGNORECASE,
)
_REFUSING_CODES = frozenset(
    {"unsupported_parameter", "unknown_parameter", "extra_forbidden", "unsupported_value"}
)
_WAYS = {"stream_options": r"stream_options|include_usage"}
"""A host's possible names for one of our parameters."""


THOUGHTS = "reasoning_content"
"""Hosts that want their model's reasoning returned with the tool calls list it in `passes`; others
reject a message that contains it."""


def payload(
    provider: Provider, messages: Sequence[Message], options: CallOptions, *, thoughts: bool = False
) -> dict[str, object]:
    """The request's body: the provider's settings, overridden by the caller's.

    `thoughts`: the host wants its model's reasoning returned.
    """
    if not thoughts:
        messages = [_without_thoughts(message) for message in messages]
    chosen: dict[str, object] = {
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

    A single leading one, because the chat templates of some models reject a second.
    """
    system = [text_of(m) for m in messages if m["role"] == "system"]
    if instructions:
        system.insert(0, instructions)
    rest = [_sent(m) for m in messages if m["role"] != "system"]
    if not system:
        return rest
    return [Message(role="system", content="\n\n".join(system)), *rest]


def _without_thoughts(message: Message) -> Message:
    if THOUGHTS not in message:
        return message
    return cast(Message, {name: value for name, value in message.items() if name != THOUGHTS})


def _sent(message: Message) -> Message:
    """As OpenAI's own client writes it: calls without text have null content."""
    if message.get("tool_calls") and not message["content"]:
        return {**message, "content": None}  # type: ignore[typeddict-item]
    return message


def without(wanted: dict[str, object], refused: frozenset[str]) -> dict[str, object]:
    """The body without the rejected parameters; a renamed one uses its other name, unless that was
    rejected too."""
    kept = {name: value for name, value in wanted.items() if name not in refused}
    for name, other in RENAMED.items():
        if name in wanted and name in refused and other not in refused:
            kept.setdefault(other, wanted[name])
    return kept


def refusals(status: int, body: bytes, sent: dict[str, object]) -> frozenset[str]:
    """The optional parameters named in a refusal, so that the call can be repeated without them."""
    if status not in (400, 404, 405, 422, 501):
        return frozenset()
    reply = error_in_body(body) or ErrorReply(body.decode("utf-8", "replace"), frozenset(), "")
    named = {name for name in SPARE & sent.keys() if _names(name, reply.param)}
    if named and (_REFUSING_CODES & reply.codes or _REFUSED.search(reply.words)):
        return frozenset(named)
    if not _REFUSED.search(reply.words):
        return frozenset()
    return frozenset(n for n in SPARE & sent.keys() if _names(n, _head(reply.words)))


def _names(parameter: str, text: str) -> bool:
    said = _WAYS.get(parameter, parameter)
    return re.search(rf"(?<![A-Za-z_])(?:{said})(?![A-Za-z_])", text) is not None


def _head(words: str) -> str:
    """The message without its advice on alternatives."""
    return re.split(
        r"\b(?:[Uu]se|[Tt]ry|instead|[Pp]ermitted|[Ss]upported (?:fields|param))\b", words
    )[0]


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
