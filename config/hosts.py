"""Hosts and the models that they serve, as the configuration names them; typed and frozen."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Share = Annotated[float, Field(ge=0, le=1)]
FinishMeaning = Literal["stop", "length", "tool_calls", "content_filter", "error"]
Capability = Literal[
    "tools", "json_schema", "json_object", "images", "audio", "files", "logprobs", "reasoning"
]


class Model(BaseModel):
    """Frozen, and strict about unknown keys, so that a misspelt key is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Host(Model):
    """Where models are served. The loader resolves `url`, `key` and `disabled`."""

    kind: Literal["openai", "llama_cpp", "simulated"] = "openai"
    base_url: str | None = None
    base_url_env: str | None = None
    api_key_env: str | None = None
    headers: dict[str, str] = {}
    passes: tuple[str, ...] = ()
    """Request fields that this host understands and callers may send it, such as `top_k`."""
    finish_reasons: dict[str, FinishMeaning] = {}
    """The host's own finish reasons, each with the standard one it stands for."""
    bound_key: bool = False
    """The key is sent only to the address that `<api_key_env>_HOST` names: so for every host whose
    address the application itself has written."""

    url: str | None = Field(default=None, exclude=True)
    key: SecretStr | None = Field(default=None, exclude=True)
    disabled: str | None = Field(default=None, exclude=True)
    """Why the host cannot be used, as a sentence; None if it can."""


OLD_PRICE_DAYS = 90
"""A price that was last confirmed longer ago is marked as old."""


class Cost(Model):
    """USD per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    """Of the prompt's tokens that the host found in its cache; None: as the others."""
    as_of: date | None = None
    """The day on which the price was confirmed."""
    source: str | None = None
    """Who said so."""

    def days_old(self, today: date) -> int | None:
        """The age of a price in days if it is older than OLD_PRICE_DAYS, otherwise None."""
        days = (today - self.as_of).days if self.as_of else 0
        return days if days > OLD_PRICE_DAYS else None


class Phase(Model):
    """How a simulated provider behaves for a while (`requests` or `seconds`)."""

    requests: int | None = Field(default=None, gt=0)
    seconds: float | None = Field(default=None, gt=0)
    ttft_s: Seconds = 0.3
    jitter: Share = 0.2
    tokens_per_s: float = Field(default=60.0, gt=0)
    error: (
        Literal["server", "rate_limited", "connection", "auth", "hang", "stall", "cut", "empty"]
        | None
    ) = None
    error_rate: Share = 1.0


class Simulation(Model):
    """A simulated provider's script: its phases in order, repeated from the start."""

    phases: tuple[Phase, ...] = (Phase(),)
    tokens: int = Field(default=40, gt=0)
    quality: Share = 0.8
    seed: int = 0


class Trial(Model):
    """A provider that the application appended and that is still on trial."""

    share: Share


OURS = frozenset({"model", "messages", "stream", "stream_options", "max_tokens", "tools"})
"""Fields of a request's body that `extra` must not contain."""


class Provider(Model):
    """A model at a host, under the name that logs, priorities and the API use."""

    name: Name
    host: str
    model: str | None = None
    model_env: str | None = None
    cost: Cost | None = None
    max_tokens: int | None = Field(default=None, gt=0)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    capabilities: tuple[Capability, ...] | None = None
    """What the model can do; None: not declared."""
    context: int | None = Field(default=None, gt=0)
    """Context window in tokens, if known."""
    instructions: str | None = None
    """System message placed before the caller's own."""
    thinks_first: bool = False
    """Its template opens a thought, so that its answers contain only the mark that ends it. Without
    this such a model is recognised at its first answer, which shows the thought as text."""
    extra: dict[str, object] = {}
    """Host-specific fields of the request's body, sent unchanged; the caller's take precedence."""
    simulation: Simulation | None = None
    added: str | None = None
    evidence: dict[str, object] | None = None
    trial: Trial | None = None
    resolved_model: str = Field(default="", exclude=True)
    disabled: str | None = Field(default=None, exclude=True)
    """Why the provider cannot be used, as a sentence; None if it can."""

    @model_validator(mode="after")
    def _one_model(self) -> Provider:
        if (self.model is None) == (self.model_env is None):
            raise ValueError("needs exactly one of `model` and `model_env`")
        if ours := OURS & self.extra.keys():
            raise ValueError(f"cannot set `{min(ours)}` in `extra`: the application sets it itself")
        return self
