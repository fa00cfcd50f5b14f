"""The events of one request, as `Router.stream` yields them; each is JSON-serialisable."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from providers.base import Logprob
from race.actions import Side
from race.state import AnswerDict, OrderChange, Route, Source
from telemetry.records import Outcome, Role


class Stamped(TypedDict):
    """Fields of every event."""

    request_id: str
    at_ms: float  # since the request came in


class Classified(Stamped, Route):
    type: Literal["classified"]


class Retrieved(Stamped):
    """What the knowledge base has for the prompt, while others may still answer it."""

    type: Literal["retrieved"]
    passages: list[Source]  # best first
    confident: bool  # they are good enough to be an answer by themselves
    answer: str | None  # what can be given from them alone, where they are


class AttemptStarted(Stamped):
    type: Literal["attempt_started"]
    provider: str
    model: str
    host: str
    role: Side
    seq: int
    simulated: bool


class FirstToken(Stamped):
    type: Literal["first_token"]
    provider: str
    role: Side
    seq: int
    ttft_ms: float  # since the attempt started


class Token(Stamped):
    type: Literal["token"]
    text: str
    provider: str
    role: Side
    logprobs: NotRequired[list[Logprob]]  # if the caller asked for them and the host has them


class Thought(Stamped):
    """A piece of the model's reasoning, as far as its host shows it."""

    type: Literal["reasoning"]
    text: str
    provider: str
    role: Side


class CallPiece(TypedDict):
    """A fragment of a tool call; see `providers.base.ToolCallDelta`."""

    index: int
    id: str
    name: str
    arguments: str


class ToolCalls(Stamped):
    """Fragments of tool calls, in the provider's own order and with its own ids."""

    type: Literal["tool_calls"]
    calls: list[CallPiece]
    provider: str
    role: Side


class Switched(Stamped):
    """Discard the last `discard` characters and all tool calls; `provider` speaks from here."""

    type: Literal["switched"]
    to: Side
    provider: str
    reason: str
    discard: int


class AttemptEnded(Stamped):
    type: Literal["attempt_ended"]
    provider: str
    role: Role
    seq: int
    outcome: Outcome
    error: str | None
    detail: str | None
    ttft_ms: float | None
    latency_ms: float | None
    tokens_in: int | None
    tokens_out: int | None
    cost_usd: float | None
    cost_estimated: bool


class Logged(Stamped):
    type: Literal["logged"]
    ok: bool


class Answered(Stamped):
    type: Literal["answered"]
    answer: AnswerDict  # `Answer.from_dict` converts it to an Answer


class Reranked(Stamped, OrderChange):
    type: Literal["reranked"]


Phase = Literal["started", "ended", "failed"]


class NodePhase(Stamped, total=False):
    """A node of the graph started, ended (with the values it added) or failed (with its error)."""

    type: Literal["node"]
    name: str
    phase: Phase
    output: object
    error: str


Event = (
    Classified
    | Retrieved
    | AttemptStarted
    | FirstToken
    | Token
    | Thought
    | ToolCalls
    | Switched
    | AttemptEnded
    | Logged
    | Answered
    | Reranked
    | NodePhase
)


class LateAnswer(TypedDict):
    """A primary's answer that came after its fallback was served."""

    type: Literal["late"]
    request_id: str
    provider: str
    text: str
    latency_ms: float | None
    cost_usd: float | None
