"""Finding better models: search, evidence, try with live progress, append, take back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import gradio as gr
from langgraph.types import Command

from config.errors import RouterError
from discovery.events import TrialEvent
from discovery.trial import verdict
from graph.scout import new_thread, run_scout, unfinished
from nodes.scouting import ScoutInput
from ui import wording
from ui.blocks import AT_ONCE, STREAMED, widget
from ui.chat_service import ChatService
from ui.news import item as news_item
from ui.wording import say, sentence

if TYPE_CHECKING:
    from discovery.candidates import Candidate
    from discovery.result import SearchResult

SHOWN = 25
LATELY = 12
"""Changes that the board tells of."""
EVERY_S = 2.0
ASKED_S = 5.0
"""How often the board looks for searches that wait for a person."""


def models_tab(service: ChatService, *, write: bool) -> None:
    categories = list(service.router.settings.categories)
    with gr.Tab("Find models", id="models"):
        with gr.Row(elem_classes="rt-filters"):
            category = gr.Dropdown(
                categories, value=categories[0], label="Category", elem_id="models-category"
            )
            search = gr.Button(say("models.search_for_better"), variant="primary", elem_id="search")
            if write:
                undo = gr.Button(say("models.undo_the_last"), elem_id="undo")
        steps = widget("steps", None, elem_id="trial", latest=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=320):
                found = widget("candidates", None, elem_id="candidates")
            with gr.Column(scale=5, min_width=320, elem_classes="rt-beside"):
                if write:
                    questions = widget("questions", None, elem_id="questions", every_s=ASKED_S)
                trials = widget("trials", None, elem_id="trials", every_s=EVERY_S)

    async def look(name: str) -> AsyncIterator[object]:
        yield {"busy": True}
        yield await look_up(service, name, write=write)

    async def refresh() -> object:
        news = await service.router.news(LATELY)
        return {"trials": on_trial(service), "news": [news_item(row) for row in news]}

    search.click(look, category, found, trigger_mode="multiple", **STREAMED)
    category.change(lambda: {"cleared": True}, None, found, **AT_ONCE)
    trials.refresh(refresh, None, trials, **AT_ONCE)
    if write:

        async def attempt(event: gr.EventData) -> AsyncIterator[object]:
            data = event._data or {}
            name = str(data.get("category", ""))
            candidate = str(data.get("key", "")) or None
            said = data.get("accepted")
            accepted = [str(one) for one in said] if isinstance(said, list) else []
            async for frame in tried(service, name, candidate, accepted):
                yield frame

        async def answer(event: gr.EventData) -> AsyncIterator[object]:
            async for frame in answered(service, event._data or {}):
                yield frame

        async def ask_person() -> object:
            return await waiting(service)

        async def take_back() -> object:
            try:
                said = await service.router.discovery.undo()
            except RouterError as error:
                return {"steps": [_step("failed", sentence(str(error)))], "over": True}
            return {"steps": [_step("done", sentence(said))], "over": True}

        found.select(attempt, None, steps, **STREAMED).then(ask_person, None, questions, **AT_ONCE)
        questions.select(answer, None, steps, **STREAMED).then(
            ask_person, None, questions, **AT_ONCE
        )
        questions.refresh(ask_person, None, questions, **AT_ONCE)
        undo.click(take_back, None, steps, **AT_ONCE)


def on_trial(service: ChatService) -> list[dict[str, object]]:
    """Each provider on trial, with what the judge would say now and why."""
    settings, ranking = service.router.settings, service.router.services.routing.ranking
    found: list[dict[str, object]] = []
    for category in settings.categories:
        entries = ranking.standings(category).entries
        for entry in entries:
            if entry.trial is None:
                continue
            kind = service.display.kind(entry.provider)
            figures = {"mean": entry.mean, "low": entry.low, "high": entry.high, "n": entry.n}
            share, said = wording.percent(entry.trial), sentence(verdict(entry, entries).reason)
            named = {"provider": entry.provider, "kind": kind, "mark": wording.KINDS[kind]}
            found.append({**named, **figures, "category": category, "share": share, "said": said})
    return found


async def look_up(service: ChatService, category: str, *, write: bool) -> dict[str, object]:
    """The candidates of a search, ready to be drawn."""
    try:
        result = await service.router.search(category)
    except RouterError as error:
        return {"problem": sentence(str(error)), "rows": []}
    best = result.best()
    return {
        "category": category,
        "asked": [f"{source} ({count})" for source, count in result.asked.items()],
        "problems": [sentence(problem) for problem in result.problems],
        "rows": [_row(c, result, best, write) for c in result.candidates[:SHOWN]],
        "count": len(result.candidates),
    }


def _row(
    candidate: Candidate, result: SearchResult, best: Candidate | None, write: bool
) -> dict[str, object]:
    refused = result.refused.get(candidate.key)
    servable = result.servable(candidate)
    places = ", ".join(offer.host for offer in candidate.offers)
    if candidate.configured:
        state = say("models.configured_as", configured=", ".join(candidate.configured))
    elif places:
        state = say("models.served_by", places=places)
    elif servable:
        state = say("models.can_be_loaded")
    elif candidate.places:
        state = say("models.would_serve_it", places=", ".join(candidate.places))
    else:
        state = say("models.served_by_no")
    return {
        "key": candidate.key,
        "name": candidate.name,
        "score": candidate.score.total,
        "terms": [
            {"name": t.name, "value": t.value, "weight": wording.percent(t.weight), "said": t.said}
            for t in candidate.score.terms
        ],
        "sources": ", ".join(candidate.sources),
        "state": state,
        "flags": list(candidate.flags),
        "questions": list(candidate.questions),
        "refused": refused and sentence(say("models.refused_lately", refused=refused)),
        "best": candidate is best,
        "can_try": write and servable and not candidate.configured,
    }


async def tried(
    service: ChatService, category: str, candidate: str | None, accepted: Sequence[str] = ()
) -> AsyncIterator[dict[str, object]]:
    """Frames of a trial, which ends with a question; leaving them stops it, and it can go on.

    `accepted`: what the licence asks, answered yes. A search of the category that waits for an
    answer is given this candidate instead; one of this candidate that was left goes on.
    """
    router = service.router
    if category not in router.settings.categories:
        why = say("models.search_again_that")
        yield {"steps": [_step("failed", why)], "over": True}
        return
    graph = router.scout
    known = [u for u in await unfinished(graph) if u.category == category]
    waits = next((u for u in known if u.question), None)
    left = next((u for u in known if not u.question and u.chosen == candidate), None)
    if waits is not None:
        instead = {"candidate": candidate, "accepted": list(accepted)}
        said = say("models.instead_of_which", chosen=waits.chosen)
        run = run_scout(graph, Command(resume=instead), waits.thread)
    elif left is not None:
        said, run = say("models.going_on_where"), run_scout(graph, None, left.thread)
    else:
        given = ScoutInput(category=category, candidate=candidate, accepted=list(accepted))
        said, run = say("models.preparing_the_trial"), run_scout(graph, given, new_thread(category))
    async for frame in _frames(said, run):
        yield frame


async def answered(
    service: ChatService, data: Mapping[str, Any]
) -> AsyncIterator[dict[str, object]]:
    """Frames of what follows a person's answer: `append` with a `share` in percent, or `refuse`."""
    said: object = data.get("answer") == "append"
    if said and (share := data.get("share")):
        try:
            said = {"share": float(share) / 100}
        except (TypeError, ValueError):
            said = {"share": None}  # no answer, so it is asked again
    run = run_scout(service.router.scout, Command(resume=said), str(data.get("thread")))
    async for frame in _frames("Answered.", run):
        yield frame


