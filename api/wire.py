"""The request of `POST /v1/chat/completions`: which fields are accepted, ignored or refused.

Fields that request nothing (null, false, empty) count as absent, since clients send many of them.
`providers.fields` lists which others are ignored, passed on or refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SkipValidation,
    Tag,
)
from pydantic import model_validator as validator

from providers.chunk import MAX_TOP
from providers.conversation import MAX_MESSAGES
from providers.fields import asks_nothing
from providers.tool_offers import MAX_TOOLS

MAX_TOKENS = 1_000_000


def whole(value: object) -> object:
    """JavaScript and JSON tools may write a whole number as 256.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(whole)]


def without_nul(value: object) -> object:
    """No id contains a NUL, and PostgreSQL refuses to look for one."""
    return value.replace("\x00", "") if isinstance(value, str) else value


Id = Annotated[str, BeforeValidator(without_nul)]


class Wire(BaseModel):
    """Strict about names and JSON types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value


def _form(value: object) -> str:
    return "list" if isinstance(value, list) else "text"


def _without_empty(value: object) -> object:
    """Stop sequences; an empty one has no effect."""
    if isinstance(value, list):
        value = [word for word in value if word not in (None, "")]
    return None if asks_nothing(value) else value


MAX_STOP = 64
"""Maximum number of stop sequences in a request, whatever hosts accept: see
`providers.stopping`."""
Word = Annotated[str, Field(min_length=1, max_length=256)]
Stop = Annotated[
    Annotated[Word, Tag("text")] | Annotated[list[Word], Tag("list"), Field(max_length=MAX_STOP)],
    Discriminator(_form),
]


class StreamOptions(Wire):
    model_config = ConfigDict(extra="allow")

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


class Allowed(Wire):
    mode: Literal["auto", "required"]
    tools: list[NamedTool]


class AllowedTools(Wire):
    type: Literal["allowed_tools"]
    allowed_tools: Allowed


class JsonSchema(Wire):
    model_config = ConfigDict(extra="ignore")

    name: str | None = None
    description: str | None = None
    schema_: dict[str, object] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Wire):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    value: dict[str, object] | None = Field(
        default=None, description="A schema, as text-generation-inference's clients send it."
    )


class MaxPrice(Wire):
    """USD per million tokens."""

    prompt: float | None = Field(default=None, ge=0)
    completion: float | None = Field(default=None, ge=0)


class ProviderWishes(Wire):
    """Preferences among providers; names are those of providers or of their hosts."""

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
        """Without fields that request nothing; a false may have a meaning."""
        if not isinstance(value, dict):
            return value
        return {
            name: item
            for name, item in value.items()
            if name == "messages" or item is False or not asks_nothing(item)
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
    stop: Annotated[Stop | None, BeforeValidator(_without_empty)] = None
    seed: Whole | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[str, float] | None = None
    reasoning_effort: str | None = Field(default=None, max_length=32)
    verbosity: str | None = Field(default=None, max_length=32)
    logprobs: bool | None = None
    top_logprobs: Whole | None = Field(default=None, ge=0, le=MAX_TOP)
    tools: SkipValidation[list[Tool]] | None = Field(
        default=None, description=f"At most {MAX_TOOLS} functions."
    )
    tool_choice: (
        SkipValidation[Literal["none", "auto", "required", "any"] | NamedTool | AllowedTools] | None
    ) = None
    parallel_tool_calls: SkipValidation[bool] | None = None
    functions: SkipValidation[list[Function]] | None = Field(
        default=None,
        description="The older form of `tools`; a call is then returned in the older form.",
    )
    function_call: SkipValidation[Literal["none", "auto"] | NamedFunction] | None = None
    response_format: SkipValidation[ResponseFormat] | None = None
    models: list[str] | None = Field(
        default=None, max_length=64, description="Providers' names, in the order to ask them."
    )
    provider: ProviderWishes | None = None

    n: Annotated[Literal[1], BeforeValidator(whole)] | None = None
    modalities: list[Literal["text"]] | None = None

    user: SkipValidation[str] | None = Field(default=None, description="Ignored.")
    metadata: SkipValidation[dict[str, object]] | None = Field(default=None, description="Ignored.")
    safety_identifier: SkipValidation[str] | None = Field(default=None, description="Ignored.")
    prompt_cache_key: SkipValidation[str] | None = Field(
        default=None,
        description="Without a `session_id` it names the conversation, with the first messages.",
    )
    service_tier: SkipValidation[str] | None = Field(default=None, description="Ignored.")
    session_id: str | None = Field(
        default=None,
        description="Names the conversation, which stays with one provider for a while.",
    )
