"""The router's reports: its health, and the learned order with its figures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, cast

from typing_extensions import TypedDict

from config.hosts import Provider
from config.models import Settings
from race.breaker import Snapshot
from race.capabilities import Known
from race.routing_state import RoutingState, Rows

if TYPE_CHECKING:  # `--priorities` needs neither the graph nor a model
    from race.services import Services
    from runtime.admission import Gate

VERSION = "0.1.0"

PROVISIONAL = (
    "the learned order comes from the newest rows of the log: the whole of it is still being read"
)

NEWS = (
    "reranked",
    "discovery.appended",
    "discovery.promoted",
    "discovery.rolled_back",
    "discovery.refused",
    "discovery.undone",
)
"""Kinds of audit rows that record a change; others are steps towards one."""


Status = Literal["ok", "degraded", "down"]


class ProviderHealth(TypedDict):
    host: str
    model: str | None
    simulated: bool
    enabled: bool
    unavailable: str | None  # why it cannot be used on this machine
    breaker: Snapshot
    capabilities: Known


class LogHealth(TypedDict):
    problem: str | None
    spooled: int  # jobs that wait on the disk
    in_memory: int
    lost: int


class KnowledgeHealth(TypedDict):
    version: int
    problem: str | None


class RacesHealth(TypedDict):
    running: int
    ending: int
    most: int


class QueueHealth(TypedDict):
    waiting: int
    most: int


class BudgetHealth(TypedDict):
    daily_usd: float | None
    providers: dict[str, float]
    spent_usd: float
    lean: float


class Health(TypedDict):
    """The body of `/health`."""

    status: Status
    version: str
    problems: list[str]
    providers: dict[str, ProviderHealth]
    log: LogHealth
    knowledge: KnowledgeHealth
    races: RacesHealth
    queue: QueueHealth
    late: int  # primaries that may still finish
    budget: BudgetHealth


class ProviderOrder(TypedDict):
    """A provider's rank in a category's order (`routing.ranking.standings.Standing`)."""

    provider: str
    position: int
    declared_position: int
    mean: float
    low: float
    high: float
    p_best: float
    n: int
    success: float | None
    quality: float | None
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    cost_usd: float | None
    liked: int
    disliked: int
    trial: float | None
    verdicts: int
    lead: float | None


class CategoryOrder(TypedDict):
    """A category's declared and learned order with its figures."""

    declared: list[str]
    learned: list[str]
    providers: list[ProviderOrder]  # in the learned order
    observations: int
    changes: int
    last_change: dict[str, object] | None  # `routing.ranking.standings.Change`


def observe(services: Services, gate: Gate) -> None:
    """Bring the gauges of the metrics up to date."""
    states, late = services.routing.states(), len(services.late)
    services.metrics.backlog(*services.log.backlog)
    services.metrics.observe_now(states, gate.racing, gate.waiting, late)


def health(services: Services, gate: Gate, config_problem: str | None = None) -> Health:
    """Fast and free of I/O.

    `status` is `ok`; `degraded` if answers are affected but still come (`problems` says why);
    `down` if nothing can answer: no provider is usable and the knowledge base is empty.
    """
    settings = services.settings
    providers = {p.name: _provider(services, p) for p in settings.providers}
    usable = [name for name, p in providers.items() if p["unavailable"] is None]
    knowledge = services.knowledge
    allowance, backlog = services.routing.allowance, services.log.backlog
    problems = [
        problem
        for problem in (
            config_problem,
            *_budget_problems(services.routing),
            _log_problem(services),
            services.log.clock_problem,
            PROVISIONAL if services.routing.provisional else None,
            services.classifier.problem,
            knowledge.problem,
            *_unknown_words(services),
            *_troubles(providers, settings.fallback.provider),
        )
        if problem
    ]
    if not usable:
        problems.insert(0, "no provider can be used: put a key into .env, or see `--check`")
    return {
        "status": _status(bool(usable), knowledge.version > 0, problems),
        "version": VERSION,
        "problems": problems,
        "providers": providers,
        "log": {
            "problem": services.log.problem,
            "spooled": backlog.spooled,
            "in_memory": backlog.in_memory,
            "lost": backlog.lost,
        },
        "knowledge": {"version": knowledge.version, "problem": knowledge.problem},
        "races": {"running": gate.racing, "ending": gate.ending, "most": gate.limits.races},
        "queue": {"waiting": gate.waiting, "most": gate.limits.queue},
        "late": len(services.late),
        "budget": {
            "daily_usd": settings.budget.daily_usd,
            "providers": dict(settings.budget.providers),
            "spent_usd": allowance.total,
            "lean": allowance.lean,
        },
    }


