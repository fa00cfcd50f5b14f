"""What is asked of a host: the body of a chat-completion request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from config.models import Provider
from providers.base import CallOptions, Message
from providers.error_reply import ErrorReply, error_in_body
from providers.messages import text_of

RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Parameters that go under another name where a model refuses the one."""
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
"""Parameters that help and are not needed: the answer means the same without them, and models that
think often fix how they are sampled. A model that refuses one is asked without it; what else it
refuses is for the next provider."""
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
"""What a host may call a parameter of ours."""


THOUGHTS = "reasoning_content"
"""Hosts that want their model's thoughts back with the calls that they led to list it in `passes`;
others refuse a message that has them."""


def payload(
    provider: Provider, messages: Sequence[Message], options: CallOptions, *, thoughts: bool = False
) -> dict[str, object]:
    """The request's body: the provider's settings, then the caller's, which win.

    `thoughts`: the host wants those of its model back.
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

    One and leading, because the chat templates of some models reject a second one.
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
    """As OpenAI's own client writes it: calls without a text have null beside them."""
    if message.get("tool_calls") and not message["content"]:
        return {**message, "content": None}  # type: ignore[typeddict-item]
    return message


def without(wanted: dict[str, object], refused: frozenset[str]) -> dict[str, object]:
    """The body without what the model refuses; a renamed parameter goes under its other name,
    unless that is refused too."""
    kept = {name: value for name, value in wanted.items() if name not in refused}
    for name, other in RENAMED.items():
        if name in wanted and name in refused and other not in refused:
            kept.setdefault(other, wanted[name])
    return kept


def refusals(status: int, body: bytes, sent: dict[str, object]) -> frozenset[str]:
    """Which spare parameters a refusal names, so that the call can be asked without them."""
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
    """The words without the advice of what to use instead."""
    return re.split(
        r"\b(?:[Uu]se|[Tt]ry|instead|[Pp]ermitted|[Ss]upported (?:fields|param))\b", words
    )[0]


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)
