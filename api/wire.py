"""The request of `POST /v1/chat/completions`: what is taken, what is ignored, what is refused.

What would change the answer and is not supported is refused by name. Only what says nothing about
the answer is ignored: `user`, `metadata`, `safety_identifier`, `prompt_cache_key`, `service_tier`.
A parameter that is null counts as absent, as clients send many of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError
from pydantic import model_validator as validator
from pydantic_core import ErrorDetails

from api.errors import RefusedError, invalid
from graph.asked import MAX_PROMPT_CHARS
from providers import base
from race.state import Options

MAX_MESSAGES = 2048
MAX_TOKENS = 1_000_000


class Wire(BaseModel):
    """Strict about names and JSON types alike."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value


class TextPart(Wire):
    """A piece of a message; images, audio and files are refused."""

    type: Literal["text"]
    text: str


def _form(value: Any) -> str:
    return "list" if isinstance(value, list) else "text"


Content = Annotated[
    Annotated[str, Tag("text")]
    | Annotated[list[TextPart], Tag("list"), Field(min_length=1, max_length=256)],
    Discriminator(_form),
]
Word = Annotated[str, Field(min_length=1, max_length=256)]
Stop = Annotated[
    Annotated[Word, Tag("text")]
    | Annotated[list[Word], Tag("list"), Field(min_length=1, max_length=4)],
    Discriminator(_form),
]


class Message(Wire):
    """One turn of the conversation. Parts of a list are joined by line breaks."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content


class StreamOptions(Wire):
    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class ResponseFormat(Wire):
    type: Literal["text"]


class ChatRequest(Wire):
    """OpenAI's chat completion request, as far as it is supported here."""

    model: str = Field(
        default="auto",
        max_length=256,
        description="`auto`, `auto:<category>`, or a provider's name, which is then asked first.",
        examples=["auto", "auto:technical"],
    )
    messages: list[Message] = Field(
        min_length=1,
        max_length=MAX_MESSAGES,
        description="The conversation so far; the last message is the user's.",
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MAX_TOKENS)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    stop: Stop | None = None
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)

    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    store: Literal[False] | None = None
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None

    user: str | None = Field(default=None, description="Ignored.")
    metadata: dict[str, Any] | None = Field(default=None, description="Ignored.")
    safety_identifier: str | None = Field(default=None, description="Ignored.")
    prompt_cache_key: str | None = Field(default=None, description="Ignored.")
    service_tier: str | None = Field(default=None, description="Ignored.")


@dataclass(frozen=True, slots=True)
class Asked:
    """A valid request in the router's terms."""

    model: str
    prompt: str
    history: list[base.Message]
    options: Options
    stream: bool
    include_usage: bool


def parse(body: dict[str, Any]) -> Asked:
    """The request; RefusedError (400) names the first parameter that is wrong."""
    try:
        request = ChatRequest.model_validate(body)
    except ValidationError as error:
        raise refusal(error.errors(include_url=False)) from None
    if request.stream_options and not request.stream:
        raise invalid("`stream_options` goes with `stream: true` only", "stream_options")
    messages = [_message(message) for message in request.messages]
    _check(messages)
    return Asked(
        model=request.model,
        prompt=messages[-1]["content"],
        history=messages[:-1],
        options=_options(request),
        stream=bool(request.stream),
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
    )


def _message(message: Message) -> base.Message:
    content = message.content
    text = content if isinstance(content, str) else "\n".join(part.text for part in content)
    role = "system" if message.role == "developer" else message.role
    return base.Message(role=role, content=text)


def _check(messages: list[base.Message]) -> None:
    last = f"messages[{len(messages) - 1}]"
    if (role := messages[-1]["role"]) != "user":
        said = (
            "going on from an assistant's message is not supported" if role == "assistant" else ""
        )
        raise invalid(f"the last message must be the user's{said and '; ' + said}", f"{last}.role")
    if not messages[-1]["content"].strip():
        raise invalid("the last message is empty; send some text", f"{last}.content")
    size = sum(len(message["content"]) for message in messages)
    if size > MAX_PROMPT_CHARS:
        message = f"the messages have {size} characters; at most {MAX_PROMPT_CHARS} are taken"
        raise invalid(message, "messages", "string_above_max_length")


def _options(request: ChatRequest) -> Options:
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
    if request.stop is not None:
        options["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
    extra = request.model_dump(
        include={"seed", "presence_penalty", "frequency_penalty"}, exclude_none=True
    )
    if extra:
        options["extra"] = extra
    return options


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
        elif not (place and loc[place - 1] in ("content", "stop") and step in ("text", "list")):
            path += f".{step}" if path else step
    return path
