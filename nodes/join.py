"""Who answered?"""

from __future__ import annotations

from itertools import groupby

from config.models import Limits
from nodes.classify import limits_of
from nodes.grounding import KNOWLEDGE_ANSWERS, QUOTED, quoted, supported
from race.actions import Side
from race.request import Asked, Request
from race.services import Services
from race.state import AnswerState, Branch, Source, State
from telemetry.records import AttemptRow

PASSAGES = "passages"
"""The provider name of an extractive answer."""

FAILURES = {
    "auth": "its key was refused",
    "rate_limited": "asked too often",
    "server": "server error",
    "connection": "no connection",
    "timeout": "no answer in time",
    "bad_reply": "its reply could not be used",
    "content_filter": "its content filter refused the prompt",
    "context_length": "the conversation is too long for it",
    "not_found": "its host does not serve that model",
    "bad_request": "it refused a parameter",
    "capability": "it cannot do what was asked",
    "schema": "its answer missed the schema",
    "caller_limit": "the caller gave it less time than usual",
}
"""An attempt's error in words."""

MISSED = {
    "late": "the knowledge base did not answer in time, so no passages were given",
    "bm25": "passages were found by their words alone",
}
"""Descriptions of a degraded retrieval for the answer's note."""


async def join(state: State, services: Services, request: Request) -> State:
    """Pick the winner from the state; if no model answered, the passages themselves are the
    answer."""
    meeting, asked = request.meeting, request.asked
    can_replace = asked.rewindable or not (meeting.visible or meeting.called_tools)
    limits = limits_of(services, request)
    final = meeting.called_tools or not asked.continuable
    holder = meeting.race.floor if meeting.race and final else None
    answer = pick(state, asked, limits, can_replace=can_replace, holder=holder)
    if answer["provider"] == PASSAGES:
        meeting.switch("fallback", PASSAGES, "failed", meeting.visible)
        meeting.say(answer["text"], PASSAGES, "fallback")
    mode = request.retrieval.mode if request.retrieval and answer["role"] == "fallback" else ""
    if mode in MISSED:
        answer["note"] = "; ".join(filter(None, (answer["note"], MISSED[mode])))
    request.reason = answer["reason"]
    return {"answer": answer}


def pick(
    state: State,
    asked: Asked,
    limits: Limits,
    *,
    can_replace: bool = True,
    holder: Side | None = None,
) -> AnswerState:
    """The answer as a pure function of the branches' results.

    With `can_replace` False the caller has been shown text that an extractive answer cannot follow.
    `holder` is who spoke last, if nobody else may continue what was shown.
    """
    primary, fallback = state.get("primary", Branch()), state.get("fallback", Branch())
    if primary.get("won"):
        return _answered(asked, primary, "primary", why_primary(primary))
    if fallback.get("won"):
        return _answered(asked, fallback, "fallback", why_fallback(primary, fallback, limits))
    if primary.get("refused"):
        detail = primary.get("detail") or "the provider's content filter rejected the prompt"
        return _failed("content_filter", detail)
    passages = fallback.get("passages", [])
    if fallback.get("confident") and passages and can_replace:
        return _extract(passages, why_passages(primary, fallback))
    if holder is not None and (fallback.get("out") == "cut" or not can_replace):
        return _failed("cut", why_final(holder, primary, fallback, limits))
    if fallback.get("out") == "cut":
        return _failed("cut", why_cut(primary, fallback, limits))
    return _failed("no_answer" if can_replace else "cut", why_nobody(primary, fallback))


def _answered(asked: Asked, branch: Branch, role: Side, reason: str | None) -> AnswerState:
    sources = branch.get("sources", [])
    cut = branch.get("finish_reason") == "length" and "max_tokens" not in asked.options
    grounded = supported(branch["text"], asked.prompt, sources)
    silent = asked.logprobs and not branch.get("logprobs")
    notes = [
        reason if role == "fallback" else None,
        "its passages do not support the answer" if sources and not grounded else None,
        f"{branch['provider']} sent no log probabilities" if silent else None,
        "the answer was cut at the model's length limit" if cut else None,
    ]
    return AnswerState(
        text=branch["text"],
        tool_calls=branch.get("tool_calls", []),
        reasoning=branch.get("reasoning", ""),
        logprobs=branch.get("logprobs", []),
        provider=branch["provider"],
        model=branch.get("model"),
        role=role,
        success=True,
        error=None,
        error_kind=None,
        reason=reason,
        note="; ".join(filter(None, notes)) or None,
        finish_reason=branch.get("finish_reason"),
        sources=sources,
        grounded=grounded,
    )


def _failed(kind: str, error: str) -> AnswerState:
    return AnswerState(
        text="",
        tool_calls=[],
        reasoning="",
        logprobs=[],
        provider=None,
        model=None,
        role=None,
        success=False,
        error=error,
        error_kind=kind,
        reason=error,
        note=None,
        finish_reason=None,
        sources=[],
        grounded=False,
    )


