"""The values that travel through the graph, and those that a caller gets back."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Literal, cast

from langchain_core.messages import AnyMessage
from langgraph.channels import EphemeralValue
from langgraph.graph.message import add_messages
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from providers.base import Logprob, Message
from providers.messages import ToolCall
from telemetry.records import AttemptRow

if TYPE_CHECKING:
    pass


class Options(TypedDict, total=False):
    """Options of the caller for the answer; the names are OpenAI's."""

    max_tokens: int
    temperature: float
    top_p: float
    stop: list[str]
    extra: dict[str, object]
    """Everything else that goes to the provider unchanged: tools, response_format, seed, …"""
    passes: dict[str, object]
    """Fields that only some hosts accept (`hosts.<name>.passes`); other hosts are not asked."""
    session_id: str
    """The conversation's name; no provider is sent it."""
    caller: str
    """Tells callers apart, so that the conversations of one are no other's; likewise."""
    ttft_s: float
    """Time limit in seconds for the primary's first sign of life, instead of the category's."""


class Wishes(TypedDict, total=False):
    """The caller's preferences among providers. Names are those of providers or their hosts."""

    models: list[str]
    order: list[str]
    only: list[str]
    ignore: list[str]
    sort: Literal["price", "throughput", "latency"]
    max_price: dict[str, float]
    """Maximum price in USD per million tokens: `prompt`, `completion`."""


class Route(TypedDict):
    """Where a prompt goes, and why."""

    category: str
    confidence: float
    probabilities: dict[str, float]
    margin: float
    evidence: dict[str, object]
    order: list[str]
    preferred: str | None
    propensity: float | None
    explored: bool
    chosen: str
    """Why the first of the order is asked, in one sentence."""


class Source(TypedDict):
    """A passage that was given to the fallback."""

    source: str
    title: str
    score: float
    text: str


class Branch(TypedDict, total=False):
    """The result of one side of the race."""

    text: str
    tool_calls: list[ToolCall]
    reasoning: str
    logprobs: list[Logprob]
    provider: str | None
    model: str | None
    won: bool  # the race was decided for this side
    refused: bool  # a content filter ended the race
    outcome: str
    error: str | None
    detail: str | None
    out: str | None  # what took the floor from the primary; for the fallback, how the race ended
    finish_reason: str | None
    attempts: list[AttemptRow]
    sources: list[Source]  # the messages sent to the model
    passages: list[Source]  # what retrieval found, best first
    confident: bool  # whether the passages are good enough to be an answer by themselves


class OrderChange(TypedDict):
    """A category's learned order before and after."""

    category: str
    before: list[str]
    after: list[str]
    why: str


class AnswerState(TypedDict):
    """The answer that the caller was given, or why there is none."""

    text: str
    tool_calls: list[ToolCall]
    reasoning: str
    logprobs: list[Logprob]
    provider: str | None
    model: str | None
    role: Literal["primary", "fallback"] | None
    success: bool
    error: str | None
    error_kind: str | None
    reason: str | None
    """Why the answer changed hands, or why there is none: one sentence."""
    note: str | None
    finish_reason: str | None
    sources: list[Source]
    grounded: bool


class Input(TypedDict, total=False):
    """The input of a run: `messages` that end with the user's, or a `prompt`.

    Everything except the conversation is for one run only and not remembered in a thread.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    prompt: Annotated[str | None, EphemeralValue]
    category: Annotated[str | None, EphemeralValue]
    provider: Annotated[str | None, EphemeralValue]
    history: Annotated[list[Message], SkipJsonSchema(), EphemeralValue]
    """The turns before `prompt` in OpenAI's form, for programs; forms show `messages`."""


class Output(TypedDict, total=False):
    """The output of a run."""

    messages: Annotated[list[AnyMessage], add_messages]
    answer: AnswerState


class Context(TypedDict, total=False):
    """Settings of an assistant on LangGraph's server, or of a caller, for all its runs."""

    category: str | None
    """For runs that do not set their own."""
    provider: str | None
    max_tokens: int | None
    temperature: float | None
    tools: list[dict[str, object]] | None
    """In OpenAI's form, as are the next two."""
    tool_choice: str | dict[str, object] | None
    response_format: dict[str, object] | None


class Chosen(TypedDict):
    """What the caller of this turn chose beside the messages, for a run that starts midway."""

    category: str | None
    provider: str | None
    options: Options


class State(Input, total=False):
    """The graph's state: plain values, each key written by one node, except the conversation."""

    chosen: Chosen  # classify
    request_id: str  # classify: of this run, never of an earlier one
    route: Route  # classify
    primary: Branch  # primary
    fallback: Branch  # fallback
    answer: AnswerState  # join
    logged: bool  # log: the commit succeeded
    cause: str | None  # log: why the order should be checked again
    reranked: OrderChange | None  # rerank


class AnswerDict(TypedDict):
    """An `Answer` in events and JSON."""

    request_id: str
    text: str
    category: str
    confidence: float
    provider: str | None
    model: str | None
    role: Literal["primary", "fallback"] | None
    attempts: list[AttemptRow]
    cost_usd: float | None
    latency_ms: float
    ttft_ms: float | None
    success: bool
    error: str | None
    error_kind: str | None
    why: str | None
    note: str | None
    finish_reason: str | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_cached: int
    tokens_reasoning: int
    sources: list[Source]
    grounded: bool
    retry_after_s: float | None
    tool_calls: list[ToolCall]
    reasoning: str
    logprobs: list[Logprob]
    evidence: dict[str, object]
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a question. `success` is False if nobody answered; then `error` says why."""

    request_id: str
    text: str
    category: str
    confidence: float
    provider: str | None
    model: str | None
    role: Literal["primary", "fallback"] | None
    attempts: list[AttemptRow]
    cost_usd: float | None
    """USD of all attempts; None if the price of one of them is unknown."""
    latency_ms: float
    ttft_ms: float | None
    success: bool = True
    error: str | None = None
    error_kind: str | None = None
    why: str | None = None
    """Why the answer changed hands, or why there is none: one sentence, as in the log."""
    chosen: str | None = None
    """Why the provider that was asked first was chosen: one sentence."""
    note: str | None = None
    finish_reason: str | None = None
    tokens_in: int | None = None
    """Of the prompt, and of the text as the caller has it: see "What usage counts" in docs/race.md;
    None if nobody counted them."""
    tokens_out: int | None = None
    tokens_cached: int = 0
    """The part of `tokens_in` that was in the host's cache, as far as the host reported it."""
    tokens_reasoning: int = 0
    """The part of `tokens_out` spent on reasoning, as far as the host reported it."""
    sources: list[Source] = field(default_factory=list)
    grounded: bool = False
    """Whether the text is based on `sources`."""
    retry_after_s: float | None = None
    """If nobody answered: the seconds after which asking again may help, if known."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    """The tool calls that the model requests, in OpenAI's form."""
    reasoning: str = ""
    """The model's reasoning, as far as its host shows it."""
    logprobs: list[Logprob] = field(default_factory=list)
    """Of the answer's tokens, if they were requested and the host has them."""
    evidence: dict[str, object] = field(default_factory=dict)
    probabilities: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> AnswerDict:
        """Its fields as a dict; nested values are shared, not copied."""
        return cast("AnswerDict", {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_dict(cls, values: AnswerDict) -> Answer:
        return cls(**values)
