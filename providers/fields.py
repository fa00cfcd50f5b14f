"""The fields of a chat request beside its messages: passed on, ignored or refused.

Explicit lists, so that users need not guess. A field in none of them is sent to the provider if its
host lists it under `passes`, and is refused by name otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from config.errors import UsageError

PASSED = frozenset({"seed", "presence_penalty", "frequency_penalty", "logit_bias",
                    "reasoning_effort", "verbosity"})  # fmt: skip
"""Sent to the provider under their own names if they request something."""

SILENT = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier",
                    "session_id"})  # fmt: skip
"""Fields about the caller or billing that do not affect the answer."""

NOTED = frozenset({
    "store", "prompt_cache_retention", "prediction", "keep_alive", "cache_prompt", "priority",
    "timings_per_token", "return_progress", "id_slot", "slot_id", "request_id", "usage", "tags",
    "timeout", "num_retries", "max_retries", "caching", "cache", "trace", "trace_id", "user_id",
    "conversation_id", "chat_id", "thread_id", "parent_id", "message_id", "include_reasoning",
    "reasoning_format", "return_token_ids", "enable_caching", "safe_prompt_id", "extra_headers",
    "stream_options.continuous_usage_stats",
})  # fmt: skip
"""Cannot change the meaning of the answer: ignored, with a note in the `router` object."""

NEUTRAL: dict[str, tuple[object, ...]] = {
    "top_k": (0, -1), "min_p": (0,), "top_a": (0,), "typical_p": (1,), "tfs_z": (1,),
    "repetition_penalty": (1,), "repeat_penalty": (1,), "length_penalty": (1,), "mirostat": (0,),
    "best_of": (1,), "min_tokens": (0,), "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,), "add_generation_prompt": (True,),
    "function_call": ("none", "auto"), "route": ("fallback",), "thinking": ({"type": "disabled"},),
}  # fmt: skip
"""The servers' defaults: a client that sends these requests nothing."""

HINTS = {
    "n": "only one answer is given",
    "audio": "answers are text",
    "web_search_options": "no provider here searches the web",
}


MAX_DEPTH = 100
"""Maximum nesting of what is passed on unchanged; encoders fail, or worse, a little beyond that."""


def check_json(value: object, param: str, depth: int = 0) -> None:
    """Raise UsageError for a value that cannot be passed on as JSON, or is nested too deeply."""
    if depth > MAX_DEPTH:
        raise UsageError(f"`{param}` is nested more than {MAX_DEPTH} levels deep", param)
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise UsageError(
                    f"`{param}` contains the name {name!r:.60}, which is not text", param
                )
            check_json(inner, param, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            check_json(inner, param, depth + 1)
    elif not _is_plain(value):
        raise UsageError(f"`{param}` contains {value!r:.60}, which is not JSON", param)


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**64
    return value is None or isinstance(value, str)


def asks_nothing(value: object) -> bool:
    """Null, false and empty values request nothing, whatever the field."""
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)


def sorted_out(
    unknown: Mapping[str, object], passes: frozenset[str]
) -> tuple[dict[str, object], list[str]]:
    """The unknown fields to send to hosts that accept them, and the names of ignored ones.

    `passes`: the fields listed by any enabled host. Raises UsageError for the first that is
    neither.
    """
    passed: dict[str, object] = {}
    ignored: list[str] = []
    for name, value in unknown.items():
        if asks_nothing(value):
            continue
        if name in passes:
            check_json(value, name)
            passed[name] = value
        elif name in NOTED:
            ignored.append(name)
        elif not _is_neutral(name, value):
            hint = HINTS.get(name, "leave it out")
            message = f"`{name}` is not supported here; {hint}"
            raise UsageError(message, name, "unsupported_parameter")
    return passed, ignored


def _is_neutral(name: str, value: object) -> bool:
    return any(value == usual and isinstance(value, bool) == isinstance(usual, bool)
               for usual in NEUTRAL.get(name, ()))  # fmt: skip
