"""A view as the plain values that the browser draws; every text is shown as text, never as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast

from race.state import Route
from ui import wording
from ui.display import Node, ShownAnswer, ShownAttempt
from ui.replay import NOT_KEPT
from ui.structured import indented
from ui.view import NODES, View
from ui.wording import say

TITLES = {
    "classify": "Classify",
    "primary": "Primary",
    "fallback": "Fallback",
    "join": "Join",
    "log": "Log",
    "rerank": "Rerank",
}
_READS = {"join": ["primary", "fallback"], "log": ["join"]}
"""Nodes whose input is the output of others; the browser has those already."""


def empty() -> dict[str, object]:
    """The picture before anything was asked."""
    blank = {"state": "waiting", "word": wording.STATES["waiting"], "sub": ""}
    nodes = [{"name": name, "title": TITLES[name], **blank} for name in NODES]
    return {"id": "", "phase": "idle", "at_ms": 0, "say": "", "nodes": nodes, "attempts": []}


def picture(view: View) -> dict[str, object]:
    """New containers each time: the server sends the difference to the last one."""
    return {
        "id": view.request_id,
        "phase": view.phase,
        "at_ms": view.at_ms,
        "say": view.say,
        "nodes": [_node(view, name) for name in NODES],
        "attempts": [_attempt(a) for _, a in sorted(view.attempts.items())],
        "limits": view.limits,
        "passages": passages(view),
        "badges": badges(view),
        "route": _route(view),
        "notes": [{"at_ms": n["at_ms"], "text": n["text"]} for n in view.notes],
        "reranked": view.reranked,
        "awaited": view.awaited,
        "turn": kept(view),
        "said": said(view) if view.number is None else [],
        "prompt": "" if view.asked.get("prompt") == NOT_KEPT else view.asked.get("prompt"),
    }


def said(view: View) -> list[dict[str, object]]:
    """What was asked, what tools did, and what was answered, as far as the log has it."""
    prompt = view.asked.get("prompt") or ""
    steps = [("Prompt", "" if prompt == NOT_KEPT else prompt)]
    for step in view.tools:
        name = step["name"] or "a tool"
        title = say("said.calls" if step["kind"] == "call" else "said.returned", name=name)
        steps.append((title, step["text"]))
    answered = view.text if view.phase != "running" else ""
    return [_shown(title, text) for title, text in (*steps, ("Answer", answered)) if text]


def _shown(title: str, text: str) -> dict[str, object]:
    made = indented(text)
    return {"title": title, "text": text, "json": made}


def passages(view: View) -> dict[str, object] | None:
    """What was found in the knowledge base, and what becomes of the answer that it gives."""
    found = view.retrieved
    if found is None or not found["passages"]:
        return None
    return {
        "said": _standing(view, confident=found["confident"]),
        "open": view.phase == "running" or bool((view.answer or ShownAnswer()).get("sources")),
        "answer": found["answer"],
        "found": [
            {
                "title": one["title"],
                "source": one["source"],
                "score": wording.percent(one["score"]),
                "text": one["text"],
            }
            for one in found["passages"]
        ],
    }


def _standing(view: View, *, confident: bool) -> str:
    """Whether the passages are held back, shown, or were not needed."""
    answer = view.answer or ShownAnswer()
    if not confident:
        return wording.PASSAGES["unlike"]
    if view.phase == "running":
        return wording.PASSAGES["speaking" if view.speaker else "held"]
    return wording.PASSAGES["used" if answer.get("sources") else "unused"]


def kept(view: View) -> dict[str, object] | None:
    """A turn as the browser keeps it; see `ui.kept`."""
    if view.number is None:
        return None
    return {
        "chat": view.chat,
        "number": view.number,
        "request_id": view.request_id,
        "prompt": view.asked.get("prompt", ""),
        "category": view.asked.get("category"),
        "provider": view.asked.get("provider"),
        "phase": view.phase,
        "text": view.text,
        "answered_by": (view.answer or ShownAnswer()).get("provider"),
        "files": [one.label() for one in view.files],
    }


def badges(view: View) -> list[dict[str, object]]:
    """What the answer came to, in a few figures."""
    found: list[dict[str, object]] = []
    answer = view.answer or {}
    if view.route:
        given = "given" in (view.route.get("evidence") or {})
        sure = (
            say("picture.chosen_by_you")
            if given
            else wording.percent(view.route["confidence"]) + " sure"
        )
        mine = _badge("category", "Category", view.route["category"], sure)
        if view.corrected:
            mine |= {"value": view.corrected, "note": say("picture.corrected_by_you")}
        found.append({**mine, "choices": list(view.display.categories)})
    speaker = answer.get("provider") or view.speaker
    if speaker:
        kind = "passages" if speaker == "passages" else view.display.kind(speaker)
        label = "Answered by" if view.answer else "Speaking"
        role = answer.get("role") or ""
        mark = " · ".join(part for part in (role, wording.KINDS.get(kind, "")) if part)
        found.append({**_badge("winner", label, speaker, mark), "kind": kind})
    called = [a for a in view.attempts.values() if a["outcome"] != "skipped"]
    if called:
        found.append(_badge("called", "Models called", str(len(called)), _names(called)))
    if view.answer is not None:
        found += _figures(view, called)
    return found


def _figures(view: View, called: list[ShownAttempt]) -> list[dict[str, object]]:
    answer = view.answer or {}
    taken = sum(a.get("tokens_in") or 0 for a in called)
    given = sum(a.get("tokens_out") or 0 for a in called)
    about = "about " if any(a.get("cost_estimated") for a in called) else ""
    first = answer.get("ttft_ms")
    word = (
        say("picture.first_word", first=wording.seconds(first)) if first is not None else "no word"
    )
    return [
        _badge(
            "tokens",
            "Tokens",
            f"{taken + given}",
            say("picture.in_out", about=about, taken=taken, given=given),
        ),
        _badge("time", "Time", wording.seconds(answer.get("latency_ms")), word),
        _badge("cost", "Cost", view.price, say("picture.all_calls_together")),
    ]


def _badge(name: str, label: str, value: str, note: str) -> dict[str, object]:
    return {"name": name, "label": label, "value": value, "note": note}


def _names(called: list[ShownAttempt]) -> str:
    return ", ".join(dict.fromkeys(str(a["provider"]) for a in called))


def _node(view: View, name: str) -> dict[str, object]:
    node = view.nodes[name]
    took = None
    if node.started_ms is not None and node.ended_ms is not None:
        took = wording.seconds(_worked_until(view, name, node.ended_ms) - node.started_ms)
    return {
        "name": name,
        "title": TITLES[name],
        "state": node.state,
        "word": _word(view, name, node),
        "sub": node.sub,
        "took": took,
        "started_ms": node.started_ms,
        "input": _input(view, name) if node.started_ms is not None else None,
        "reads": _READS.get(name, []),
        "output": node.output,
    }


def _worked_until(view: View, name: str, ended_ms: float) -> float:
    """When the node's last call ended: a branch stays until the race is decided, in case it is
    needed once more."""
    ends = [a.get("ended_ms") for a in view.attempts.values() if a["role"] == name]
    known = [end for end in ends if end is not None]
    return min(ended_ms, max(known)) if known and len(known) == len(ends) else ended_ms


def _word(view: View, name: str, node: Node) -> str:
    """The state as a word; a late primary says whether it came in the end."""
    if node.state == "late" and name == "primary" and view.answer:
        came = any(a["outcome"] == "late" for a in view.attempts.values())
        return "Came late" if came else "Too late"
    return wording.STATES[node.state]


def _input(view: View, name: str) -> object:
    """What a node was given, as far as it is not another node's output."""
    route: Mapping[str, object] = view.route or {}
    prompt = view.asked.get("prompt")
    match name:
        case "classify":
            return dict(view.asked)
        case "primary":
            return {"prompt": prompt, "order": route.get("order")}
        case "fallback":
            return {"prompt": prompt, "category": route.get("category")}
        case "rerank":
            return {"category": route.get("category"), "order": route.get("order")}
        case _:
            return None


