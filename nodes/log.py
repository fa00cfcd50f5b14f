"""Write down what happened, then say that it is answered."""

from __future__ import annotations

import hashlib

import structlog

from config.errors import StorageError
from nodes.join import PASSAGES
from race.rendezvous import Rendezvous
from race.services import Services
from race.state import Answer, AnswerState, State
from telemetry.records import AttemptRow, InteractionRow

logger = structlog.get_logger()


async def log(state: State, services: Services, r: Rendezvous) -> State:
    """Commit the request's rows before it counts as answered; a failed commit costs no answer."""
    answer = finished(state, r)
    row, attempts = rows(state, services, r, answer)
    logged = await write(services, r, row, attempts)
    fresh: InteractionRow = {**row, "attempts": attempts}
    cause = services.routing.fold([fresh], answer.category, running=len(services.races))
    r.emit("logged", ok=logged)
    r.emit_after("answered", answer=answer.as_dict())
    return {"logged": logged, "cause": cause}


async def write(
    services: Services, r: Rendezvous, row: InteractionRow, attempts: list[AttemptRow]
) -> bool:
    """True after the commit. A failure is told on stderr, in `/health` and in the metrics."""
    r.logged = True
    services.metrics.observe(row, attempts)
    try:
        await services.log.write(row, attempts)
    except StorageError as error:
        services.metrics.log_failed()
        logger.error("log_failed", request=r.request_id, error=str(error))
        return False
    return True


def finished(state: State, r: Rendezvous) -> Answer:
    """The answer as the caller gets it."""
    said: AnswerState = state["answer"]
    route = state["route"]
    winner = _mark_served(r, said)
    costs = [a["cost_usd"] for a in r.attempts]
    known = [cost for cost in costs if cost is not None]
    return Answer(
        request_id=r.request_id,
        text=said["text"],
        category=route["category"],
        confidence=route["confidence"],
        provider=said["provider"],
        model=said["model"] or winner,
        role=said["role"],
        attempts=[AttemptRow(**{**a, "text": None}) for a in r.attempts],
        cost_usd=sum(known) if len(known) == len(costs) else None,
        latency_ms=r.elapsed_ms(),
        ttft_ms=r.ttft_ms,
        success=said["success"],
        error=said["error"],
        error_kind=said["error_kind"],
        note=said["note"],
        finish_reason=said["finish_reason"],
        sources=said["sources"],
        grounded=said["grounded"],
        evidence=route["evidence"],
        probabilities=route["probabilities"],
    )


def rows(
    state: State, services: Services, r: Rendezvous, answer: Answer
) -> tuple[InteractionRow, list[AttemptRow]]:
    """The log's rows of one request; texts only where the operator asked for them."""
    keep = services.settings.log.text
    prompt = state["prompt"]
    route = state.get("route")
    row = InteractionRow(
        request_id=r.request_id,
        at=r.at,
        category=answer.category,
        confidence=answer.confidence,
        evidence={**answer.evidence, "probabilities": answer.probabilities},
        preferred=route["preferred"] if route else None,
        fallback=services.settings.fallback.provider,
        fallback_used=answer.role == "fallback",
        winner=answer.provider,
        role=answer.role,
        success=answer.success,
        latency_ms=answer.latency_ms,
        ttft_ms=answer.ttft_ms,
        cost_usd=answer.cost_usd,
        liked=None,
        prompt_hash=hashlib.sha256(prompt.encode()).hexdigest(),
        prompt=prompt if keep else None,
        answer=answer.text if keep else None,
        error=answer.error,
        simulated=_simulated(services, answer),
    )
    texts = {} if keep else {"text": None}
    return row, [AttemptRow(**{**a, **texts}) for a in r.attempts]  # type: ignore[typeddict-item]


def _mark_served(r: Rendezvous, said: AnswerState) -> str | None:
    """Mark the attempt whose answer was given; returns its model."""
    for attempt in reversed(r.attempts):
        ok = attempt["outcome"] == "ok" and attempt["role"] == said["role"]
        if ok and attempt["provider"] == said["provider"]:
            attempt["served"] = True
            return attempt["model"]
    return None


def _simulated(services: Services, answer: Answer) -> bool:
    if answer.provider in (None, PASSAGES):
        return False
    host = services.settings.provider(str(answer.provider)).host
    return services.settings.hosts[host].kind == "simulated"


async def revise(services: Services, r: Rendezvous, attempt: AttemptRow) -> None:
    """A late primary's row replaces the one that said `timed_out`, and feeds the ranking."""
    texts = {} if services.settings.log.text else {"text": None}
    services.metrics.observe_late(attempt)
    try:
        await services.log.revise(AttemptRow(**{**attempt, **texts}))  # type: ignore[typeddict-item]
        await services.routing.catch_up(services.log, revised=True)
    except StorageError as error:
        services.metrics.log_failed()
        logger.error("log_failed", request=r.request_id, error=str(error))


async def record_abandoned(state: State, services: Services, r: Rendezvous) -> None:
    """The caller left before the end: what was asked and paid is logged all the same."""
    assert r.route is not None
    gone = AnswerState(
        text="",
        provider=None,
        model=None,
        role=None,
        success=False,
        error="the caller left before the answer was complete",
        error_kind="cancelled",
        note=None,
        finish_reason=None,
        sources=[],
        grounded=False,
    )
    full: State = {**state, "answer": gone, "route": r.route}
    row, attempts = rows(full, services, r, finished(full, r))
    await write(services, r, row, attempts)
    services.routing.fold([{**row, "attempts": attempts}], row["category"])
