"""The steps of the search for a better model, as nodes of the `scout` graph.

Each may be repeated after a crash: what it has already done is found, not done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import NotRequired

from filelock import FileLock, Timeout
from langgraph.types import interrupt
from typing_extensions import TypedDict

from config import editor
from config.errors import AlreadyThereError, UsageError
from config.models import Settings
from discovery.calls import Journal
from discovery.entry import Entry
from discovery.events import Decided, There, TrialEvent
from discovery.search import Search

QUESTION = "Append this model?"
ANSWERS = 'answer true, false, {"candidate": name} or {"share": a number between 0 and 1}'


class ScoutInput(TypedDict, total=False):
    """The input of a search; a thread without input continues, or checks again."""

    category: str
    candidate: str | None
    """Key, name or a host's id; None for the best."""
    accepted: list[str]
    """Questions of a licence that a person has agreed to."""
    review: bool
    """False appends a model that passes its trial without asking."""


class Ranked(TypedDict):
    """A candidate that was found."""

    key: str
    name: str
    score: float
    sources: list[str]


class Review(TypedDict):
    """The question for a person."""

    question: str
    entry: Entry
    evidence: dict[str, object]
    error: NotRequired[str]


class ScoutState(ScoutInput, total=False):
    """Each key is written by one node."""

    candidates: list[Ranked]  # search: best first
    chosen: str | None  # score, or a review that names another one
    decided: Decided | None  # try: the verdict, with the entry to append
    approved: bool | None  # review
    outcome: str | None  # the last step's: appended, refused, on trial, promoted, rolled back
    reason: str | None
    provider: str | None  # append: the entry's name


class ScoutOutput(TypedDict, total=False):
    """The result."""

    candidates: list[Ranked]
    chosen: str | None
    outcome: str | None
    reason: str | None
    provider: str | None


async def search(state: ScoutState, find: Search) -> ScoutState:
    """Ask the sources; their answers are cached for a while, so repeating it costs nothing."""
    category = _checked(state)
    result = await find.search(category)
    rows: list[Ranked] = [
        {"key": c.key, "name": c.name, "score": round(c.score.total, 3), "sources": list(c.sources)}
        for c in result.candidates[:20]
    ]
    empty: ScoutState = {"decided": None, "approved": None, "outcome": None, "provider": None}
    return {**empty, "candidates": rows, "reason": None}


def _checked(state: ScoutState) -> str:
    """The category; raises UsageError with one sentence that says what is wrong."""
    category, candidate = state.get("category"), state.get("candidate")
    if not isinstance(category, str):
        raise UsageError("give the `category` to search a better model for", "category")
    if candidate is not None and not isinstance(candidate, str):
        raise UsageError("`candidate` must be a model's key, name or id, or null", "candidate")
    if not isinstance(state.get("accepted") or [], list):
        raise UsageError("`accepted` must be a list of a licence's questions", "accepted")
    if not isinstance(state.get("review", True), bool):
        raise UsageError("`review` must be true or false", "review")
    return category


async def score(state: ScoutState, find: Search) -> ScoutState:
    """The candidate to try: the caller's, else the first that is new, servable and not refused."""
    if state.get("candidate"):
        return {"chosen": state["candidate"]}
    best = (await find.search(state["category"])).best()
    if best is None:
        reason = "no candidate is new, served by an enabled host and not recently refused"
        return {"chosen": None, "outcome": "refused", "reason": reason}
    return {"chosen": best.key}


async def attempt(
    state: ScoutState, find: Search, emit: Callable[[TrialEvent], None], thread: str | None
) -> ScoutState:
    """Try it; calls that were finished before a crash are not repeated."""
    journal = None
    if thread:
        journal = await asyncio.to_thread(Journal, _place(find.settings, thread, "jsonl"))
    events = find.attempt(
        state["category"],
        state["chosen"],
        accepted=state.get("accepted") or (),
        journal=journal,
    )
    last: TrialEvent | None = None
    async with aclosing(events) as heard:
        async for event in heard:
            emit(event)
            last = event
    if last is not None and last["type"] == "decided":
        if last["entry"] is not None:
            return {"decided": last}
        last = await find.refuse(last)
        emit(last)
    reason = last["reason"] if last is not None and last["type"] == "refused" else None
    return {"decided": None, "outcome": "refused", "reason": reason}


