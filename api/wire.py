"""The request of `POST /v1/chat/completions`: what is taken, what is ignored, what is refused.

Whatever asks for nothing (null, false, empty) counts as absent, as clients send many of those. The
lists of what else is ignored, passed on or refused stand in `api.fields`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)
from pydantic import model_validator as validator
from pydantic_core import ErrorDetails

from api.errors import RefusedError, invalid
from api.fields import PASSED, asks_nothing, sorted_out
from providers.base import Message
from providers.conversation import MAX_MESSAGES, conversation
from providers.logprobs import MAX_TOP
from providers.messages import written
from race.schema import checked
from race.state import Options, Wishes

MAX_TOKENS = 1_000_000
MAX_TOOLS = 512


def _whole(value: object) -> object:
    """JavaScript and JSON tools write a whole number as 256.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class Wire(BaseModel):
    """Strict about names and JSON types alike."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value


def _form(value: Any) -> str:
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
    parameters: dict[str, Any] | None = None
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
    schema_: dict[str, Any] = Field(alias="schema")
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
    def _without_nulls(cls, value: Any) -> Any:
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
    messages: list[dict[str, Any]] = Field(
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
    metadata: dict[str, Any] | None = Field(default=None, description="Ignored.")
    safety_identifier: str | None = Field(default=None, description="Ignored.")
    prompt_cache_key: str | None = Field(default=None, description="Ignored.")
    service_tier: str | None = Field(default=None, description="Ignored.")
    session_id: str | None = Field(default=None, description="Ignored.")


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid request in the router's terms."""

    model: str
    messages: list[Message]
    options: Options
    wishes: Wishes
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...] = ()
    """Fields that were left out because they cannot change what the answer means."""

    @property
    def prompt(self) -> str:
        """All text that a model reads."""
        return "\n".join(written(message) for message in self.messages)


def parse(body: dict[str, Any], passes: frozenset[str] = frozenset()) -> Asked:
    """The request; RefusedError or UsageError (400) name the first parameter that is wrong.

    `passes`: the fields that any enabled host takes beside OpenAI's.
    """
    try:
        request = ChatRequest.model_validate(body)
    except ValidationError as error:
        raise refusal(error.errors(include_url=False)) from None
    passed, ignored = sorted_out(request.model_extra or {}, passes)
    messages = conversation(body["messages"])
    options = _options(request, body)
    if passed:
        options["passes"] = passed
    return Asked(
        model=request.model,
        messages=messages,
        options=options,
        wishes=_wishes(request),
        stream=bool(request.stream),
        include_usage=bool(
            request.stream and request.stream_options and request.stream_options.include_usage
        ),
        ignored=tuple(ignored),
    )


def _options(request: ChatRequest, body: dict[str, Any]) -> Options:
    """What is passed on to the providers, under OpenAI's names."""
    limits = {request.max_tokens, request.max_completion_tokens} - {None}
    if len(limits) > 1:
        raise invalid("give `max_tokens` or `max_completion_tokens`, not both", "max_tokens")
    options = Options()
    if limit := max((limit for limit in limits if limit is not None), default=None):
        options["max_tokens"] = limit
    if request.temperature is not None:
        options["temperature"] = request.temperature
    if request.top_p is not None:
        options["top_p"] = request.top_p
    if request.stop:
        options["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
    extra: dict[str, object] = {
        name: value
        for name in PASSED & request.model_fields_set
        if (value := getattr(request, name)) not in (None, "", {})
    }
    extra |= _tools(request, body) | _format(request, body) | _logprobs(request)
    if extra:
        options["extra"] = extra
    return options


def _tools(request: ChatRequest, body: dict[str, Any]) -> dict[str, object]:
    """The tools as they came, and how they may be called."""
    choice = request.tool_choice
    if not request.tools:
        if choice in (None, "none", "auto"):
            return {}
        raise invalid("`tool_choice` goes with `tools` only", "tool_choice")
    found: dict[str, object] = {"tools": body["tools"]}
    if isinstance(choice, NamedTool):
        if choice.function.name not in {tool.function.name for tool in request.tools}:
            raise invalid("`tool_choice` names a tool that is not in `tools`", "tool_choice")
        found["tool_choice"] = choice.model_dump()
    elif choice is not None:
        found["tool_choice"] = "required" if choice == "any" else choice
    if request.parallel_tool_calls is not None:
        found["parallel_tool_calls"] = request.parallel_tool_calls
    return found


def _format(request: ChatRequest, body: dict[str, Any]) -> dict[str, object]:
    form = request.response_format
    if form is None or form.type == "text":
        return {}
    checked(body["response_format"])
    return {"response_format": body["response_format"]}


def _logprobs(request: ChatRequest) -> dict[str, object]:
    if not request.logprobs:
        if request.top_logprobs:
            raise invalid("`top_logprobs` goes with `logprobs: true` only", "top_logprobs")
        return {}
    top = {} if request.top_logprobs is None else {"top_logprobs": request.top_logprobs}
    return {"logprobs": True, **top}


def _wishes(request: ChatRequest) -> Wishes:
    wishes = Wishes()
    if request.models:
        wishes["models"] = request.models
    if request.provider is not None:
        given = request.provider.model_dump(exclude_none=True)
        for name in ("allow_fallbacks", "require_parameters"):
            given.pop(name, None)
        wishes.update({name: value for name, value in given.items() if value})  # type: ignore[typeddict-item]
    return wishes


def refusal(errors: Sequence[ErrorDetails]) -> RefusedError:
    """400 for the first of pydantic's errors, in our words."""
    first = errors[0]
    param = _param(first["loc"])
    given = repr(first["input"])[:60]
    match first["type"]:
        case "extra_forbidden":
            message = f"`{param}` is not supported here; leave it out"
            return invalid(message, param, "unsupported_parameter")
        case "literal_error":
            expected = first.get("ctx", {}).get("expected")
            message = f"`{param}`: {given} is not supported here; it can be {expected}"
            return invalid(message, param, "unsupported_value")
        case "missing":
            return invalid(f"`{param}` is missing", param, "missing_required_parameter")
        case _:
            return invalid(f"`{param}`: {first['msg']}", param or None, "invalid_value")


def _param(loc: Sequence[int | str]) -> str:
    """`messages[0].content[1].type`, without pydantic's tags for the form of a value."""
    path = ""
    for place, step in enumerate(loc):
        if isinstance(step, int):
            path += f"[{step}]"
        elif step in ("NamedTool", "schema_") or str(step).startswith(("literal[", "function-")):
            continue
        elif not (place and loc[place - 1] == "stop" and step in ("text", "list")):
            path += f".{step}" if path else step
    return path
