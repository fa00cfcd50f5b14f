"""Folds the events of one request into what the page shows of it.

Pure: no clock and no I/O. `View.apply` takes the events of `Router.stream` and of `Router.late`
in their order; `ui.picture` makes plain values for the browser of it. The same events give the same
view, whether they come live or from the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, cast

from race import events
from race.state import AnswerState, Branch, OrderChange, Route
from telemetry.records import AttemptRow, ToolStep
from ui import wording
from ui.attached import Attachment
from ui.display import (
    Asked,
    DisplayConfig,
    Limit,
    Node,
    Note,
    ShownAnswer,
    ShownAttempt,
    ShownLoser,
)
from ui.wording import say

NODES = ("classify", "primary", "fallback", "join", "log", "rerank")
Phase = Literal["running", "done", "failed", "stopped"]

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
    """One request, as far as its events have come."""

    asked: Asked
    display: DisplayConfig = field(default_factory=DisplayConfig)
    request_id: str = ""
    phase: Phase = "running"
    at_ms: float = 0.0
    text: str = ""
    speaker: str | None = None
    nodes: dict[str, Node] = field(default_factory=lambda: {name: Node() for name in NODES})
    branches: dict[str, Branch] = field(default_factory=dict)
    """What the primary and the fallback came to."""
    attempts: dict[int, ShownAttempt] = field(default_factory=dict)
    route: Route | None = None
    limits: Limit | None = None
    retrieved: events.Retrieved | None = None
    """What the knowledge base has, from before anybody answers."""
    notes: list[Note] = field(default_factory=list)
    answer: ShownAnswer | None = None
    late: events.LateAnswer | None = None
    reranked: OrderChange | None = None
    logged: bool | None = None
    error: str | None = None
    files: list[Attachment] = field(default_factory=list)
    """What was attached to the prompt."""
    corrected: str | None = None
    """The category that the reader taught."""
    number: int | None = None
    """Its place in a conversation, from 0."""
    chat: str = ""
    """That conversation's key."""
    say: str = ""

    def apply(self, event: events.Event | events.LateAnswer) -> None:
        """Fold one event in; an unknown type only moves the clock."""
        self.request_id = event.get("request_id", self.request_id)
        if event["type"] != "late":
            self.at_ms = max(self.at_ms, event.get("at_ms", 0.0))
        handler = getattr(self, f"_{event['type']}", None)
        if handler is not None:
            handler(event)

    def end(self, *, stopped: bool = False, error: str | None = None) -> None:
        """The stream is over; whatever still waits or runs will not happen any more.

        What was answered stays so, though its end was cut off. A stopped request is written to the
        log after its stream has ended.
        """
        if self.phase == "running" and (stopped or error):
            self.phase, self.error = ("stopped" if stopped else "failed"), error
            self.say = "Stopped." if stopped else str(error)
        for name, node in self.nodes.items():
            if node.state == "running":
                node.state, node.ended_ms = "cancelled", self.at_ms
            elif node.state == "waiting":
                node.state = "skipped"
                node.sub = "not needed" if name == "rerank" and self.phase == "done" else ""
        for attempt in self.attempts.values():
            if attempt["outcome"] == "running":
                attempt["outcome"], attempt["ended_ms"] = "cancelled", self.at_ms

    def written(self) -> None:
        """The row of a request that was stopped is in the log."""
        self.logged = True
        self.nodes["log"].state, self.nodes["log"].sub = "done", "written"

    # -- events -------------------------------------------------------------------------------

    def _node(self, event: events.NodePhase) -> None:
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
            self._branch_ended(name, node)
        elif name == "join":
            self._joined(node)
        elif name == "log":
            node.state = "done" if node.output else "failed"
            node.sub = "written" if node.output else say("view.could_not_be")
        elif name == "rerank":
            node.sub = "new order" if node.output else "order kept"

    def _branch_ended(self, name: str, node: Node) -> None:
        branch = self.branches[name] = cast(Branch, node.output or {})
        node.state = _BRANCH_STATES.get(branch.get("outcome", "ok"), "done")
        node.sub = branch.get("provider") or ""

    def _joined(self, node: Node) -> None:
        said = cast(AnswerState, node.output or {})
        node.state = "done" if said.get("success", True) else "failed"
        node.sub = said.get("provider") or "nobody answered"

    def _classified(self, event: events.Classified) -> None:
        route = {k: v for k, v in event.items() if k not in ("type", "request_id", "at_ms")}
        self.route = cast(Route, route)
        category = event["category"]
        self.nodes["classify"].sub = category
        if category in self.display.limits_ms:
            ttft_ms, deadline_ms = self.display.limits_ms[category]
            if (own_s := self.asked.get("ttft_s")) is not None:
                ttft_ms = own_s * 1000
            self.limits = {
                "ttft_ms": event["at_ms"] + ttft_ms,
                "ttft_s": ttft_ms / 1000,
                "deadline_ms": deadline_ms,
            }
        self.say = f"Category {category}."

    def _retrieved(self, event: events.Retrieved) -> None:
        self.retrieved = event

    def _attempt_started(self, event: events.AttemptStarted) -> None:
        self.attempts[event["seq"]] = {
            "seq": event["seq"],
            "provider": event["provider"],
            "model": event.get("model", ""),
            "host": event.get("host", ""),
            "role": event["role"],
            "kind": self.display.kind(event["provider"], simulated=event.get("simulated", False)),
            "outcome": "running",
            "started_ms": event["at_ms"],
            "first_ms": None,
            "ended_ms": None,
            "served": False,
        }
        self.nodes[event["role"]].sub = event["provider"]

    def _first_token(self, event: events.FirstToken) -> None:
        self.attempts[event["seq"]]["first_ms"] = event["at_ms"]

    def _token(self, event: events.Token) -> None:
        if event["provider"] != self.speaker:
            self.say = say("view.is_answering", provider=event["provider"])
        self.text += event["text"]
        self.speaker = event["provider"]

    def _switched(self, event: events.Switched) -> None:
        dropped = self.text[len(self.text) - event["discard"] :] if event["discard"] else ""
        said = wording.took_over(event["provider"], event["reason"])
        self._note(event["at_ms"], said, event["provider"], dropped)
        if event["discard"]:
            self.text = self.text[: -event["discard"]]
        self.speaker = event["provider"]
        lost = "primary" if event["to"] == "fallback" else "fallback"
        if event["reason"] in ("timeout", "stalled") and self.nodes[lost].state == "running":
            self.nodes[lost].state = "late"
        if self.nodes[event["to"]].state == "late" and self.nodes[event["to"]].ended_ms is None:
            self.nodes[event["to"]].state = "running"

    def _note(self, at_ms: float, text: str, to: str, dropped: str = "") -> None:
        self.notes.append({"at_ms": at_ms, "text": text, "to": to, "dropped": dropped})
        self.say = text

    def _attempt_ended(self, event: events.AttemptEnded) -> None:
        ended = {k: v for k, v in event.items() if k not in ("type", "request_id", "at_ms")}
        known = self.attempts.get(event["seq"])
        if known is None:
            kind = self.display.kind(event["provider"])
            known = {"kind": kind, "started_ms": event["at_ms"], "first_ms": None, "served": False}
        changed = {**known, **ended, "ended_ms": event["at_ms"]}
        self.attempts[event["seq"]] = cast(ShownAttempt, changed)

    def _logged(self, event: events.Logged) -> None:
        self.logged = event["ok"]

    def _answered(self, event: events.Answered) -> None:
        given = event["answer"]
        rows: list[AttemptRow] = given["attempts"]
        answer = cast(ShownAnswer, {k: v for k, v in given.items() if k != "attempts"})
        self.answer = answer
        for row in rows:
            self._settle(row)
        if answer.get("stopped"):
            self.phase, self.text, self.say = "stopped", answer["text"], "Stopped."
        elif answer["success"]:
            self.phase, self.text = "done", answer["text"]
            self._explain(event["at_ms"], answer)
            took = wording.seconds(answer["latency_ms"])
            self.say = say("view.answered_in", provider=answer["provider"], took=took)
        else:
            self.phase, self.error = "failed", answer["error"]
            self.say = say("view.nobody_could_answer")

    def _explain(self, at_ms: float, answer: ShownAnswer) -> None:
        """Give the last change of hands the reason that the race decided and the log keeps."""
        why = answer.get("why")
        if not why:
            return
        if not self.notes or self.notes[-1]["to"] != answer["provider"]:
            self._note(at_ms, "", str(answer["provider"]))
        self.notes[-1]["text"] = wording.sentence(why, self.names)

    def _reranked(self, event: events.Reranked) -> None:
        self.reranked = {
            "category": event["category"],
            "before": event["before"],
            "after": event["after"],
            "why": event["why"],
        }

    def _late(self, event: events.LateAnswer) -> None:
        self.late = event
        for attempt in self.attempts.values():
            if attempt["provider"] == event["provider"] and attempt["role"] == "primary":
                attempt["outcome"], attempt["error"] = "late", None
                attempt["latency_ms"], attempt["cost_usd"] = event["latency_ms"], event["cost_usd"]
                ended_ms = attempt["started_ms"] + (event["latency_ms"] or 0.0)
                attempt["ended_ms"] = ended_ms
                self.at_ms = max(self.at_ms, ended_ms)
        if self.answer is not None:
            called = [a for a in self.attempts.values() if a["outcome"] != "skipped"]
            self.answer["cost_usd"] = total(a.get("cost_usd") for a in called)
        self.nodes["primary"].state = "late"
        self.say = say("view.answered_after_all", provider=event["provider"])

    # -- what is derived ----------------------------------------------------------------------

    @property
    def names(self) -> set[str]:
        """The providers that were asked."""
        return {attempt["provider"] for attempt in self.attempts.values()}

    @property
    def awaited(self) -> bool:
        """Its primary lost by time and may still come."""
        timed_out = any(a["outcome"] == "timed_out" for a in self.attempts.values())
        return self.phase == "done" and self.late is None and timed_out

    @property
    def price(self) -> str:
        """What all calls together cost, in words."""
        cost = self.answer.get("cost_usd") if self.answer else None
        return say("view.not_known_yet") if cost is None and self.awaited else wording.usd(cost)

    @property
    def cut(self) -> bool:
        """The answer ended at a length limit, not where the model would have ended it."""
        return bool(self.answer and self.answer.get("finish_reason") == "length")

    @property
    def tools(self) -> list[ToolStep]:
        """The calls that the answer consists of; from the log also those before it, and what the
        tools returned."""
        answer = self.answer or ShownAnswer()
        calls = [
            ToolStep(
                kind="call",
                id=call["id"],
                name=call["function"]["name"],
                text=call["function"]["arguments"],
            )
            for call in answer.get("tool_calls") or []
        ]
        return answer.get("tools") or calls

    def loser(self) -> ShownLoser | None:
        """The text that was not served, where there is one."""
        served = self.answer.get("role") if self.answer else None
        for role in ("primary", "fallback"):
            branch = self.branches.get(role, Branch())
            if served and role != served and branch.get("text"):
                return {"provider": str(branch.get("provider")), "text": branch["text"]}
        return None

    def _settle(self, row: AttemptRow) -> None:
        """An attempt as the log has it; the log's word is final."""
        known = self.attempts.get(row["seq"], {"kind": self.display.kind(row["provider"])})
        start = row.get("started_ms") or 0.0
        keep = ("seq", "provider", "model", "host", "role", "outcome", "error", "detail", "served")
        figures = ("ttft_ms", "latency_ms", "tokens_in", "tokens_out", "cost_usd")
        first, whole = row.get("ttft_ms"), row.get("latency_ms")
        settled = {
            **known,
            **{key: row.get(key) for key in (*keep, *figures, "cost_estimated")},
            "started_ms": start,
            "first_ms": None if first is None else start + first,
            "ended_ms": start if whole is None else start + whole,
        }
        self.attempts[row["seq"]] = cast(ShownAttempt, settled)
