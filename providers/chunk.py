"""Reads the fields of a chunk; values of the wrong type count as absent."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from providers.base import Logprob, TokenChance, Usage

NOT_JSON: Final = object()
"""Returned by `parsed` for bytes that are not JSON."""

OVERHEAD_TOKENS = 16_384
"""Tokens of a prompt that its bytes do not show: the host's own instructions, templates, images."""
HIDDEN_TOKENS = 262_144
"""Tokens of an answer that are billed but not sent (reasoning): more than any model may write."""

_REASONING = (
    "reasoning_content", "reasoning", "thinking", "reasoning_text", "reasoning_details",
)  # fmt: skip
_USAGE = (
    ("prompt_tokens", "completion_tokens"),  # OpenAI
    ("input_tokens", "output_tokens"),  # Anthropic
    ("prompt_eval_count", "eval_count"),  # Ollama
    ("promptTokenCount", "candidatesTokenCount"),  # Gemini
    ("inputTokens", "outputTokens"),  # Bedrock
    ("promptTokens", "completionTokens"),
)
_CACHED = (
    ("prompt_tokens_details", "cached_tokens"),  # OpenAI
    ("input_tokens_details", "cached_tokens"),
    ("", "prompt_cache_hit_tokens"),  # DeepSeek
)
_THOUGHTS = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
)
"""Where usage breaks down a count; Anthropic's own form counts cached tokens separately."""
_THINKING_PARTS = frozenset({"thinking", "reasoning", "reasoning.text"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """Upper bounds on the tokens that a call can have read and written. A token has at least one
    byte, so the prompt's bytes bound it; the answer is bounded by the requested limit, or by
    that of any model."""

    tokens_in: int = 2**31
    tokens_out: int = 2**31

    @classmethod
    def of(cls, body: bytes, max_tokens: int | None) -> Bounds:
        return cls(len(body) + OVERHEAD_TOKENS, (max_tokens or 0) + HIDDEN_TOKENS)


def parsed(data: bytes) -> object:
    """The JSON value, or NOT_JSON.

    What the strict parser rejects is parsed again leniently, as browsers do: `NaN`, halves of
    surrogate pairs. Those become lone surrogates, which `text_stream.Characters` joins.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    if not data.lstrip().startswith((b"{", b"[")):
        return NOT_JSON
    try:
        text = data.decode("utf-8", "surrogateescape")
        return json.loads(text, strict=False, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        return NOT_JSON


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; raises ValueError for a name that is not valid text, whose value would be lost."""
    if not all(name.isascii() or name.isprintable() for name, _ in pairs):
        raise ValueError("a member's name is not text")
    return dict(pairs)


def content_of(message: Mapping[str, object]) -> str:
    content = message.get("content")
    return number(content) or text_of(content) or text_of(message.get("refusal"))


def number(value: object) -> str:
    """A number as text, else an empty one: some hosts send tokens that are numbers as such."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return json.dumps(value) if is_number else ""


def reasoning_of(message: Mapping[str, object]) -> str:
    """Reasoning beside the content, and in its typed parts."""
    for name in _REASONING:
        if said := text_of(message.get(name), thoughts=True):
            return said
    content = message.get("content")
    if not isinstance(content, list):
        return ""
    parts = (p for p in content if isinstance(p, dict) and p.get("type") in _THINKING_PARTS)
    return "".join(text_of(p.get("thinking") or p.get("text"), thoughts=True) for p in parts)


def text_of(value: object, *, thoughts: bool = False) -> str:
    """Content as a string; some hosts send a typed part or a list of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        if value.get("type") in _THINKING_PARTS and not thoughts:
            return ""
        return text_of(value.get("text") or value.get("thinking"), thoughts=thoughts)
    if isinstance(value, list):
        return "".join(text_of(part, thoughts=thoughts) for part in value)
    return ""


def usage_of(holder: Mapping[str, object], bounds: Bounds) -> Usage | None:
    """The provider's token counts, if plausible; Groq puts them elsewhere while streaming."""
    value = holder.get("usage")
    if value is None and isinstance(groq := holder.get("x_groq"), dict):
        value = groq.get("usage")
    if not isinstance(value, dict):
        return None
    for name_in, name_out in _USAGE:
        tokens_in, tokens_out = _count(value.get(name_in)), _count(value.get(name_out))
        if tokens_in is None or tokens_out is None:
            continue
        if 0 < tokens_in <= bounds.tokens_in and tokens_out <= bounds.tokens_out:
            cached, thoughts = _detail(value, _CACHED), _detail(value, _THOUGHTS)
            return Usage(tokens_in, tokens_out, min(cached, tokens_in), min(thoughts, tokens_out))
    return None


def _detail(usage: Mapping[str, object], places: tuple[tuple[str, str], ...]) -> int:
    """A part of a count, from the first place that has it; 0 if none does."""
    for holder, name in places:
        details = usage.get(holder) if holder else usage
        if isinstance(details, dict) and (count := _count(details.get(name))):
            return count
    return 0


def _count(value: object) -> int | None:
    """A whole number of tokens, however it is written; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 12 else None
    if value != value or value in (float("inf"), float("-inf")) or value != int(value):
        return None
    return int(value) if value >= 0 else None


IMPOSSIBLE = -9999.0
"""OpenAI's value for a token that is too unlikely for a figure; JSON has no infinity."""
MAX_TOP = 20
"""The maximum number of alternatives for each token (OpenAI's API reference)."""


def logprobs_of(choice: Mapping[str, object]) -> tuple[Logprob, ...]:
    """Log probabilities of a choice in OpenAI's form; anything else there is ignored."""
    held = choice.get("logprobs")
    content = held.get("content") if isinstance(held, dict) else None
    if not isinstance(content, list):
        return ()
    found = ((entry, _chance(entry)) for entry in content)
    return tuple(
        Logprob(**chance, top_logprobs=_top(entry.get("top_logprobs")))
        for entry, chance in found
        if chance is not None
    )


def _top(value: object) -> list[TokenChance]:
    entries = value[:MAX_TOP] if isinstance(value, list) else []
    return [chance for entry in entries if (chance := _chance(entry)) is not None]


def _chance(entry: object) -> TokenChance | None:
    if not isinstance(entry, dict):
        return None
    token, figure, raw = entry.get("token"), entry.get("logprob"), entry.get("bytes")
    if not isinstance(token, str) or isinstance(figure, bool) or figure is None:
        return None
    if not isinstance(figure, int | float):
        return None
    plain = isinstance(raw, list) and all(type(b) is int and 0 <= b < 256 for b in raw)
    return TokenChance(
        token=token.encode("utf-8", "replace").decode(),
        logprob=float(figure) if math.isfinite(figure) else IMPOSSIBLE,
        bytes=raw if plain else None,
    )
