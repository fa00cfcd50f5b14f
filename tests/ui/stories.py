"""The events of a few requests, as `Router.stream` gives them."""

from __future__ import annotations

from typing import Any

from ui.display import DisplayConfig
from ui.view import View

TERMS = DisplayConfig({"technical": (1000.0, 60_000.0)}, {"star": "simulated", "cheap": "embedded"})

ROUTE = {
    "category": "technical",
    "confidence": 0.9,
    "probabilities": {"general": 0.1, "technical": 0.9},
    "margin": 0.8,
    "evidence": {"nearest": [{"example": "Why TCP?", "category": "technical", "similarity": 0.7}]},
    "order": ["star", "steady"],
    "preferred": "star",
    "propensity": 0.95,
    "explored": False,
}


def new_view(**asked: Any) -> View:
    return View({"prompt": "Why TCP?", **asked}, TERMS)


def fold(*events: dict[str, Any], view: View | None = None) -> View:
    view = view or new_view()
    for event in events:
        view.apply({"request_id": "abc", **event})
    return view


def node(at_ms: float, name: str, phase: str, output: Any = None) -> dict[str, Any]:
    return {"type": "node", "at_ms": at_ms, "name": name, "phase": phase, "output": output}


def begun() -> list[dict[str, Any]]:
    """Both branches run and both models are asked."""
    return [
        node(1, "classify", "started"),
        {"type": "classified", "at_ms": 12, **ROUTE},
        node(13, "classify", "ended", ROUTE),
        node(13, "primary", "started"),
        node(13, "fallback", "started"),
        asked(14, 0, "star", "primary"),
        asked(15, 1, "cheap", "fallback"),
    ]


def asked(at_ms: float, seq: int, provider: str, role: str) -> dict[str, Any]:
    known = {"provider": provider, "model": f"{provider}-1", "host": "h", "role": role, "seq": seq}
    return {"type": "attempt_started", "at_ms": at_ms, "simulated": provider == "star", **known}


def first(at_ms: float, seq: int, provider: str, role: str) -> dict[str, Any]:
    known = {"provider": provider, "role": role, "seq": seq, "ttft_ms": at_ms - 14}
    return {"type": "first_token", "at_ms": at_ms, **known}


def token(at_ms: float, text: str, provider: str, role: str = "primary") -> dict[str, Any]:
    return {"type": "token", "at_ms": at_ms, "text": text, "provider": provider, "role": role}


def switched(at_ms: float, to: str, provider: str, reason: str, discard: int = 0) -> dict[str, Any]:
    known = {"to": to, "provider": provider, "reason": reason, "discard": discard}
    return {"type": "switched", "at_ms": at_ms, **known}


def ended(at_ms: float, seq: int, provider: str, role: str, outcome: str) -> dict[str, Any]:
    row = row_of(seq, provider, role, outcome, latency_ms=at_ms - 14)
    return {"type": "attempt_ended", "at_ms": at_ms, **row}


def row_of(
    seq: int, provider: str, role: str, outcome: str, *, latency_ms: float, served: bool = False
) -> dict[str, Any]:
    """An attempt's row of the log."""
    return {
        "seq": seq,
        "provider": provider,
        "model": f"{provider}-1",
        "host": "h",
        "role": role,
        "outcome": outcome,
        "error": "server" if outcome == "failed" else None,
        "detail": None,
        "served": served,
        "started_ms": 14.0,
        "ttft_ms": None if outcome == "failed" else 100.0,
        "latency_ms": latency_ms,
        "tokens_in": 10,
        "tokens_out": 20,
        "cost_usd": 0.001,
        "cost_estimated": False,
    }


def over(
    at_ms: float, provider: str, role: str, text: str, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The last three nodes, without a rerank."""
    said = {"text": text, "provider": provider, "role": role, "success": True}
    answer = {**said, "attempts": rows, "latency_ms": at_ms, "ttft_ms": 114.0, "cost_usd": 0.002}
    return [
        node(at_ms, "join", "started"),
        node(at_ms, "join", "ended", said),
        node(at_ms, "log", "started"),
        {"type": "logged", "at_ms": at_ms, "ok": True},
        node(at_ms, "log", "ended", output=True),
        {"type": "answered", "at_ms": at_ms, "answer": {**answer, "note": None, "error": None}},
    ]