async def waiting(service: ChatService) -> dict[str, object]:
    """The searches that wait for a person, wherever they were begun, ready to be drawn."""
    found = []
    for one in await unfinished(service.router.scout):
        if one.question is None:
            continue
        entry, evidence = one.question["entry"], one.question["evidence"]
        wrong = one.question.get("error")
        found.append(
            {
                "thread": one.thread,
                "title": say(
                    "models.append_at_for",
                    name=entry["name"],
                    host=entry["host"],
                    category=one.category,
                ),
                "said": sentence(f"{evidence['outcome']}: {evidence['reason']}"),
                "share": round(100 * float(entry["trial"]["share"]), 1),
                "wrong": wrong and sentence(str(wrong)),
            }
        )
    return {"questions": found}


async def _frames(first: str, run: AsyncGenerator[TrialEvent]) -> AsyncIterator[dict[str, object]]:
    """The steps of a run of the search's graph, as they grow."""
    steps: list[dict[str, object]] = [_step("running", first)]
    yield {"steps": list(steps), "over": False}
    try:
        async with aclosing(run) as heard:
            async for event in heard:
                _note(steps, event)
                yield {"steps": list(steps), "over": False}
        if steps[-1].get("type") == "decided":
            steps.append(_step("waiting", say("models.it_waits_for")))
    except RouterError as error:
        steps.append(_step("failed", sentence(str(error))))
    if steps[0]["state"] == "running":
        steps[0] = {**steps[0], "state": "done"}
    yield {"steps": list(steps), "over": True}


