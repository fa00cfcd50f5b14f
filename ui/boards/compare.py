"""One prompt, two to four models side by side: unnamed, shown together, and voted on.

The ranking learns from a vote that the chosen answer is better than each of the others. The vote is
noted in the log as one comparison too, of which the table of who wins against whom is made.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import sqrt

import gradio as gr

from config.errors import NoAnswerError, NotFoundError, RouterError, UsageError
from graph.router import Router
from runtime import verdicts
from telemetry.records import AuditRow
from ui.blocks import AT_ONCE, STREAMED, widget
from ui.chat_service import ChatService
from ui.wording import percent, say, sentence

ROUTER = "the router"
"""Takes part as one that chooses for itself."""
LEAST, MOST = 2, 4
LETTERS = "ABCD"
KIND = "compared"
"""Of the log's notes: the subject is the winner, or empty where nobody was better."""
COUNTED = 2_000
"""Newest comparisons that the table is made of."""
MOST_ROUNDS = 500
"""Comparisons that wait for a vote; the oldest are let go."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One side's answer; `text` is None where that model gave none."""

    name: str
    request_id: str
    text: str | None
    error: str = ""


def compare_tab(service: ChatService) -> None:
    rounds: OrderedDict[str, list[Entry]] = OrderedDict()
    router = service.router
    with gr.Tab("Compare", id="compare"):
        shown = widget("compare", None, elem_id="compare", events=("ask", "vote"))

    async def choices() -> object:
        names = [p.name for p in router.settings.providers if p.disabled is None]
        return {"models": [ROUTER, *names], "results": await results(router)}

    async def ask_all(event: gr.EventData) -> AsyncIterator[object]:
        sent = event._data or {}
        models, prompt = sent.get("models"), str(sent.get("prompt") or "").strip()
        names = list(dict.fromkeys(map(str, models))) if isinstance(models, list) else []
        try:
            entries = check(router, prompt, names)
        except RouterError as error:
            yield {"problem": sentence(str(error))}
            return
        yield {"busy": len(names)}
        found = await asyncio.gather(*(answer(router, prompt, name) for name in entries))
        number = uuid.uuid4().hex
        rounds[number] = found
        while len(rounds) > MOST_ROUNDS:
            rounds.popitem(last=False)
        yield {"round": number, "answers": [_unnamed(n, one) for n, one in enumerate(found)]}

    async def vote(event: gr.EventData) -> object:
        sent = event._data or {}
        found = rounds.pop(str(sent.get("round")), None)
        if found is None:
            return {"problem": say("compare.this_comparison_was")}
        await voted(router, found, str(sent.get("choice")))
        named = [{**_unnamed(n, one), "name": one.name} for n, one in enumerate(found)]
        return {"answers": named, "results": await results(router)}

    shown.refresh(choices, None, shown, **AT_ONCE)
    shown.ask(ask_all, None, shown, **STREAMED)
    shown.vote(vote, None, shown, **AT_ONCE)


def check(router: Router, prompt: str, names: Sequence[str]) -> list[str]:
    """The models in an order that says nothing about them; UsageError for what cannot be asked."""
    if not prompt:
        raise UsageError(say("compare.write_a_prompt"), "prompt")
    if not LEAST <= len(names) <= MOST:
        raise UsageError(say("compare.choose_to_models", least=LEAST, most=MOST), "models")
    enabled = {p.name for p in router.settings.providers if p.disabled is None} | {ROUTER}
    if unknown := [name for name in names if name not in enabled]:
        raise UsageError(say("compare.is_not_there", name=unknown[0][:80]), "models")
    return random.sample(names, len(names))


async def answer(router: Router, prompt: str, name: str) -> Entry:
    """That model's own answer; what its fallback said in its place is not compared."""
    request_id = uuid.uuid4().hex
    try:
        said = await router.answer(
            prompt, provider=None if name == ROUTER else name, request_id=request_id
        )
    except NoAnswerError as error:
        return Entry(name, request_id, None, sentence(str(error)))
    if name not in (ROUTER, said.provider):
        return Entry(name, request_id, None, sentence(said.why or say("compare.it_gave_no")))
    return Entry(name, request_id, said.text)


def _unnamed(number: int, entry: Entry) -> dict[str, object]:
    missing = None if entry.text is not None else say("compare.this_one_gave")
    return {"letter": LETTERS[number], "text": entry.text, "missing": missing}


async def voted(router: Router, entries: Sequence[Entry], choice: str) -> None:
    """Teach the ranking a person's choice: a letter, or anything else for "none is better"."""
    there = [one for one in entries if one.text is not None]
    number = LETTERS.find(choice) if len(choice) == 1 else -1
    best = entries[number] if 0 <= number < len(entries) else None
    if best not in there:
        best = None
    with suppress(NotFoundError):  # requests that still wait for the log: the note stays
        named = best.request_id if best is not None else None
        await verdicts.chosen(router.services, [one.request_id for one in there], named)
    detail = {
        "models": [one.name for one in there],
        "requests": [one.request_id for one in there],
        "source": say("compare.a_person_side"),
    }
    await router.services.log.audit(KIND, best.name if best is not None else "", detail)


async def results(router: Router) -> list[dict[str, object]]:
    """Who won how often against whom, with a 95% interval."""
    try:
        rows = await router.services.log.audits(KIND, limit=COUNTED)
    except RouterError:
        return []
    return standings(rows)


def standings(rows: Iterable[AuditRow]) -> list[dict[str, object]]:
    wins: Counter[tuple[str, str]] = Counter()
    for row in rows:
        models = row["detail"].get("models")
        for other in models if isinstance(models, list) else []:
            if row["subject"] and other != row["subject"]:
                wins[row["subject"], str(other)] += 1
    pairs = {tuple(sorted(pair)) for pair in wins}
    found = []
    for a, b in sorted(pairs):
        first, second = (a, b) if wins[a, b] >= wins[b, a] else (b, a)
        n = wins[a, b] + wins[b, a]
        low, high = interval(wins[first, second], n)
        found.append(
            {
                "first": first,
                "second": second,
                "share": percent(wins[first, second] / n),
                "interval": f"{percent(low)} to {percent(high)}",
                "n": n,
            }
        )
    return found


def interval(wins: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share (J. Am. Stat. Assoc. 22, 1927)."""
    share, weight = wins / n, z * z / n
    middle = (share + weight / 2) / (1 + weight)
    half = z * sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    return max(0.0, middle - half), min(1.0, middle + half)
