"""The configuration as typed, validated, frozen objects, filled by `config.loader` alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr

from config.hosts import Host, Model, Provider, Seconds, Share


class Fallback(Model):
    """The cheap model that answers from retrieved passages."""

    provider: str
    passages: int = Field(default=4, ge=0, le=20)
    prompt_tokens: int = Field(default=1200, ge=100)
    start: Literal["immediate", "hedged"] = "immediate"
    max_tokens: int | None = Field(default=None, gt=0)
    rerank: bool = False
    """Re-rank the passages with the cross-encoder: more accurate, but about 300 ms more CPU."""


THINK_S = 30.0
"""The default for a model that reasons."""


class Limits(Model):
    """Time limits in seconds; docs/race.md explains how they apply."""

    ttft_s: Seconds = 3.0
    think_s: Seconds | None = None
    """From the first sign of life to the first content; None: see `Settings.think_s`."""
    stall_s: Seconds = 5.0
    deadline_s: Seconds = 120.0
    late_s: Seconds = 120.0


class Ranking(Model):
    """Weights of the learned order; `providers.yaml` explains each."""

    latency_weight: Share = 0.2
    """The most that latency takes off the reward; a usual latency takes off half of it."""
    latency_scale_s: float | None = Field(default=None, gt=0)
    """The usual time to the first token; None: what is usual in the category."""
    cost_weight: Share = 0.1
    """The most that cost takes off the reward; half of it at `cost_scale_usd`."""
    cost_scale_usd: float = Field(default=0.002, gt=0)
    feedback_weight: Share = 0.5
    """What a thumb down takes off an answer's quality."""
    judge_weight: Share = 0.5
    """What a judge's verdict on two answers counts for, as a share of a person's."""
    late_credit: Share = 0.3
    """The worth of an answer that came after its fallback was served; one in time is worth 1."""
    forgetting: float = Field(default=0.999, gt=0, le=1)
    """Factor on an observation's weight with each later observation of the same provider."""
    recent: float = Field(default=0.9, gt=0, lt=1)
    """The same factor for the short memory, which detects that a provider has changed."""
    half_life_h: float = Field(default=24.0, gt=0)
    """Half-life of an observation in hours, if that forgets more."""
    prior_strength: float = Field(default=4.0, gt=0)
    """How many observations the declared order is worth."""

    @property
    def tried(self) -> float:
        """Answers, in whichever category, from which its place in the declared order claims nothing
        for a provider any more."""
        return 2.0 * self.prior_strength

    @property
    def remembered(self) -> float:
        """Observations that a provider's memory holds."""
        return 1.0 / (1.0 - self.forgetting) if self.forgetting < 1.0 else math.inf

    explore_min: Share = 0.02
    explore_max: Share = 0.90
    margin: Share = 0.001
    """How much better a provider's reward must be before it moves up."""

    @property
    def noted(self) -> float:
        """By how much an expectation must move to be noted: two may be off by the margin."""
        return 2.0 * self.margin

    every: int = Field(default=10, ge=1)
    """Rerank after at most this many new observations of a category."""
    outage: int = Field(default=5, ge=1)
    """Consecutive failures after which a success counts as a recovery."""


class Breaker(Model):
    """When a provider's circuit opens, and for how long."""

    failures: int = Field(default=5, ge=1)
    window: int = Field(default=20, ge=1)
    share: Share = 0.5
    open_s: Seconds = 10.0
    open_max_s: Seconds = 600.0
    slow_s: Seconds | None = None
    """Time to first token from which a call counts as slow; None: the category's ttft_s."""


class Budget(Model):
    """Daily limits in USD (UTC days); None: no limit."""

    daily_usd: float | None = Field(default=None, ge=0)
    providers: dict[str, Annotated[float, Field(ge=0)]] = {}


class Retention(Model):
    """How much of the log is kept; older rows are pruned, but what the ranking learned stays."""

    days: float = Field(default=90.0, gt=0)
    rows: int = Field(default=2_000_000, ge=1)
    """Requests at most."""


class Scout(Model):
    """What starts a search for a better model automatically; nothing unless it is set."""

    below: Share | None = None
    """Search for a successor when the mean reward of a category's first model falls below this."""
    new_entries: bool = False
    """Query the sources once a day, and try any model that is new to them."""
    review: bool = True
    """A model that passes its trial waits for approval; False: it is appended."""


class Affinity(Model):
    """How long a conversation stays with the provider that holds its prompt cache."""

    ttl_s: float = Field(default=600.0, ge=0)
    """Counted from the conversation's last answer; 0: it does not stay."""


class Judge(Model):
    """A model that compares both answers of some races, without their names; None: nobody."""

    provider: str | None = None
    share: Share = 0.05
    """Of the races, drawn before they start; the loser of such a race may finish."""
    daily_usd: float | None = Field(default=1.0, ge=0)
    """Limit per UTC day for the judge and the losers that finish; None: no separate limit."""


class Admission(Model):
    """How many requests race at once, and how many may wait for a place."""

    races: int = Field(default=64, ge=1)
    queue: int = Field(default=1000, ge=0)
    batch: int = Field(default=8, ge=1)
    """Races that lines of batches may use; a quarter of these while callers are answered."""