def _note(steps: list[dict[str, object]], event: Mapping[str, Any]) -> None:
    """Add an event, or renew the last step where it only went on."""
    if steps and steps[-1].get("type") == event["type"]:
        steps.pop()
    steps.append({**in_words(event), "type": event["type"]})


def in_words(event: Mapping[str, Any]) -> dict[str, object]:
    """A step of a trial in words."""
    match event["type"]:
        case "chosen":
            return _step("done", say("models.chosen_at", name=event["name"], host=event["host"]))
        case "downloading":
            done, total = event.get("done") or 0, event.get("total") or 0
            share = done / total if total else 0.0
            text = say(
                "models.downloading_of_mb", done=f"{done / 1e6:.0f}", total=f"{total / 1e6:.0f}"
            )
            return {**_step("running", text), "share": share}
        case "downloaded":
            return _step("done", say("models.downloaded_and_checked"))
        case "smoke":
            ok = not event.get("error")
            why = "It answers." if ok else sentence(say("models.it_does_not", error=event["error"]))
            return _step("done" if ok else "failed", why)
        case "incumbent":
            return _step(
                "failed",
                sentence(
                    say("models.does_not_answer", provider=event["provider"], error=event["error"])
                ),
            )
        case "question":
            return _step("failed", " ".join(event["questions"]))
        case "probe":
            return {**_step("done", _probe(event)), "share": event["number"] / event["of"]}
        case "decided":
            return _step("done", sentence(f"{event['outcome']}: {event['reason']}"))
        case "appended":
            return _step(
                "done",
                say("models.appended_as", candidate=event.get("provider", event["candidate"])),
            )
        case "there":
            return _step("done", say("models.it_is_in", provider=event["provider"]))
        case "refused":
            return _step("failed", sentence(say("models.not_taken_in", reason=event["reason"])))
        case other:
            return _step("done", sentence(str(other)))


def _probe(event: Mapping[str, Any]) -> str:
    """The comparison so far: the mean difference to the incumbent with its interval."""
    low, mean, high = event["lower"], event["difference"], event["upper"]
    return say(
        "models.probe_of_mean",
        number=event["number"],
        of=event["of"],
        mean=f"{mean:+.2f}",
        low=f"{low:+.2f}",
        high=f"{high:+.2f}",
    )


def _step(state: str, text: str) -> dict[str, object]:
    return {"state": state, "text": text}
