"""The log probabilities of a chunk's tokens, read for what they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from providers.base import Logprob, TokenChance

IMPOSSIBLE = -9999.0
"""What OpenAI writes for a token too unlikely to have a figure; JSON has no infinity."""
MAX_TOP = 20
"""The most likely tokens that can be asked for in each place (OpenAI's API reference)."""


def logprobs_of(choice: Mapping[str, Any]) -> tuple[Logprob, ...]:
    """Those of a choice in OpenAI's form; whatever else stands there is nothing."""
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
