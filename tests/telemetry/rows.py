"""Rows as the graph writes them."""

from __future__ import annotations

from typing import Any

from telemetry.records import AttemptRow, InteractionRow


def request(request_id: str, at: float = 1_000.0, **fields: Any) -> InteractionRow:
    row: InteractionRow = {
        "request_id": request_id,
        "at": at,
        "category": "technical",
        "confidence": 0.9,
        "evidence": {"keywords": ["tcp"]},
        "preferred": "model-a",
        "fallback": "local",
        "fallback_used": False,
        "winner": "model-a",
        "role": "primary",
        "success": True,
        "latency_ms": 812.5,
        "ttft_ms": 210.0,
        "cost_usd": 0.0004,
        "prompt_hash": "5d41402a",
        "simulated": False,
    }
    row.update(fields)  # type: ignore[typeddict-item]
    return row


def attempt(seq: int = 0, **fields: Any) -> AttemptRow:
    row: AttemptRow = {
        "seq": seq,
        "provider": "model-a",
        "model": "llama-3.3-70b",
        "host": "groq",
        "role": "primary",
        "outcome": "ok",
        "served": True,
        "ttft_ms": 210.0,
        "latency_ms": 800.0,
        "tokens_in": 20,
        "tokens_out": 90,
        "cost_usd": 0.0004,
        "cost_estimated": False,
        "propensity": 0.95,
    }
    row.update(fields)  # type: ignore[typeddict-item]
    return row
