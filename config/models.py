"""The configuration as typed, validated, frozen objects.

`config.loader` fills them from `providers.yaml`, `categories.yaml` and the environment; nothing
else in the application reads either.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
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
    """Frozen, and strict about unknown keys: a misspelt key must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Host(Model):
    """Where models are served. `url`, `key` and `disabled` are resolved by the loader."""

    kind: Literal["openai", "llama_cpp", "simulated"] = "openai"
    base_url: str | None = None
    base_url_env: str | None = None
    api_key_env: str | None = None
    headers: dict[str, str] = {}
    passes: tuple[str, ...] = ()
    """Fields of a request that this host knows and callers may send it, such as `top_k`."""
    finish_reasons: dict[str, FinishMeaning] = {}
    """Words of this host's own for the end of an answer, and what each means."""

    url: str | None = Field(default=None, exclude=True)
    key: SecretStr | None = Field(default=None, exclude=True)
    disabled: str | None = Field(default=None, exclude=True)
    """Why the host cannot be used, as a sentence; None when it can."""


OLD_PRICE_DAYS = 90
"""A price that was last known to be right longer ago is marked."""


class Cost(Model):
    """USD per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    as_of: date | None = None
    """The day on which it was known to be so."""
    source: str | None = None
    """Who said so."""

    def days_old(self, today: date) -> int | None:
        """The age of a price that is older than OLD_PRICE_DAYS; None for others."""
        days = (today - self.as_of).days if self.as_of else 0
        return days if days > OLD_PRICE_DAYS else None


class Phase(Model):
    """What a simulated provider does for a while (`requests` or `seconds`)."""

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
    """A simulated provider's script: the phases in turn, then again from the first."""

    phases: tuple[Phase, ...] = (Phase(),)
    tokens: int = Field(default=40, gt=0)
    quality: Share = 0.8
    seed: int = 0


class Trial(Model):
    """A provider that was appended by the application and is not trusted yet."""

    share: Share


OURS = frozenset({"model", "messages", "stream", "stream_options", "max_tokens", "tools"})
"""Fields of a request's body that `extra` may not hold."""


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
    """Context window in tokens, where known."""
    instructions: str | None = None
    """System message put before the caller's own."""
    extra: dict[str, object] = {}
    """More fields of the request's body, sent as they are: what one host knows and others do not,
    such as `reasoning_effort`. The caller's win."""
    simulation: Simulation | None = None
    added: str | None = None
    evidence: dict[str, object] | None = None
    trial: Trial | None = None

    resolved_model: str = Field(default="", exclude=True)
    disabled: str | None = Field(default=None, exclude=True)
    """Why the provider cannot be used, as a sentence; None when it can."""

    @model_validator(mode="after")
    def _one_model(self) -> Provider:
        if (self.model is None) == (self.model_env is None):
            raise ValueError("needs exactly one of `model` and `model_env`")
        if ours := OURS & self.extra.keys():
            raise ValueError(f"cannot set `{min(ours)}` in `extra`: the application sets it itself")
        return self


class Fallback(Model):
    """The cheap model that answers from retrieved passages."""

    provider: str
    passages: int = Field(default=4, ge=0, le=20)
    prompt_tokens: int = Field(default=1200, ge=100)
    start: Literal["immediate", "hedged"] = "immediate"
    max_tokens: int | None = Field(default=None, gt=0)
    rerank: bool = False
    """Re-order the passages with the cross-encoder: better, and 300 ms of CPU dearer."""


THINK_S = 30.0
"""What a model that reasons has for it by default."""


class Limits(Model):
    """Seconds; see DESIGN's rules of the race."""

    ttft_s: Seconds = 3.0
    think_s: Seconds | None = None
    """From the first sign of life to the first content; None: see `Settings.think_s`."""
    stall_s: Seconds = 5.0
    deadline_s: Seconds = 120.0
    late_s: Seconds = 120.0


class Ranking(Model):
    """Weights of the learned order; `providers.yaml` says what each does."""

    latency_weight: Share = 0.2
    """What endless waiting takes off the reward; half of it where it is as usual."""
    latency_scale_s: float | None = Field(default=None, gt=0)
    """The time to the first token that is usual; None: what the category is used to."""
    cost_weight: Share = 0.1
    """What an endlessly dear answer takes off the reward; half of it at `cost_scale_usd`."""
    cost_scale_usd: float = Field(default=0.002, gt=0)
    feedback_weight: Share = 0.5
    """What a thumb down takes off the quality of an answer."""
    late_credit: Share = 0.3
    """What an answer is worth that came after its fallback was served; one in time is worth 1."""
    forgetting: float = Field(default=0.999, gt=0, le=1)
    """Weight that an observation keeps at each further one of the same provider."""
    recent: float = Field(default=0.9, gt=0, lt=1)
    """The same for the short memory, which notices that a provider has changed."""
    half_life_h: float = Field(default=24.0, gt=0)
    """After so many hours an observation counts half, if that forgets more."""
    prior_strength: float = Field(default=4.0, gt=0)
    """How many observations the declared order is worth."""
    explore_min: Share = 0.02
    explore_max: Share = 0.50
    margin: Share = 0.001
    """By how much a provider's reward must be better before it moves up."""
    every: int = Field(default=10, ge=1)
    """Rerank at the latest after this many new observations of a category."""
    outage: int = Field(default=5, ge=1)
    """Failures in a row after which a success counts as a recovery."""


class Breaker(Model):
    """When a provider is left alone, and for how long."""

    failures: int = Field(default=5, ge=1)
    window: int = Field(default=20, ge=1)
    share: Share = 0.5
    open_s: Seconds = 10.0
    open_max_s: Seconds = 600.0
    slow_s: Seconds | None = None
    """A call slower than this to its first token counts as slow; None: the category's ttft_s."""