def _extract(passages: list[Source], reason: str) -> AnswerState:
    return AnswerState(
        tool_calls=[],
        reasoning="",
        logprobs=[],
        text=f"No model answered; this is what the knowledge base says:\n\n{quoted(passages)}",
        provider=PASSAGES,
        model=None,
        role="fallback",
        success=True,
        error=None,
        error_kind=None,
        reason=reason,
        note=reason,
        finish_reason="stop",
        sources=passages[:QUOTED],
        grounded=True,
    )


def why_primary(primary: Branch) -> str | None:
    """Why another provider than the first of the order answered, or the first one only later."""
    *before, last = primary["attempts"]
    if not before:
        return None
    again = before[-1]["provider"] == last["provider"]
    ends = "answered when it was asked again" if again else f"so {last['provider']} answered"
    return f"{'; '.join(_fates(before))}, {'and ' if again else ''}{ends}"


def why_fallback(primary: Branch, fallback: Branch, limits: Limits) -> str:
    """Why the fallback answered: the fate of each provider that was asked before it."""
    name = fallback.get("provider")
    if _knowledge_answers(primary):
        return f"{KNOWLEDGE_ANSWERS}, so {name} answered from it"
    if _was_overtaken(primary):
        *before, last = primary["attempts"]
        waiting = f"{last['provider']} was being asked when {name} was ready"
        return "; ".join([*_fates(before), waiting])
    return f"{_why_out(primary, limits)}, so {name} answered"


def why_passages(primary: Branch, fallback: Branch) -> str:
    """Why passages are shown verbatim."""
    if _knowledge_answers(primary):
        fates = "; ".join(_fates(fallback.get("attempts", []))) or "no model put it into words"
        return f"{KNOWLEDGE_ANSWERS}, and {fates}, so its passages are shown"
    return why_nobody(primary, fallback)


def _knowledge_answers(primary: Branch) -> bool:
    return any(row.get("detail") == KNOWLEDGE_ANSWERS for row in primary.get("attempts", []))


def why_cut(primary: Branch, fallback: Branch, limits: Limits) -> str:
    """Why a live answer ends unfinished."""
    joins = f"what {fallback.get('provider')} said does not continue the shown text"
    return f"{_why_out(primary, limits)}, and {joins}"


def why_final(holder: Side, primary: Branch, fallback: Branch, limits: Limits) -> str:
    """Why a live answer that nobody else may continue ends unfinished."""
    if holder == "primary":
        fate = _why_out(primary, limits)
    else:
        last = fallback["attempts"][-1]
        silent = _silent(last["provider"], limits)
        fate = _fate(last, 1) if last["outcome"] == "failed" else silent
    return f"{fate}, and no other model may continue tool calls, a format or log probabilities"


def _silent(name: str, limits: Limits) -> str:
    return f"{name} fell silent for {limits.stall_s:g} s in the middle of its answer"


def _was_overtaken(primary: Branch) -> bool:
    """Whether a call failed, and the one after it was still running when the fallback was ready."""
    rows = primary.get("attempts", [])
    by_time = primary.get("out") in ("timeout", "stalled")
    return len(rows) > 1 and not by_time and rows[-1]["outcome"] in ("cancelled", "timed_out")


def _why_out(primary: Branch, limits: Limits) -> str:
    """What took the floor from the primary, and the fate of those asked before."""
    if primary.get("provider") is None:
        skipped = "; ".join(_fates(primary.get("attempts", [])))
        return skipped or "no preferred provider is enabled"
    *before, last = rows = primary["attempts"]
    by_time = _lost_by_time(primary, last, limits)
    return "; ".join([*_fates(before), by_time] if by_time else _fates(rows))


def _lost_by_time(primary: Branch, last: AttemptRow, limits: Limits) -> str | None:
    name = last["provider"]
    match primary.get("out"):
        case "timeout" if last["ttft_ms"] is None:
            return f"{name} had not begun to answer after {limits.ttft_s:g} s"
        case "timeout":
            return f"{name} began to answer too late"
        case "stalled":
            return _silent(name, limits)
        case _:
            return None


def why_nobody(primary: Branch, fallback: Branch) -> str:
    """One sentence with what each provider said."""
    said = [
        f"{row['provider']}: {row.get('detail') or row['outcome']}"
        for branch in (primary, fallback)
        for row in branch.get("attempts", [])
    ]
    return "no provider answered (" + "; ".join(said or ["none is enabled"]) + ")"


def _fates(rows: list[AttemptRow]) -> list[str]:
    """The fates of attempts that did not answer; repeated ones are named once."""
    alike = groupby(rows, lambda row: _fate(row, 1))
    return [_fate(same[0], len(same)) for same in (list(group) for _, group in alike)]


def _fate(row: AttemptRow, times: int) -> str:
    """The fate of an attempt that did not answer, `times` times."""
    name, often = row["provider"], {1: "", 2: " twice"}.get(times, f" {times} times")
    match row["outcome"]:
        case "skipped":
            return f"{name} was skipped ({row['detail']})"
        case "failed" if row["ttft_ms"] is not None and row["error"] == "connection":
            return f"{name} was cut off in the middle of its answer{often}"
        case "failed":
            kind = str(row["error"])
            return f"{name} failed{often} ({FAILURES.get(kind, kind.replace('_', ' '))})"
        case "late" | "timed_out":
            return f"{name} gave no answer in time"
        case outcome:
            return f"{name} gave no answer ({outcome})"
