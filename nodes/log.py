"""Log the request, then report the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import structlog

from config.errors import StorageError
from nodes.join import PASSAGES
from providers.base import Message, estimate_tokens
from providers.messages import ToolCall, text_of
from race.attempt import Attempt
from race.events import Answered, Logged
from race.request import Request
from race.services import Services
from race.state import Answer, AnswerState, Route, State
from telemetry.records import AttemptRow, InteractionRow, ToolStep

logger = structlog.get_logger()

MOST_TOOL_CHARS = 20_000
MOST_TOOL_STEPS = 50
"""What is logged of the tools of one turn, the newest."""


async def log(state: State, services: Services, request: Request) -> State:
    """Commit the request's rows before it counts as answered; a failed commit does not cost the
    answer."""
    meeting, said = request.meeting, state["answer"]
    served = serving(request, said)
    answer = finished(request, said, served)
    if not answer.success:
        asked = {*request.routed["order"], services.settings.fallback.provider}
        wait_s = services.routing.retry_after_s(sorted(asked))
        answer = replace(answer, retry_after_s=wait_s)
    if served is not None and answer.tool_calls:
        services.routing.loops.remember(request.asked.messages(), served.provider)
    if served is not None and answer.role == "primary":
        counted = None if served.estimated else served.usage
        services.routing.conversations.remember(request.asked.thread, served.provider, counted)
    fresh = row_of(services, request, answer, served)
    logged = await write(services, request, fresh)
    cause = services.routing.fold([fresh], answer.category, running=len(services.races))
    meeting.emit(
        Logged(
            type="logged",
            request_id=meeting.request_id,
            at_ms=meeting.elapsed_ms(),
            ok=logged,
        )
    )
    meeting.emit_after(
        Answered(
            type="answered",
            request_id=meeting.request_id,
            at_ms=meeting.elapsed_ms(),
            answer=answer.as_dict(),
        )
    )
    return {"logged": logged, "cause": cause}


async def write(services: Services, request: Request, row: InteractionRow) -> bool:
    """True after the commit. A failure is reported on stderr and in the metrics, one of storage in
    `/health` too; not even a bug here costs the answer."""
    request.logged = True
    try:
        services.metrics.observe(row, row["attempts"])
        if services.traces is not None:
            services.traces.request(row)
    except Exception:
        _uncounted(services, request)
    try:
        await services.log.write(row, row["attempts"])
    except StorageError as error:
        services.metrics.log_failed()
        logger.error("log_failed", request=request.request_id, error=str(error))
        return False
    except Exception:
        services.metrics.log_failed()
        logger.exception("log_failed", request=request.request_id)
        return False
    return True


def _uncounted(services: Services, request: Request) -> None:
    services.metrics.count_failed()
    logger.exception("metrics_failed", request=request.request_id)


def finished(request: Request, said: AnswerState, served: Attempt | None) -> Answer:
    """The answer as the caller gets it."""
    route, attempts = request.routed, request.rows(served=served)
    costs = [a["cost_usd"] for a in attempts if a["role"] != "judge"]
    known = [cost for cost in costs if cost is not None]
    tokens_in, tokens_out = usage_of(request, served)
    counted = served.usage if served is not None and not served.prefix else None
    return Answer(
        request_id=request.request_id,
        text=said["text"],
        category=route["category"],
        confidence=route["confidence"],
        provider=said["provider"],
        model=said["model"],
        role=said["role"],
        attempts=[AttemptRow(**{**a, "text": None}) for a in attempts],
        cost_usd=sum(known) if len(known) == len(costs) else None,
        latency_ms=request.meeting.elapsed_ms(),
        ttft_ms=request.meeting.ttft_ms,
        success=said["success"],
        error=said["error"],
        error_kind=said["error_kind"],
        why=said["reason"],
        chosen=route["chosen"] or None,
        note=said["note"],
        finish_reason=said["finish_reason"],
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_cached=counted.cached if counted else 0,
        tokens_reasoning=counted.thoughts if counted else 0,
        sources=said["sources"],
        grounded=said["grounded"],
        tool_calls=said["tool_calls"],
        reasoning=said["reasoning"],
        logprobs=said["logprobs"],
        evidence=route["evidence"],
        probabilities=route["probabilities"],
    )


def usage_of(request: Request, served: Attempt | None) -> tuple[int | None, int | None]:
    """Tokens of the prompt and of what the caller was shown, from any attempt.

    After a switch in the middle of a live stream these are what the first speaker wrote and what of
    the continuation was shown; the prompt is the caller's own, as its first speaker counted it.
    """
    if served is None or served.usage is None:
        return None, None
    if not served.prefix:
        return served.usage.tokens_in, served.usage.tokens_out
    shown_before = [a for a in request.calls("primary") if a.usage and a.text == served.prefix]
    first = shown_before[-1].usage if shown_before else None
    before = first.tokens_out if first else estimate_tokens(served.prefix)
    rest = request.meeting.text[len(served.prefix) :]
    dropped = len(rest) < len(served.text)
    after = estimate_tokens(rest) if dropped else served.usage.tokens_out
    return (first.tokens_in if first else None), before + after


def row_of(
    services: Services, request: Request, answer: Answer, served: Attempt | None
) -> InteractionRow:
    """The log's row of one request, with its attempts; texts only if the operator stores them."""
    keep = services.settings.log.text
    prompt = request.asked.prompt
    texts = {} if keep else {"text": None}
    attempts = [AttemptRow(**{**a, **texts}) for a in request.rows(served=served)]  # type: ignore[typeddict-item]
    return InteractionRow(
        request_id=request.request_id,
        at=request.at,
        category=answer.category,
        confidence=answer.confidence,
        evidence={**answer.evidence, "probabilities": answer.probabilities},
        preferred=request.routed["preferred"],
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
        session_id=request.asked.session_id,
        stopped=answer.error_kind == "cancelled",
        reason=answer.why,
        tools=(tool_steps(request.asked.messages(), answer.tool_calls) or None) if keep else None,
        attempts=attempts,
    )


