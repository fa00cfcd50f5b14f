"""What a call cost, in US dollars."""

from __future__ import annotations

import math
import re

from config.models import Cost
from providers.base import Usage

_PIECES = re.compile(r"[A-Za-z]+|\d+|[^\sA-Za-z\d]")


def cost_usd(cost: Cost | None, usage: Usage) -> float | None:
    """The price of a call; None when the provider's prices are unknown, which is not free."""
    if cost is None:
        return None
    return (usage.tokens_in * cost.input + usage.tokens_out * cost.output) / 1_000_000


def estimate_tokens(text: str) -> int:
    """About how many tokens a LLaMA tokenizer makes of a text, for when a host sends no usage.

    A word counts one token per six letters begun, a number one per three digits (Llama 3) and any
    other character, of punctuation or of another script, one. Callers mark the cost as estimated.
    """
    tokens = 0
    for piece in _PIECES.findall(text):
        if piece.isascii() and piece.isalpha():
            tokens += math.ceil(len(piece) / 6)
        elif piece.isascii() and piece.isdigit():
            tokens += math.ceil(len(piece) / 3)
        else:
            tokens += 1
    return tokens
