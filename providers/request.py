"""Builds the body of a chat-completion request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import cast

from config.hosts import Provider
from providers.base import CallOptions, Message
from providers.error_reply import ErrorReply, error_in_body
from providers.messages import Part, TextPart, placeholder, text_of

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
_ONLY_DEFAULT = re.compile(r"\bdefault\b|fixed", re.IGNORECASE)
_OF_VALUE = re.compile(
    r"(?:must|should|may only|can only) be\b|\bexpected\b|\bone of\b|\brange\b|\bbetween\b"
    r"|(?:supported|valid|allowed|permitted) (?:values|options)"
    r"|(?:unknown|invalid|unsupported) (?:value|variant|option)"
    r"|(?:greater|less|more|higher|lower|larger|smaller) than|exceed|too (?:large|small|high|low)"
    r"|\bat (?:most|least)\b|\b(?:maximum|minimum)\b|[≤≥]|\s[<>]=?\s",
    re.IGNORECASE,
)
"""The host takes the parameter, but not this value of it."""
MOST_VALUES = 200
"""Refused values that are remembered for a model; with more, they are learned again."""
_WAYS = {"stream_options": r"stream_options|include_usage"}
"""A host's possible names for one of our parameters."""


THOUGHTS = "reasoning_content"
"""Hosts that want their model's reasoning returned with the tool calls list it in `passes`; others
reject a message that contains it."""


_FROM_TOOLS = TextPart(type="text", text="From the tools' results:")


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
    rest = [_sent(m) for m in _apart(messages) if m["role"] != "system"]
    if not system:
        return rest
    return [Message(role="system", content="\n\n".join(system)), *rest]


def _apart(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages with what is not text in the results of tools behind them, as a user's: most
    hosts take only text from a tool."""
    shown: list[Part] = []
    for message in messages:
        content = message["content"]
        if shown and message["role"] != "tool":
            yield Message(role="user", content=[_FROM_TOOLS, *shown])
            shown = []
        if message["role"] == "tool" and not isinstance(content, str):
            shown += [part for part in content if part["type"] != "text"]
            words = text_of(message) or "\n".join(placeholder(part) for part in content)
            message = cast(Message, {**message, "content": words})
        yield message
    if shown:
        yield Message(role="user", content=[_FROM_TOOLS, *shown])


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
    """The body without the rejected parameters and values; a renamed parameter uses its other name,
    unless that was rejected too."""
    kept = {name: value for name, value in wanted.items() if _takes(name, value, refused)}
    for name, other in RENAMED.items():
        if name in wanted and name in refused and _takes(other, wanted[name], refused):
            kept.setdefault(other, wanted[name])
    return kept


def _takes(name: str, value: object, refused: frozenset[str]) -> bool:
    return name not in refused and not (name in SPARE and _valued(name, value) in refused)


def refusals(status: int, body: bytes, sent: dict[str, object]) -> frozenset[str]:
    """What a refusal names of the optional parameters, so that the call can be repeated without it:
    their names, or `name=value` where only that value is rejected."""
    if status not in (400, 404, 405, 422, 501):
        return frozenset()
    reply = error_in_body(body) or ErrorReply(body.decode("utf-8", "replace"), frozenset(), "")
    named = {name for name in SPARE & sent.keys() if _names(name, reply.param)}
    if not (_REFUSED.search(reply.words) or (named and _REFUSING_CODES & reply.codes)):
        return frozenset()
    named = named or {name for name in SPARE & sent.keys() if _names(name, _head(reply.words))}
    if _OF_VALUE.search(reply.words) and not _ONLY_DEFAULT.search(reply.words):
        return frozenset(_valued(name, sent[name]) for name in named)
    return frozenset(named)


def remembered(known: frozenset[str], more: frozenset[str]) -> frozenset[str]:
    """What is left out of later calls: all rejected parameters, and a bounded number of values."""
    both = known | more
    values = {entry for entry in both if "=" in entry}
    return both if len(values) <= MOST_VALUES else (both - values) | more


def _valued(name: str, value: object) -> str:
    return f"{name}={json.dumps(value, sort_keys=True, default=str)}"


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
