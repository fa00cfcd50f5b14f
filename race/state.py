"""What travels through the graph, and what a caller gets back: values alone."""

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
    """What a caller may set for the answer; the names are OpenAI's."""

    max_tokens: int
    temperature: float
    top_p: float
    stop: list[str]
    extra: dict[str, object]
    """All else that goes to the provider as it is: tools, response_format, seed, …"""
    passes: dict[str, object]
    """Fields that only some hosts know (`hosts.<name>.passes`); those of others are not asked."""
    session_id: str
    """The conversation's name; no provider is sent it."""
    ttft_s: float
    """Seconds that the primary has for its first sign of life, in place of the category's."""


class Wishes(TypedDict, total=False):
    """Whom the caller would like to be asked. Names are providers' or their hosts'."""

    models: list[str]
    order: list[str]
    only: list[str]
    ignore: list[str]
    sort: Literal["price", "throughput", "latency"]
    max_price: dict[str, float]
    """USD per million tokens, at most: `prompt`, `completion`."""


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
    """A passage that the fallback was given."""

    source: str
    title: str
    score: float
    text: str


class Branch(TypedDict, total=False):
    """What one side of the race came to."""

    text: str
    tool_calls: list[ToolCall]
    reasoning: str
    logprobs: list[Logprob]
    provider: str | None
    model: str | None
    won: bool  # the race was decided for this side
    refused: bool  # a content filter's word ended the race
    outcome: str
    error: str | None
    detail: str | None
    out: str | None  # what took the floor from the primary; for the fallback, how it all ended
    finish_reason: str | None
    attempts: list[AttemptRow]
    sources: list[Source]  # what the model was given
    passages: list[Source]  # what retrieval found, best first
    confident: bool  # the passages are good enough to be an answer by themselves


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
    """What a run may be given: `messages` that end with the user's, or a `prompt`.

    All but the conversation is of one run alone: a thread does not remember it.
    """

    messages: Annotated[list[AnyMessage], add_messages]
    prompt: Annotated[str | None, EphemeralValue]
    category: Annotated[str | None, EphemeralValue]
    provider: Annotated[str | None, EphemeralValue]
    history: Annotated[list[Message], SkipJsonSchema(), EphemeralValue]
    """The turns before `prompt` in OpenAI's form, for programs; a form shows `messages`."""


class Output(TypedDict, total=False):
    """What a run gives back."""

    messages: Annotated[list[AnyMessage], add_messages]
    answer: AnswerState


class Context(TypedDict, total=False):
    """What an assistant of LangGraph's server, or a caller, fixes for its runs."""

    category: str | None
    """For runs that name none."""
    provider: str | None
    max_tokens: int | None
    temperature: float | None
    tools: list[dict[str, object]] | None
    """In OpenAI's form, as are the next two."""
    tool_choice: str | dict[str, object] | None
    response_format: dict[str, object] | None


class Chosen(TypedDict):
    """What the caller of this turn chose beside the messages, for a run that begins later on."""

    category: str | None
    provider: str | None
    options: Options


class State(Input, total=False):
    """The graph's state: plain values, one writer for each key but the conversation."""

    chosen: Chosen  # classify
    request_id: str  # classify: of this run, never of one before it
    route: Route  # classify
    primary: Branch  # primary
    fallback: Branch  # fallback
    answer: AnswerState  # join
    logged: bool  # log: the commit succeeded
    cause: str | None  # log: why the order should be looked at again
    reranked: OrderChange | None  # rerank


class AnswerDict(TypedDict):
    """An `Answer` as events and JSON carry it."""

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
    """What a question came to. `success` is False when nobody answered; then `error` says why."""

    request_id: str
    text: str
    category: str
    confidence: float
    provider: str | None
    model: str | None
    role: Literal["primary", "fallback"] | None
    attempts: list[AttemptRow]
    cost_usd: float | None
    """USD of all attempts; None when the price of one of them is unknown."""
    latency_ms: float
    ttft_ms: float | None
    success: bool = True
    error: str | None = None
    error_kind: str | None = None
    why: str | None = None
    """Why the answer changed hands, or why there is none: one sentence, as in the log."""
    chosen: str | None = None
    """Why the provider that was asked first was: one sentence."""
    note: str | None = None
    finish_reason: str | None = None
    tokens_in: int | None = None
    """Of the prompt, and of the text as the caller has it: see "What usage counts" in docs/race.md;
    None where nobody counted them."""
    tokens_out: int | None = None
    tokens_cached: int = 0
    """Of `tokens_in`, those that the host found in its cache, as far as it said so."""
    tokens_reasoning: int = 0
    """Of `tokens_out`, those of the model's thoughts, likewise."""
    sources: list[Source] = field(default_factory=list)
    grounded: bool = False
    """The text rests on `sources`."""
    retry_after_s: float | None = None
    """Where nobody answered: the seconds after which asking again may help, if that is known."""
    tool_calls: list[ToolCall] = field(default_factory=list)
    """What the model wants called, in OpenAI's form."""
    reasoning: str = ""
    """The model's thoughts, as far as its host shows them."""
    logprobs: list[Logprob] = field(default_factory=list)
    """Of the answer's tokens, where they were asked for and the host has them."""
    evidence: dict[str, object] = field(default_factory=dict)
    probabilities: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> AnswerDict:
        """Its fields; what they hold is shared, not copied."""
        return cast("AnswerDict", {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_dict(cls, values: AnswerDict) -> Answer:
        return cls(**values)
