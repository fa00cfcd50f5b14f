"""The provider protocol, its values, its error, and the cost of a call."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from typing_extensions import TypedDict

from config.errors import RouterError
from config.hosts import Capability, Cost
from providers.messages import Message as Message

ErrorKind = Literal[
    "auth",
    "rate_limited",
    "server",
    "connection",
    "timeout",
    "bad_reply",
    "bad_request",
    "capability",
    "schema",
    "content_filter",
    "context_length",
    "not_found",
]


@dataclass(frozen=True, slots=True)
class CallOptions:
    """Options that a caller may set for one call; None keeps the provider's own setting."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    extra: dict[str, object] = field(default_factory=dict)
    """Further parameters of the OpenAI dialect, passed on unchanged (tools, seed, penalties)."""


DEFAULT_OPTIONS = CallOptions()


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as reported by the provider."""

    tokens_in: int
    tokens_out: int
    cached: int = 0
    """The part of `tokens_in` that was in the host's cache."""
    thoughts: int = 0
    """The part of `tokens_out` spent on reasoning."""


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A fragment of a tool call; `index` identifies the call. `id` and `name` are in its first
    fragment only; the fragments of `arguments`, joined, are JSON as the model wrote it."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


class TokenChance(TypedDict):
    """A token and its log probability; `bytes` is its text in UTF-8, if the host reports it."""

    token: str
    logprob: float
    bytes: list[int] | None


class Logprob(TokenChance):
    """Log probability of one token of the answer, with the most likely alternatives."""

    top_logprobs: list[TokenChance]


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of a streamed answer, checked: no unvalidated value of the provider is in it.

    `text` is answer content; a reasoning delta has `reasoning` and no text. The last delta has
    `finish_reason`; `usage` may come with it or after it. `logprobs` come in a delta of their own
    before the text that they describe.
    """

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: tuple[Logprob, ...] = ()


class ProviderError(RouterError):
    """A call failed. `kind` is the category used in the log; `str(error)` never contains a key."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        lacks: Capability | None = None,
        credit: bool = False,
    ) -> None:
        """`lacks`: the missing capability, if the kind is `capability`; `credit`: the key is known
        and its account wants to be paid first, if the kind is `auth`."""
        super().__init__(message)
        self.kind = kind
        self.lacks = lacks
        self.credit = credit
        self.status = status
        self.retry_after_s = retry_after_s


class ChatProvider(Protocol):
    """A model at a host. Instances are shared by all requests of one event loop."""

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def simulated(self) -> bool:
        """True if no real model answers; shown wherever the name is."""
        ...

    def stream(
        self, messages: Sequence[Message], options: CallOptions = DEFAULT_OPTIONS
    ) -> AsyncIterator[Delta]:
        """Yields the answer as it comes.

        Ends normally only after a `finish_reason` (or the dialect's end mark) and at least one
        content delta. Raises ProviderError for anything a provider can do wrong, including a cut
        stream (`connection`) and an empty answer (`bad_reply`). It has no deadline of its own
        beyond connecting: the race decides. Closing the iterator ends the upstream call.
        """
        ...

    async def models(self) -> list[str]:
        """The models that the host lists; raises ProviderError."""
        ...

    async def close(self) -> None:
        """Close the connections of this event loop."""
        ...


_PIECES = re.compile(r"([A-Za-z]+)|(\d+)|([!-/:-@\[-`{-~]+)|(\S)")
_PER_TOKEN = {1: 6, 2: 3, 3: 2, 4: 1}
"""Characters per token: of a word, a number, a run of punctuation, another script."""


def cost_usd(cost: Cost | None, usage: Usage) -> float | None:
    """The cost of a call in USD; None if the provider's prices are unknown, which does not mean
    free."""
    if cost is None:
        return None
    reading = usage.tokens_in * cost.input
    if cost.cached_input is not None:
        reading += usage.cached * (cost.cached_input - cost.input)
    return (reading + usage.tokens_out * cost.output) / 1_000_000


def estimate_tokens(text: str) -> int:
    """Estimated number of LLaMA tokens in a text, for hosts that report no usage.

    A word counts one token for every six letters begun, a number one for every three digits (Llama
    3), a run of punctuation one for every two characters, and any other character one. On English
    and on code the sum is within 5% of SmolLM2's tokenizer. Callers mark the cost as estimated.
    """
    return sum(
        math.ceil(len(found.group()) / _PER_TOKEN[found.lastindex or 4])
        for found in _PIECES.finditer(text)
    )
