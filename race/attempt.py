"""One call to a provider: started once, ended exactly once, with one outcome and one reason."""

from __future__ import annotations

from collections.abc import Sequence

from config.hosts import Cost
from providers.base import (
    ChatProvider,
    Logprob,
    Message,
    ProviderError,
    ToolCallDelta,
    Usage,
    cost_usd,
    estimate_tokens,
)
from providers.messages import ToolCall, written
from race.actions import Side
from race.events import AttemptEnded
from race.permits import Permit
from race.request import Request
from race.state import Branch
from routing.quality import quality, quality_of_calls
from routing.ranking.reward import CALLER_LIMIT
from telemetry.records import AttemptRow, Outcome, Role


class Attempt:
    """One call and its result. It belongs to a request and has a position in the request's list.

    `row` is its line in the log at this moment: a call that was running when the race was decided
    against it is `timed_out`, and its next revision records the final outcome.
    """

    def __init__(self, request: Request, provider: ChatProvider, role: Role) -> None:
        self.provider = provider.name
        self.model = provider.model
        self.host = provider.host
        self.role: Role = role
        self.seq = len(request.attempts)
        self.at = request.clock()
        self.prefix = ""
        """The text that the caller had been shown before a continuation."""
        self.parts: list[str] = []
        self.thoughts: list[str] = []
        self.logprobs: list[Logprob] = []
        self._calls: dict[int, tuple[ToolCallDelta, list[str]]] = {}
        """By index, the first fragment of each tool call and the fragments of its arguments."""
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.ttft_ms: float | None = None
        self.outcome: Outcome | None = None
        self.error: str | None = None
        self.detail: str | None = None
        self.permit: Permit | None = None
        self._request = request
        self._propensity: float | None = None
        self._prompt: Sequence[Message] = ()
        self._price: Cost | None = None
        self._begun = request.meeting.now()
        self._started_ms = request.meeting.elapsed_ms()
        self._latency_ms: float | None = None
        self.estimated = False
        """The usage is ours, for the host sent none."""
        self._cost_usd: float | None = 0.0
        self._quality: float | None = None
        self._overtaken_ms: float | None = None
        self._hurried = False
        """It lost by time while the caller's own limit was in force."""
        request.attempts.append(self)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def said(self) -> str:
        """Its whole output: text and tool calls."""
        calls = self.tool_calls
        return written({"role": "assistant", "content": self.text, "tool_calls": calls})

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls, ordered by index."""
        return [
            ToolCall(
                id=first.id,
                type="function",
                function={"name": first.name, "arguments": "".join(arguments)},
            )
            for _, (first, arguments) in sorted(self._calls.items())
        ]

    def add_calls(self, pieces: Sequence[ToolCallDelta]) -> None:
        """Append fragments to the calls that they belong to."""
        for piece in pieces:
            _, arguments = self._calls.setdefault(piece.index, (piece, []))
            arguments.append(piece.arguments)

    @property
    def skipped(self) -> bool:
        return self.outcome == "skipped"

    @property
    def running(self) -> bool:
        return self.outcome is None

    @property
    def ok(self) -> bool:
        return self.outcome in ("ok", "late")

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since it started."""
        return round((self._request.meeting.now() - self._begun) * 1000, 1)

    def begin(self, permit: Permit, price: Cost | None, messages: Sequence[Message]) -> None:
        """The call is sent. The propensity is recorded on the first call of the primary's side."""
        self.permit, self._price, self._prompt = permit, price, messages
        if self.role == "primary" and self._request.calls("primary")[0] is self:
            self._propensity = self._request.routed["propensity"]

    def end(
        self,
        outcome: Outcome,
        error: str | None = None,
        detail: str | None = None,
        *,
        failure: ProviderError | None = None,
    ) -> None:
        """The call is over: notifies the caller and returns the permit.

        Raises RuntimeError if it ended before.
        """
        if self.outcome is not None:
            raise RuntimeError(f"attempt {self.seq} has already ended as {self.outcome}")
        late = self._overtaken_ms is not None
        self.outcome = "late" if outcome == "ok" and late else outcome
        self.error, self.detail = (failure.kind, str(failure)) if failure else (error, detail)
        if outcome != "skipped":
            self._measure()
        if self.permit:
            self._give_back(self.permit, failure)
        if not late:
            self._say()

    def finish_for_judge(self) -> None:
        """The race was decided for the other side, and it may finish to be compared with that."""
        self._say()
        self.role = "judge"

    def overtake(self) -> None:
        """The race was decided for the other side: any result from now on is late."""
        self._hurried = self.ttft_ms is None and self._request.asked.ttft_s is not None
        if self.outcome == "ok":
            self.outcome = "late"
        elif self.running:
            self._overtaken_ms = self.elapsed_ms
            if self.permit and self._hurried:
                self.permit.dropped()
            elif self.permit:
                self.permit.too_late()
            self._say()

    def row(self, *, served: bool = False) -> AttemptRow:
        """Its line in the log at this moment."""
        route, running = self._request.routed, self.running
        waiting = running and self._overtaken_ms is not None
        usage = self.usage
        return AttemptRow(
            request_id=self._request.request_id,
            seq=self.seq,
            at=self.at,
            category=route["category"],
            confidence=route["confidence"],
            provider=self.provider,
            model=self.model,
            host=self.host,
            role=self.role,
            outcome=self.outcome or ("timed_out" if waiting else "cancelled"),
            error=self._blame(waiting=waiting),
            detail=self.detail,
            served=served,
            started_ms=self._started_ms,
            ttft_ms=self.ttft_ms,
            latency_ms=self._overtaken_ms if waiting else self._latency_ms,
            tokens_in=usage.tokens_in if usage else None,
            tokens_out=usage.tokens_out if usage else None,
            cost_usd=None if running else self._cost_usd,
            cost_estimated=self.estimated,
            propensity=self._propensity,
            quality=self._quality,
            finish_reason=self.finish_reason,
            revision=int(self._overtaken_ms is not None and not running),
            text=self.text or None,
        )

    def _blame(self, *, waiting: bool) -> str | None:
        """Its error; who was given less time than the configuration gives is not to blame."""
        if self._hurried and self.error is None:
            return CALLER_LIMIT
        return "timeout" if waiting else self.error

    def _measure(self) -> None:
        """Latency, tokens, cost and quality, however it ended."""
        self._latency_ms, text = self.elapsed_ms, self.said if self._calls else self.text
        if self.usage is None and (text or self.outcome in ("cancelled", "timed_out")):
            prompt = "\n".join(written(m) for m in self._prompt)
            self.usage = Usage(estimate_tokens(prompt), estimate_tokens(text))
            self.estimated = True
        if self.usage is not None:
            self._cost_usd = cost_usd(self._price, self.usage)
        if self.ok:
            self._quality = self._judged()

    def _judged(self) -> float:
        """The quality of its form; for tool calls, that of the calls."""
        asked = self._request.asked
        if calls := self.tool_calls:
            offered = (asked.options.get("extra") or {}).get("tools")
            made = [(c["function"]["name"], c["function"]["arguments"]) for c in calls]
            return quality_of_calls(made, offered)
        if not asked.plain:
            return float(bool(self.text.strip()))
        return quality(asked.prompt, self.prefix + self.text, self.finish_reason)

    def _give_back(self, permit: Permit, failure: ProviderError | None) -> None:
        if failure:
            permit.failed(failure)
        elif self.ok:
            permit.succeeded()
        elif self.outcome == "timed_out":
            permit.too_late()
        else:
            permit.dropped()

    def _say(self) -> None:
        if self.role == "judge":
            return  # the caller is answered
        row, meeting = self.row(), self._request.meeting
        meeting.emit(
            AttemptEnded(
                type="attempt_ended",
                request_id=meeting.request_id,
                at_ms=meeting.elapsed_ms(),
                provider=self.provider,
                role=self.role,
                seq=self.seq,
                outcome=row["outcome"],
                error=row["error"],
                detail=self.detail,
                ttft_ms=self.ttft_ms,
                latency_ms=row["latency_ms"],
                tokens_in=row["tokens_in"],
                tokens_out=row["tokens_out"],
                cost_usd=row["cost_usd"],
                cost_estimated=self.estimated,
            )
        )


def skip(request: Request, provider: ChatProvider, role: Side, why: str) -> None:
    """Record a provider that is not asked, and why."""
    Attempt(request, provider, role).end("skipped", detail=why)


def branch_of(request: Request, side: Side) -> Branch:
    """The result of one side, from the decision and its last call."""
    meeting, calls = request.meeting, request.calls(side)
    rows = [attempt.row() for attempt in request.attempts if attempt.role == side]
    if not calls:
        out = meeting.why_out if side == "primary" else None
        return Branch(won=False, text="", outcome="skipped", provider=None, out=out, attempts=rows)
    decision, last = meeting.decided.result(), calls[-1]
    row = rows[-1] if request.attempts[-1] is last else last.row()
    won = decision.winner == side
    return Branch(
        won=won,
        refused=decision.reason == "content_filter",
        text=meeting.text if won else last.prefix + last.text,
        tool_calls=last.tool_calls,
        reasoning="".join(last.thoughts),
        logprobs=last.logprobs,
        provider=last.provider,
        model=last.model,
        outcome=row["outcome"],
        error=row["error"],
        detail=last.detail,
        out=meeting.why_out if side == "primary" else decision.reason,
        finish_reason=last.finish_reason,
        attempts=rows,
    )