def _attempt(attempt: ShownAttempt) -> dict[str, object]:
    kind = attempt["kind"]
    return {
        **{k: attempt.get(k) for k in ("seq", "provider", "model", "role", "outcome", "served")},
        **{k: attempt.get(k) for k in ("started_ms", "first_ms", "ended_ms", "detail")},
        "kind": kind,
        "mark": wording.KINDS[kind],
        "ended": wording.how_ended(attempt),
        "cost": "" if attempt["outcome"] == "running" else wording.price(attempt),
        "took": wording.seconds(attempt.get("latency_ms")),
    }


def _route(view: View) -> dict[str, object] | None:
    return view.route and shown_route(view.route)


class Nearest(TypedDict):
    """An example that the prompt is like."""

    example: str
    category: str
    similarity: float


class Evidence(TypedDict, total=False):
    """What decided the category, as the page shows it; see `Route.evidence`."""

    given: str
    unsure: bool
    nearest: list[Nearest]
    rules: list[str]


def shown_route(route: Route) -> dict[str, object]:
    """A route's probabilities, evidence and order; the dry run shows the same."""
    evidence = cast(Evidence, route.get("evidence") or {})
    shares = sorted(route["probabilities"].items(), key=lambda pair: -pair[1])
    return {
        "category": route["category"],
        "given": evidence.get("given"),
        "unsure": bool(evidence.get("unsure")),
        "probabilities": [
            {"category": name, "share": share, "text": wording.percent(share)}
            for name, share in shares
        ],
        "nearest": [
            {**found, "text": wording.percent(found.get("similarity"))}
            for found in evidence.get("nearest") or []
        ],
        "rules": [str(rule) for rule in evidence.get("rules") or []],
        "order": list(route.get("order") or []),
        "explored": bool(route.get("explored")),
    }
