"""The request of `POST /v1/chat/completions`: what is taken, what is ignored, what is refused.

Whatever asks for nothing (null, false, empty) counts as absent, as clients send many of those.
Three written lists say what else is passed on, ignored and noted, so that nobody need guess: a
field that stands in none of them goes to the provider if its host lists it under `passes`, and is
refused by name else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
)
from pydantic import model_validator as validator

from api.errors import RefusedError, invalid
from providers.chunk import MAX_TOP
from providers.conversation import MAX_MESSAGES

MAX_TOKENS = 1_000_000
MAX_TOOLS = 512

PASSED = frozenset({"seed", "presence_penalty", "frequency_penalty", "logit_bias",
                    "reasoning_effort", "verbosity"})  # fmt: skip
"""Go to the provider under their own names where they ask for something."""

SILENT = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "service_tier",
                    "session_id"})  # fmt: skip
"""Say who asks or how it is billed, and nothing about the answer."""

NOTED = frozenset({
    "store", "prompt_cache_retention", "prediction", "keep_alive", "cache_prompt", "priority",
    "timings_per_token", "return_progress", "id_slot", "slot_id", "request_id", "usage", "tags",
    "timeout", "num_retries", "max_retries", "caching", "cache", "trace", "trace_id", "user_id",
    "conversation_id", "chat_id", "thread_id", "parent_id", "message_id", "include_reasoning",
    "reasoning_format", "return_token_ids", "enable_caching", "safe_prompt_id", "extra_headers",
})  # fmt: skip
"""Cannot change what the answer means: ignored, with a note in the `router` object."""

HINTS = {
    "functions": "use `tools`",
    "function_call": "use `tool_choice`",
    "n": "only one answer is given",
    "audio": "answers are text",
    "web_search_options": "no provider here searches the web",
}


def asks_nothing(value: object) -> bool:
    """Null, false and empty ask for nothing, whatever the field."""
    return value is None or value is False or (isinstance(value, str | list | dict) and not value)


def sorted_out(
    unknown: Mapping[str, object], passes: frozenset[str]
) -> tuple[dict[str, object], list[str]]:
    """What of the unknown fields goes to hosts that know it, and the names of what is ignored.

    `passes`: what any enabled host lists. Raises RefusedError (400) for the first that is neither.
    """
    passed: dict[str, object] = {}
    ignored: list[str] = []
    for name, value in unknown.items():
        if asks_nothing(value):
            continue
        if name in passes:
            passed[name] = value
        elif name in NOTED:
            ignored.append(name)
        else:
            raise refused(name)
    return passed, ignored


def refused(name: str) -> RefusedError:
    """400 for a field that would change the answer and cannot be passed on."""
    hint = HINTS.get(name, "leave it out")
    return invalid(f"`{name}` is not supported here; {hint}", name, "unsupported_parameter")


def _whole(value: object) -> object:
    """JavaScript and JSON tools write a whole number as 256.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class Wire(BaseModel):
    """Strict about names and JSON types alike."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value


def _form(value: object) -> str:
    return "list" if isinstance(value, list) else "text"


Word = Annotated[str, Field(min_length=1, max_length=256)]
Stop = Annotated[
    Annotated[Word, Tag("text")] | Annotated[list[Word], Tag("list"), Field(max_length=4)],
    Discriminator(_form),
]


class StreamOptions(Wire):
    include_usage: bool | None = None
    include_obfuscation: bool | None = Field(default=None, description="Ignored.")


class Function(Wire):
    model_config = ConfigDict(extra="ignore")

    name: str = Field(pattern=r"^[a-zA-Z0-9_.:-]{1,128}$")
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None


class Tool(Wire):
    model_config = ConfigDict(extra="ignore")

    type: Literal["function"]
    function: Function


class NamedFunction(Wire):
    name: str


class NamedTool(Wire):
    type: Literal["function"]
    function: NamedFunction


class JsonSchema(Wire):
    model_config = ConfigDict(extra="ignore")

    name: str | None = None
    description: str | None = None
    schema_: dict[str, object] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Wire):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class MaxPrice(Wire):
    """USD per million tokens."""

    prompt: float | None = Field(default=None, ge=0)
    completion: float | None = Field(default=None, ge=0)


class ProviderWishes(Wire):
    """Whom to ask; names are those of providers or of their hosts."""

    order: list[str] | None = Field(default=None, max_length=64)
    only: list[str] | None = Field(default=None, max_length=64)
    ignore: list[str] | None = Field(default=None, max_length=64)
    sort: Literal["price", "throughput", "latency"] | None = None
    max_price: MaxPrice | None = None
    allow_fallbacks: Literal[True] | None = Field(default=None, description="Always so here.")
    require_parameters: bool | None = Field(default=None, description="Always so here.")


class ChatRequest(Wire):
    """OpenAI's chat completion request, as far as it is supported here."""

    model_config = ConfigDict(extra="allow")

    @validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        """Without all that asks for nothing; a false may say something."""
        if not isinstance(value, dict):
            return value
        return {
            name: item
            for name, item in value.items()
            if name in ("messages", "model") or item is False or not asks_nothing(item)
        }

    model: str = Field(
        default="auto",
        max_length=256,
        description="`auto`, `auto:<category>`, `auto:floor` (cheapest first), `auto:nitro` "
        "(fastest first), or a provider's name, which is then asked first.",
        examples=["auto", "auto:technical"],
    )
    messages: list[dict[str, object]] = Field(
        description=f"The conversation so far, at most {MAX_MESSAGES} messages in OpenAI's form: "
        "text, pictures, calls of tools and their results.",
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Whole | None = Field(default=None, ge=1, le=MAX_TOKENS)
    max_completion_tokens: Whole | None = Field(default=None, ge=1, le=MAX_TOKENS)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: Stop | None = None
    seed: Whole | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None
    reasoning_effort: str | None = Field(default=None, max_length=32)
    verbosity: str | None = Field(default=None, max_length=32)
    logprobs: bool | None = None
    top_logprobs: Whole | None = Field(default=None, ge=0, le=MAX_TOP)
    tools: list[Tool] | None = Field(default=None, max_length=MAX_TOOLS)
    tool_choice: Literal["none", "auto", "required", "any"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    models: list[str] | None = Field(
        default=None, max_length=64, description="Providers' names, in the order to ask them."
    )
    provider: ProviderWishes | None = None

    n: Annotated[Literal[1], BeforeValidator(_whole)] | None = None
    modalities: list[Literal["text"]] | None = None

    user: str | None = Field(default=None, description="Ignored.")
    metadata: dict[str, object] | None = Field(default=None, description="Ignored.")
    safety_identifier: str | None = Field(default=None, description="Ignored.")
    prompt_cache_key: str | None = Field(default=None, description="Ignored.")
    service_tier: str | None = Field(default=None, description="Ignored.")
    session_id: str | None = Field(default=None, description="Ignored.")