async def review(state: ScoutState, find: Search) -> ScoutState:
    """Stop and ask a person: yes, no, another candidate, or another share of the traffic."""
    decided = state["decided"]
    assert decided is not None
    if not state.get("review", True):
        return {"approved": True}
    evidence = {name: value for name, value in decided.items() if name not in ("type", "entry")}
    entry = decided["entry"]
    assert entry is not None
    asked: Review = {"question": QUESTION, "entry": entry, "evidence": evidence}
    while True:
        said = interrupt(asked)
        if wrong := await _unknown(said, state["category"], find):
            asked = {**asked, "error": wrong}
        elif update := _answered(said, decided):
            return update
        else:
            asked = {**asked, "error": ANSWERS}


async def refuse(state: ScoutState, find: Search, thread: str | None) -> ScoutState:
    """A person refused: the next search tries another one."""
    decided = state["decided"]
    assert decided is not None
    reason = "a person refused it"
    row = {"candidate": decided["candidate"], "category": state["category"], "reason": reason}
    await find.refuse({**row, "outcome": "refused"})
    await _forget(find.settings, thread)
    return {"outcome": "refused", "reason": reason}


async def append(
    state: ScoutState, find: Search, emit: Callable[[TrialEvent], None], thread: str | None
) -> ScoutState:
    """Add it to the configuration, on trial; an entry that already exists is not added again."""
    decided = state["decided"]
    assert decided is not None
    entry = decided["entry"]
    assert entry is not None
    there = await asyncio.to_thread(_there, find.settings, entry)
    if there is None:
        try:
            emit(await find.append(state["category"], decided["candidate"], entry))
        except AlreadyThereError:
            there = {**entry}  # another process was faster
    if there is not None:
        emit(
            There(
                type="there",
                candidate=decided["candidate"],
                category=state["category"],
                provider=str(there["name"]),
            )
        )
    await _forget(find.settings, thread)
    name = str((there or entry)["name"])
    return {"outcome": "appended", "provider": name, "reason": decided["reason"]}


async def watch(state: ScoutState, find: Search) -> ScoutState:
    """The state of its trial. This does not wait: the follower of the log judges every second, and
    a thread that is run again checks."""
    entries = await asyncio.to_thread(editor.providers_in, find.settings.config_dir)
    entry = next((e for e in entries if e["name"] == state.get("provider")), None)
    if entry is None:
        return {"outcome": "rolled back"}
    return {"outcome": "on trial" if entry.get("trial") else "promoted"}


@asynccontextmanager
async def alone(settings: Settings, thread: str | None) -> AsyncIterator[None]:
    """Only one run at a time works on a thread; raises UsageError if another one does, in any
    process."""
    if thread is None:
        yield
        return
    path = _place(settings, thread, "lock")
    await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        await asyncio.to_thread(lock.acquire)
    except Timeout:
        raise UsageError(f"the search `{thread}` is already running", "thread") from None
    try:
        yield
    finally:
        await asyncio.to_thread(lock.release)


async def _unknown(said: object, category: str, find: Search) -> str | None:
    """Why the requested other candidate cannot be tried; None if it can, or none was requested."""
    name = said.get("candidate") if isinstance(said, dict) else None
    if not isinstance(name, str):
        return None
    result = await find.search(category)
    if (candidate := result.find(name)) is None:
        return f"the search for {category} found no `{name}`"
    return None if result.servable(candidate) else f"`{name}` is served by no enabled host"


def _answered(said: object, decided: Decided) -> ScoutState | None:
    """The meaning of the reply; None if it is invalid."""
    if said is True or said == "approve":
        return {"approved": True}
    if said is False or said == "refuse":
        return {"approved": False}
    if isinstance(said, dict) and isinstance(said.get("candidate"), str):
        accepted = [str(one) for one in said.get("accepted") or ()]
        return {"chosen": said["candidate"], "accepted": accepted, "approved": None}
    share = said.get("share") if isinstance(said, dict) else None
    if isinstance(share, int | float) and 0 < share <= 1:
        entry = decided["entry"]
        assert entry is not None
        entry = {**entry, "trial": {"share": float(share)}}
        return {"approved": True, "decided": {**decided, "entry": entry}}
    return None


def _there(settings: Settings, entry: Entry) -> dict[str, object] | None:
    """The entry of the same model at the same host, if the application has appended one."""
    return next(
        (
            known
            for known in editor.providers_in(settings.config_dir)
            if (known.get("host"), known.get("model")) == (entry["host"], entry["model"])
            and known.get("added")
        ),
        None,
    )


def _place(settings: Settings, thread: str, ending: str) -> Path:
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in thread)[:100]
    return settings.data_dir / "scout" / f"{name}.{ending}"


async def _forget(settings: Settings, thread: str | None) -> None:
    if thread:
        await asyncio.to_thread(Journal(_place(settings, thread, "jsonl")).remove)
