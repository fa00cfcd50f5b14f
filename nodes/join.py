"""Who answered?"""

from __future__ import annotations

from nodes.grounding import supported
from race.machine import Side
from race.rendezvous import Rendezvous
from race.services import Services
from race.state import AnswerState, Branch, Source, State

PASSAGES = "passages"
"""The provider's name of an extractive answer."""


async def join(state: State, services: Services, r: Rendezvous) -> State:
    """Pick the winner from the state; where no model answered, the passages themselves do."""
    can_replace = state.get("rewindable", True) or not r.visible
    answer = pick(state, can_replace=can_replace)
    if answer["provider"] == PASSAGES:
        r.switch("fallback", PASSAGES, "failed", r.visible)
        r.say(answer["text"], PASSAGES, "fallback")
    return {"answer": answer}


def pick(state: State, *, can_replace: bool = True) -> AnswerState:
    """The answer as a pure function of what the branches came to.

    With `can_replace` False the caller has been shown text that no extractive answer may follow.
    """
    primary, fallback = state.get("primary", Branch()), state.get("fallback", Branch())
    if primary.get("won"):
        return _answered(state, "primary")
    if fallback.get("won"):
        return _answered(state, "fallback", _why_fallback(primary))
    if primary.get("refused"):
        detail = primary.get("detail") or "the provider's content filter rejected the prompt"
        return _failed("content_filter", detail)
    passages = fallback.get("passages", [])
    if fallback.get("confident") and passages and can_replace:
        return _extract(passages, _why_nobody(primary, fallback))
    return _failed("no_answer" if can_replace else "cut", _why_nobody(primary, fallback))


def _answered(state: State, role: Side, why: str | None = None) -> AnswerState:
    branch = state["primary"] if role == "primary" else state["fallback"]
    sources = branch.get("sources", [])
    asked_for_less = "max_tokens" in (state.get("options") or {})
    cut = branch.get("finish_reason") == "length" and not asked_for_less
    grounded = supported(branch["text"], state["prompt"], sources)
    notes = [
        why,
        "its passages do not bear the answer out" if sources and not grounded else None,
        "the answer was cut at the model's length limit" if cut else None,
    ]
    return AnswerState(
        text=branch["text"],
        provider=branch["provider"],
        model=branch.get("model"),
        role=role,
        success=True,
        error=None,
        error_kind=None,
        note="; ".join(filter(None, notes)) or None,
        finish_reason=branch.get("finish_reason"),
        sources=sources,
        grounded=grounded,
    )


def _failed(kind: str, error: str) -> AnswerState:
    return AnswerState(
        text="",
        provider=None,
        model=None,
        role=None,
        success=False,
        error=error,
        error_kind=kind,
        note=None,
        finish_reason=None,
        sources=[],
        grounded=False,
    )


def _extract(passages: list[Source], note: str) -> AnswerState:
    best = passages[:2]
    quotes = "\n\n".join(f"{p['text'].strip()}\n({p['title']}, {p['source']})" for p in best)
    return AnswerState(
        text=f"No model answered; this is what the knowledge base says:\n\n{quotes}",
        provider=PASSAGES,
        model=None,
        role="fallback",
        success=True,
        error=None,
        error_kind=None,
        note=note,
        finish_reason="stop",
        sources=best,
        grounded=True,
    )


def _why_fallback(primary: Branch) -> str:
    match primary.get("outcome"):
        case "timed_out" | "late":
            return f"{primary.get('provider')} was too late, so the fallback answered"
        case "skipped":
            return "no preferred provider could be asked, so the fallback answered"
        case _:
            failed = f"{primary.get('provider')} failed ({primary.get('error')})"
            return f"{failed}, so the fallback answered"


def _why_nobody(primary: Branch, fallback: Branch) -> str:
    """One sentence with what each provider said."""
    said = [
        f"{row['provider']}: {row.get('detail') or row['outcome']}"
        for branch in (primary, fallback)
        for row in branch.get("attempts", [])
    ]
    return "no provider answered (" + "; ".join(said or ["none is enabled"]) + ")"