def tool_steps(said: Sequence[Message], calls: Sequence[ToolCall]) -> list[ToolStep]:
    """The tools' calls and results of a turn: those in the conversation since the user's last
    words, and the calls of the answer. A text is cut at `MOST_TOOL_CHARS`."""
    begun = max((n for n, message in enumerate(said) if message["role"] == "user"), default=-1)
    answer = Message(role="assistant", content="", tool_calls=list(calls))
    names: dict[str, str] = {}
    steps: list[ToolStep] = []
    for message in (*said[begun + 1 :], answer):
        for call in message.get("tool_calls") or []:
            name, text = call["function"]["name"], call["function"]["arguments"]
            names[call["id"]] = name
            steps.append(ToolStep(kind="call", id=call["id"], name=name, text=_cut(text)))
        if message["role"] == "tool":
            of = message.get("tool_call_id", "")
            text = _cut(text_of(message))
            steps.append(ToolStep(kind="result", id=of, name=names.get(of, ""), text=text))
    return steps[-MOST_TOOL_STEPS:]


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TOOL_CHARS else f"{text[:MOST_TOOL_CHARS]} … (cut)"


def serving(request: Request, said: AnswerState) -> Attempt | None:
    """The attempt whose answer was served."""
    for attempt in reversed(request.attempts):
        ok = attempt.outcome == "ok" and attempt.role == said["role"]
        if ok and attempt.provider == said["provider"]:
            return attempt
    return None


def _simulated(services: Services, answer: Answer) -> bool:
    if answer.provider in (None, PASSAGES):
        return False
    host = services.settings.provider(str(answer.provider)).host
    return services.settings.hosts[host].kind == "simulated"


async def revise(services: Services, request: Request, attempt: AttemptRow) -> None:
    """A late primary's row replaces its `timed_out` one, and feeds the ranking."""
    texts = {} if services.settings.log.text else {"text": None}
    try:
        services.metrics.observe_late(attempt)
        if services.traces is not None:
            services.traces.late(AttemptRow(**{**attempt, **texts}))  # type: ignore[typeddict-item]
    except Exception:
        _uncounted(services, request)
    try:
        await services.log.revise(AttemptRow(**{**attempt, **texts}))  # type: ignore[typeddict-item]
        await services.routing.catch_up(services.log, revised=True)
    except StorageError as error:
        services.metrics.log_failed()
        logger.error("log_failed", request=request.request_id, error=str(error))


async def record_unanswered(
    services: Services, request: Request, error: str, *, left: bool
) -> None:
    """Log a run that ended before its answer, with what was asked and paid.

    `left`: because the caller has left; else the router itself failed.
    """
    if request.route is None:
        request.route = _nowhere(request)
    said = AnswerState(
        text="",
        tool_calls=[],
        reasoning="",
        logprobs=[],
        provider=None,
        model=None,
        role=None,
        success=False,
        error=error,
        error_kind="cancelled" if left else "internal",
        reason=error,
        note=None,
        finish_reason=None,
        sources=[],
        grounded=False,
    )
    request.reason = error
    row = row_of(services, request, finished(request, said, None), None)
    await write(services, request, row)
    if request.attempts:
        services.routing.fold([row], row["category"])


def _nowhere(request: Request) -> Route:
    """The route of a prompt that was never classified."""
    return Route(
        category=request.asked.category or "",
        confidence=0.0,
        probabilities={},
        margin=0.0,
        evidence={},
        order=[],
        preferred=None,
        propensity=None,
        explored=False,
        chosen="",
    )
