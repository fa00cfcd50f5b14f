"""Folds the events of one request into what the page shows of it.

Pure: no clock and no I/O. `View.apply` takes the events of `Router.stream` and of `Router.late`
in their order; `ui.picture` makes plain values for the browser of it. The same events give the same
view, whether they come live or from the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ui import wording
from ui.display import DisplayConfig, Node

NODES = ("classify", "primary", "fallback", "join", "log", "rerank")
Phase = Literal["running", "done", "failed", "stopped"]
Event = Mapping[str, Any]

_BRANCH_STATES = {
    "ok": "done",
    "failed": "failed",
    "timed_out": "late",
    "late": "late",
    "cancelled": "cancelled",
    "skipped": "skipped",
}


def total(costs: Iterable[float | None]) -> float | None:
    """The sum; unknown where one of them is."""
    known = list(costs)
    return None if None in known else sum(cost or 0.0 for cost in known)


@dataclass
class View:
    """One request. `asked` is what the caller sent: prompt, category, provider, turns before."""

    asked: Mapping[str, Any]
    display: DisplayConfig = field(default_factory=DisplayConfig)
    request_id: str = ""
    phase: Phase = "running"
    at_ms: float = 0.0
    text: str = ""
    speaker: str | None = None
    nodes: dict[str, Node] = field(default_factory=lambda: {name: Node() for name in NODES})
    attempts: dict[int, dict[str, Any]] = field(default_factory=dict)
    route: dict[str, Any] | None = None
    limits: dict[str, float] | None = None
    notes: list[dict[str, Any]] = field(default_factory=list)
    answer: dict[str, Any] | None = None
    late: dict[str, Any] | None = None
    reranked: dict[str, Any] | None = None
    logged: bool | None = None
    error: str | None = None
    corrected: str | None = None
    """The category that the reader taught."""
    say: str = ""

    def apply(self, event: Event) -> None:
        """Fold one event in; an unknown type only moves the clock."""
        self.request_id = event.get("request_id", self.request_id)
        self.at_ms = max(self.at_ms, event.get("at_ms", 0.0))
        handler = getattr(self, f"_{event['type']}", None)
        if handler is not None:
            handler(event)

    def end(self, *, stopped: bool = False, error: str | None = None) -> None:
        """The stream is over; whatever still waits or runs will not happen any more.

        What was answered stays so, though its end was cut off.
        """
        if self.phase == "running" and (stopped or error):
            self.phase, self.error = ("stopped" if stopped else "failed"), error
            self.say = "Stopped." if stopped else str(error)
        for name, node in self.nodes.items():
            if node.state == "running":
                node.state, node.ended_ms = "cancelled", self.at_ms
            elif node.state == "waiting":
                node.state = "skipped"
                node.sub = "no cause" if name == "rerank" and self.phase == "done" else ""
        for attempt in self.attempts.values():
            if attempt["outcome"] == "running":
                attempt["outcome"], attempt["ended_ms"] = "cancelled", self.at_ms

    # -- events -------------------------------------------------------------------------------

    def _node(self, event: Event) -> None:
        name = event["name"]
        node = self.nodes[name]
        if event["phase"] == "started":
            node.state, node.started_ms = "running", event["at_ms"]
            return
        node.ended_ms = event["at_ms"]
        if event["phase"] == "failed":
            node.state, node.sub, node.output = "failed", "", {"error": event.get("error")}
            return
        node.output = event.get("output")
        node.state = "done"
        if name in ("primary", "fallback"):
            self._branch_ended(node)
        elif name == "join":
            self._joined(node)
        elif name == "log":
            node.state = "done" if node.output else "failed"
            node.sub = "committed" if node.output else "could not be written"
        elif name == "rerank":
            node.sub = "new order" if node.output else "order kept"

    def _branch_ended(self, node: Node) -> None:
        branch = node.output or {}
        node.state = _BRANCH_STATES.get(branch.get("outcome", "ok"), "done")
        node.sub = branch.get("provider") or ""

    def _joined(self, node: Node) -> None:
        said = node.output or {}
        node.state = "done" if said.get("success", True) else "failed"
        node.sub = said.get("provider") or "nobody answered"

    def _classified(self, event: Event) -> None:
        self.route = {k: v for k, v in event.items() if k not in ("type", "request_id", "at_ms")}
        category = event["category"]
        self.nodes["classify"].sub = category
        if category in self.display.limits_ms:
            ttft_ms, deadline_ms = self.display.limits_ms[category]
            self.limits = {
                "ttft_ms": event["at_ms"] + ttft_ms,
                "ttft_s": ttft_ms / 1000,
                "deadline_ms": deadline_ms,
            }
        self.say = f"Category {category}."

    def _attempt_started(self, event: Event) -> None:
        keep = ("seq", "provider", "model", "host", "role")
        attempt = {key: event.get(key) for key in keep}
        self.attempts[event["seq"]] = {
            **attempt,
            "kind": self.display.kind(event["provider"], simulated=bool(event.get("simulated"))),
            "outcome": "running",
            "started_ms": event["at_ms"],
            "first_ms": None,
            "ended_ms": None,
            "served": False,
        }
        self.nodes[event["role"]].sub = event["provider"]

    def _first_token(self, event: Event) -> None:
        self.attempts[event["seq"]]["first_ms"] = event["at_ms"]

    def _token(self, event: Event) -> None:
        if event["provider"] != self.speaker:
            self.say = f"{event['provider']} is answering."
        self.text += event["text"]
        self.speaker = event["provider"]

    def _switched(self, event: Event) -> None:
        dropped = self.text[len(self.text) - event["discard"] :] if event["discard"] else ""
        out = self.speaker or self._asked_first()
        limit = self.limits["ttft_s"] * 1000 if self.limits else None
        why = wording.why_switched(event, out, limit)
        self.notes.append(
            {
                "at_ms": event["at_ms"],
                "text": why,
                "to": event["provider"],
                "from": out,
                "dropped": dropped,
            }
        )
        if event["discard"]:
            self.text = self.text[: -event["discard"]]
        self.speaker = event["provider"]
        lost = "primary" if event["to"] == "fallback" else "fallback"
        if event["reason"] in ("timeout", "stalled") and self.nodes[lost].state == "running":
            self.nodes[lost].state = "late"
        if self.nodes[event["to"]].state == "late" and self.nodes[event["to"]].ended_ms is None:
            self.nodes[event["to"]].state = "running"
        self.say = why

    def _attempt_ended(self, event: Event) -> None:
        ended = {k: v for k, v in event.items() if k not in ("type", "request_id", "at_ms")}
        known = self.attempts.get(event["seq"])
        if known is None:
            kind = self.display.kind(event["provider"])
            known = {"kind": kind, "started_ms": event["at_ms"], "first_ms": None, "served": False}
        self.attempts[event["seq"]] = {**known, **ended, "ended_ms": event["at_ms"]}

    def _logged(self, event: Event) -> None:
        self.logged = event["ok"]

    def _answered(self, event: Event) -> None:
        answer = event["answer"]
        self.answer = {k: v for k, v in answer.items() if k != "attempts"}
        for row in answer["attempts"]:
            self._settle(row)
        if answer["success"]:
            self.phase, self.text = "done", answer["text"]
            took = wording.seconds(answer["latency_ms"])
            self.say = f"{answer['provider']} answered in {took}."
        else:
            self.phase, self.error = "failed", answer["error"]
            self.say = "Nobody could answer."

    def _reranked(self, event: Event) -> None:
        self.reranked = {k: event[k] for k in ("category", "before", "after", "why")}

    def _late(self, event: Event) -> None:
        self.late = {k: event.get(k) for k in ("provider", "text", "latency_ms", "cost_usd")}
        for attempt in self.attempts.values():
            if attempt["provider"] == event["provider"] and attempt["role"] == "primary":
                attempt["outcome"], attempt["error"] = "late", None
                attempt["latency_ms"], attempt["cost_usd"] = event["latency_ms"], event["cost_usd"]
                attempt["ended_ms"] = attempt["started_ms"] + event["latency_ms"]
                self.at_ms = max(self.at_ms, attempt["ended_ms"])
        costs = [a.get("cost_usd") for a in self.attempts.values() if a["outcome"] != "skipped"]
        if self.answer is not None:
            self.answer["cost_usd"] = total(costs)
        self.nodes["primary"].state = "late"
        self.say = f"{event['provider']} answered after all; open the amendment to read it."

    # -- what is derived ----------------------------------------------------------------------

    @property
    def awaited(self) -> bool:
        """Its primary lost by time and may still come."""
        timed_out = any(a["outcome"] == "timed_out" for a in self.attempts.values())
        return self.phase == "done" and self.late is None and timed_out

    @property
    def price(self) -> str:
        """What all calls together cost, in words."""
        cost = (self.answer or {}).get("cost_usd")
        return "not known yet" if cost is None and self.awaited else wording.usd(cost)

    def loser(self) -> dict[str, Any] | None:
        """The text that was not served, where there is one: its provider, text and fate."""
        served = (self.answer or {}).get("role")
        for role in ("primary", "fallback"):
            branch = self.nodes[role].output or {}
            if served and role != served and branch.get("text"):
                return {key: branch.get(key) for key in ("provider", "text", "outcome")}
        return None

    def _settle(self, row: Mapping[str, Any]) -> None:
        """An attempt as the log has it; the log's word is final."""
        known = self.attempts.get(row["seq"], {})
        start = row.get("started_ms") or 0.0
        keep = ("seq", "provider", "model", "host", "role", "outcome", "error", "detail", "served")
        figures = ("ttft_ms", "latency_ms", "tokens_in", "tokens_out", "cost_usd")
        first, whole = row.get("ttft_ms"), row.get("latency_ms")
        self.attempts[row["seq"]] = {
            "kind": self.display.kind(row["provider"]),
            **known,
            **{key: row.get(key) for key in (*keep, *figures, "cost_estimated")},
            "started_ms": start,
            "first_ms": None if first is None else start + first,
            "ended_ms": start if whole is None else start + whole,
        }

    def _asked_first(self) -> str | None:
        primaries = [a["provider"] for a in self.attempts.values() if a["role"] == "primary"]
        return primaries[-1] if primaries else None