class Budget(Model):
    """Daily limits in USD (UTC days); None: no limit."""

    daily_usd: float | None = Field(default=None, ge=0)
    providers: dict[str, Annotated[float, Field(ge=0)]] = {}


class Retention(Model):
    """How much of the log is kept; older rows are pruned, and what they taught stays."""

    days: float = Field(default=90.0, gt=0)
    rows: int = Field(default=2_000_000, ge=1)
    """Requests at most."""


class Scout(Model):
    """What begins a search for a better model besides a person; nothing unless it is set."""

    below: Share | None = None
    """The mean reward below which a category's first model is looked for a successor."""
    new_entries: bool = False
    """The sources are asked once a day, and a model that they did not have before is tried."""
    review: bool = True
    """What passes its trial waits for a person; False: it is appended."""


class Affinity(Model):
    """How long a conversation stays with the provider that holds its prompt cache."""

    ttl_s: float = Field(default=600.0, ge=0)
    """From its last answer; 0: it does not stay."""


class Admission(Model):
    """How many requests race at once, and how many may wait for a place."""

    races: int = Field(default=64, ge=1)
    queue: int = Field(default=1000, ge=0)


class Api(Model):
    deliver: Literal["live", "complete"] = "live"


class SecondOpinion(Model):
    """A language model that is asked for the category where the classifier is unsure."""

    ask: str | None = None
    """The provider that is asked; None: nobody."""
    below: Share = 0.6
    """Probability of the category below which it is asked."""
    within_s: Seconds = 0.4
    """How long its word is waited for."""


class LogSettings(Model):
    text: bool = False


Signal = Literal["code", "trace", "shell", "sql", "data", "math"]


class Category(Model):
    """What prompts of this kind are, in words and by example."""

    description: str
    examples: tuple[str, ...] | dict[str, tuple[str, ...]] = Field(min_length=1)
    """Prompts, either a list or a mapping of intent to list."""
    keywords: tuple[str, ...] | dict[str, tuple[str, ...]] = ()
    """Words and phrases that speak for this category, either a list or a mapping of group to list;
    `poem*` stands for every word that begins so."""
    signals: tuple[Signal, ...] = ()
    """Structure in the prompt that speaks for this category; see `routing.classifier.features`."""
    benchmarks: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Benchmarks of evidence.yaml that speak for this category and how much each does, for the
    search for better models; empty: by what the description asks for."""


class Environment(Model):
    """What was read from the environment and `.env`."""

    database_url: str | None = None
    chroma_url: str | None = None
    api_keys: tuple[SecretStr, ...] = ()
    ui_auth: SecretStr | None = None
    allowed_hosts: tuple[str, ...] = ()
    """Names that the Host header may have beside loopback and `--host`."""
    cors_origins: tuple[str, ...] = ()
    """Origins of browser pages that may use the API."""
    space_id: str | None = None
    hub_endpoint: str | None = None
    """Another Hugging Face Hub than the public one."""
    collector: str | None = None
    """Where traces go by OTLP over HTTP."""


class Settings(Model):
    """Everything the application knows at start."""

    hosts: dict[str, Host]
    providers: tuple[Provider, ...]
    priorities: dict[str, tuple[str, ...]]
    fallback: Fallback
    limits: Limits = Limits()
    category_limits: dict[str, Limits] = {}
    ranking: Ranking = Ranking()
    breaker: Breaker = Breaker()
    budget: Budget = Budget()
    admission: Admission = Admission()
    affinity: Affinity = Affinity()
    retention: Retention = Retention()
    scout: Scout = Scout()
    content_filter: Literal["propagate", "fallback"] = "propagate"
    api: Api = Api()
    log: LogSettings = LogSettings()
    classifier: SecondOpinion = SecondOpinion()
    aliases: dict[str, str] = {}
    """Model names that programs insist on, `*` standing for any characters, and what each means
    here: `auto`, `auto:<category>` or a provider."""
    categories: dict[str, Category]
    environment: Environment = Environment()
    config_dir: Path
    data_dir: Path
    variables: dict[str, Literal["environment", ".env"]] = Field(default={}, exclude=True)
    """Where each environment variable that is set came from; names only, no values."""
    written: frozenset[str] = Field(default=frozenset(), exclude=True)
    """The dotted keys that stand in `providers.yaml`; every other value is a default."""

    def provider(self, name: str) -> Provider:
        """The provider of that name; KeyError if there is none."""
        return next(p for p in self.providers if p.name == name)

    def passes(self) -> frozenset[str]:
        """The fields beside OpenAI's that the host of any enabled provider takes."""
        hosts = {p.host for p in self.providers if p.disabled is None}
        return frozenset(name for host in hosts for name in self.hosts[host].passes)

    def enabled(self, name: str) -> bool:
        return any(p.name == name and p.disabled is None for p in self.providers)

    def order(self, category: str) -> tuple[str, ...]:
        """The declared order of a category's enabled providers, best first."""
        return tuple(n for n in self.priorities[category] if self.enabled(n))

    def limits_for(self, category: str) -> Limits:
        return self.category_limits.get(category, self.limits)

    def think_s(self, category: str, provider: str) -> float:
        """How long this provider may think once it has shown a sign of life, in seconds: as the
        limits say, else THINK_S for a model that is declared to reason, else `ttft_s`."""
        limits = self.limits_for(category)
        if limits.think_s is not None:
            return limits.think_s
        return (
            THINK_S
            if "reasoning" in (self.provider(provider).capabilities or ())
            else limits.ttft_s
        )