class Batch(Model):
    """Limits of uploaded files and batches; `stored_mb` counts all files of one key together."""

    file_mb: float = Field(default=200.0, gt=0)
    lines: int = Field(default=200_000, ge=1)
    stored_mb: float = Field(default=2_000.0, gt=0)
    keep_days: float = Field(default=30.0, gt=0)
    """How long files and ended batches without `expires_after` are kept."""
    lease_s: float = Field(default=30.0, ge=1, le=3_600)
    """A process without a heartbeat for this long loses its parts of batches to another one."""


class Api(Model):
    deliver: Literal["live", "complete"] = "live"


class SecondOpinion(Model):
    """A language model that is asked for the category when the classifier is unsure."""

    ask: str | None = None
    """The provider to ask; None: nobody."""
    below: Share = 0.6
    """The classifier's probability below which it is asked."""
    within_s: Seconds = 0.4
    """How long its reply is waited for."""


class LogSettings(Model):
    text: bool = False


Signal = Literal["code", "trace", "shell", "sql", "data", "math"]


class Category(Model):
    """A kind of prompts, described in words and by examples."""

    description: str
    examples: tuple[str, ...] | dict[str, tuple[str, ...]] = Field(min_length=1)
    """Prompts, either as a list or as a mapping from intent to list."""
    keywords: tuple[str, ...] | dict[str, tuple[str, ...]] = ()
    """Words that indicate this category, as a list or by group; `poem*` matches a prefix."""
    signals: tuple[Signal, ...] = ()
    """Features of a prompt that indicate this category; see `routing.classifier.structure`."""
    benchmarks: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Weights of evidence.yaml's benchmarks in the search; empty: derived from the description."""


class Environment(Model):
    """Values read from the environment and `.env`."""

    database_url: str | None = None
    chroma_url: str | None = None
    api_keys: tuple[SecretStr, ...] = ()
    ui_auth: SecretStr | None = None
    allowed_hosts: tuple[str, ...] = ()
    """Host header names to accept beside loopback and `--host`."""
    cors_origins: tuple[str, ...] = ()
    """Origins of browser pages that may use the API."""
    replica_url: str | None = None
    """Where other replicas reach this one, if it differs from what they would find."""
    space_id: str | None = None
    hub_endpoint: str | None = None
    """A Hugging Face Hub to use instead of the public one."""
    collector: str | None = None
    """Where traces are exported, by OTLP over HTTP."""


class Settings(Model):
    """Everything the application is configured with."""

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
    batch: Batch = Batch()
    affinity: Affinity = Affinity()
    judge: Judge = Judge()
    retention: Retention = Retention()
    scout: Scout = Scout()
    content_filter: Literal["propagate", "fallback"] = "propagate"
    api: Api = Api()
    log: LogSettings = LogSettings()
    classifier: SecondOpinion = SecondOpinion()
    aliases: dict[str, str] = {}
    """Clients' model names (`*` matches any characters): `auto`, `auto:<category>`, a provider."""
    categories: dict[str, Category]
    environment: Environment = Environment()
    config_dir: Path
    data_dir: Path
    dotenv: Path | None = None
    """The `.env` file, whether it exists or not; None: none is read."""
    variables: dict[str, Literal["environment", ".env"]] = Field(default={}, exclude=True)
    """The origin of each environment variable that is set; names only, no values."""
    written: frozenset[str] = Field(default=frozenset(), exclude=True)
    """The dotted keys set in `providers.yaml`; every other value is a default."""

    _named: dict[str, Provider] = {}

    def model_post_init(self, _: object) -> None:
        self._named = {provider.name: provider for provider in self.providers}

    def model_copy(self, *, update: Mapping[str, object] | None = None, deep: bool = False) -> Self:
        """A copy with an index of its own: `update` may replace the providers."""
        copy = super().model_copy(update=update, deep=deep)
        copy.model_post_init(None)
        return copy

    def provider(self, name: str) -> Provider:
        """The provider with that name; raises KeyError if there is none."""
        return self._named[name]

    def passes(self) -> frozenset[str]:
        """The non-standard request fields that the host of any enabled provider accepts."""
        hosts = {p.host for p in self.providers if p.disabled is None}
        return frozenset(name for host in hosts for name in self.hosts[host].passes)

    def enabled(self, name: str) -> bool:
        found = self._named.get(name)
        return found is not None and found.disabled is None

    def order(self, category: str) -> tuple[str, ...]:
        """A category's enabled providers in their declared order, best first."""
        return tuple(n for n in self.priorities[category] if self.enabled(n))

    def limits_for(self, category: str) -> Limits:
        return self.category_limits.get(category, self.limits)

    def think_s(self, category: str, provider: str) -> float:
        """Seconds from a provider's first sign of life to its first content, as the limits say."""
        limits = self.limits_for(category)
        if limits.think_s is not None:
            return limits.think_s
        reasons = "reasoning" in (self.provider(provider).capabilities or ())
        return THINK_S if reasons else limits.ttft_s