async def priorities(
    settings: Settings, routing: RoutingState, log: Rows
) -> dict[str, CategoryOrder]:
    """Each category's order, by name.

    As of the last row of the log; raises StorageError if it cannot be read.
    """
    await routing.ready(log)
    await routing.catch_up(log)
    found: dict[str, CategoryOrder] = {}
    for category in settings.categories:
        standings = routing.ranking.standings(category)
        change = standings.last_change
        found[category] = {
            "declared": list(settings.order(category)),
            "learned": [entry.provider for entry in standings.entries],
            "providers": [cast("ProviderOrder", asdict(entry)) for entry in standings.entries],
            "observations": standings.observations,
            "changes": standings.changes,
            "last_change": asdict(change) if change else None,
        }
    return found


def _provider(services: Services, provider: Provider) -> ProviderHealth:
    name = provider.name
    why = provider.disabled or services.providers.unavailable(name)
    return {
        "host": provider.host,
        "model": provider.resolved_model or provider.model,
        "simulated": services.settings.hosts[provider.host].kind == "simulated",
        "enabled": provider.disabled is None,
        "unavailable": why,
        "breaker": services.routing.snapshot(name),
        "capabilities": services.routing.capabilities.about(name),
    }


def _troubles(providers: dict[str, ProviderHealth], fallback: str) -> list[str]:
    """What keeps providers from answering. A provider without a key is not a problem, except the
    fallback."""
    troubles = []
    for name, about in providers.items():
        breaker = about["breaker"]
        if about["unavailable"] is not None:
            if about["enabled"] or name == fallback:
                troubles.append(f"{name} cannot be used: {about['unavailable']}")
        elif breaker["state"] != "closed":
            state = breaker["state"].replace("_", "-")
            troubles.append(f"the circuit breaker of {name} is {state} ({breaker['why']})")
    return troubles


def _budget_problems(routing: RoutingState) -> list[str]:
    """The day's limit if it is nearly or entirely spent, and each provider that has spent its
    own."""
    allowance = routing.allowance
    limit, total = allowance.budget.daily_usd, allowance.total
    if allowance.lean == 1.0:
        return [f"today's budget of ${limit:g} is spent: paid models are skipped (${total:.4f})"]
    problems = [why for name in allowance.budget.providers if (why := routing.barred(name))]
    if allowance.lean:
        problems.insert(0, f"today's budget of ${limit:g} is nearly spent (${total:.4f})")
    return problems


def _unknown_words(services: Services) -> list[str]:
    """Hosts that end answers with an unknown finish reason: those answers count as failed."""
    problems = []
    for host, words in services.providers.unknown_words.items():
        if words:
            named = ", ".join(f"`{word}`" for word in sorted(words))
            problems.append(
                f"{host} ended an answer with the finish reason {named}, which is unknown:"
                f" map it to a known one in hosts.{host}.finish_reasons"
            )
    return problems


def _log_problem(services: Services) -> str | None:
    """Rows that wait on disk are logged late; lost ones are reported until the process ends."""
    problem, backlog = services.log.problem, services.log.backlog
    if problem:
        return f"interactions are not logged: {problem}"
    return f"{backlog.lost} rows of the log were lost" if backlog.lost else None


def _status(usable: bool, documents: bool, problems: list[str]) -> Status:
    if not usable and not documents:
        return "down"
    return "degraded" if problems else "ok"
