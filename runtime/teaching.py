"""Corrections of the classifier: stored in the log's database, applied at once, in every replica.

A correction is identified by its prompt: a later one for the same prompt replaces it, and
withdrawing one leaves its row with a mark, so that every replica notices.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal, TypedDict, Unpack

from config.errors import NotFoundError, UsageError
from race.services import Services
from routing.classifier.lessons import Lesson
from telemetry.records import TaughtRow

MOST_CHARACTERS = 4_000
"""Characters of a prompt that are stored as an example: classification reads less of it."""
REMEMBERED = 2_000
"""Requests whose prompts are kept in memory, for corrections that name only the request."""
LEARN_S = 1.0
"""How long a correction waits until its kind is learned; after that, learning continues in the
background."""
NOBODY = "local"
"""The teacher's name if callers are anonymous."""


Kind = Literal["prompt", "request"]


class How(TypedDict, total=False):
    """How a correction is given."""

    by: str
    """The teacher's name; NOBODY without."""
    kind: Kind
    """Which of both is given; without it, a request's id if the log has it, else a prompt."""
    learn: bool
    """Whether the call returns only when what the correction has in common with others is learned
    too, or after LEARN_S; true without."""


class Taught(TypedDict):
    """A correction as it is listed."""

    id: str
    at: float  # Unix time in seconds
    prompt: str
    category: str
    by: str
    request_id: str | None


@dataclass(slots=True)
class RecentPrompts:
    """The prompts of the latest requests, whether or not the log stores texts."""

    _prompts: OrderedDict[str, str] = field(default_factory=OrderedDict)

    def note(self, request_id: str, prompt: str) -> None:
        self._prompts[request_id] = prompt[:MOST_CHARACTERS]
        self._prompts.move_to_end(request_id)
        while len(self._prompts) > REMEMBERED:
            self._prompts.popitem(last=False)

    def get(self, request_id: str) -> str | None:
        return self._prompts.get(request_id)


async def teach(
    services: Services,
    recent: RecentPrompts,
    prompt_or_request_id: str,
    category: str | None,
    **how: Unpack[How],
) -> Taught:
    """Store a correction and apply it; None as category withdraws the one for this prompt.

    It applies at once to the prompts nearest to it.

    Raises UsageError for an unknown category or an empty prompt, NotFoundError for a correction
    or a request that does not exist, and for a request whose prompt is no longer known.
    """
    known = list(services.settings.categories)
    if category is not None and category not in known:
        raise UsageError(f"unknown category {category!r}; known are {', '.join(known)}", "category")
    by = how.get("by", NOBODY)
    prompt, request_id = await _prompt_of(services, recent, prompt_or_request_id, how.get("kind"))
    lesson = lesson_id(prompt)
    if category is None:
        return await take_back(services, lesson, by)
    row = TaughtRow(
        id=lesson,
        at=services.log.now(),
        category=category,
        request_id=request_id,
        prompt=prompt,
        detail={"by": by},
    )
    await services.log.teach(row)
    await follow(services)
    if how.get("learn", True):
        await _learned(services)
    return _listed(row)


async def take_back(services: Services, lesson: str, by: str = NOBODY) -> Taught:
    """Withdraw a correction; raises NotFoundError if there is none with that id."""
    row = next((r for r in await services.log.taught() if r["id"] == lesson and _stands(r)), None)
    if row is None:
        raise NotFoundError("there is no correction for this prompt, or it was already withdrawn")
    gone: dict[str, object] = {
        **row["detail"],
        "taken_back_by": by,
        "taken_back_at": services.log.now(),
    }
    await services.log.teach(TaughtRow(**{**row, "detail": gone}))
    await follow(services)
    return _listed(row)


async def taught(services: Services) -> list[Taught]:
    """The corrections in force, oldest first."""
    return [_listed(row) for row in await services.log.taught() if _stands(row)]


async def follow(services: Services) -> None:
    """Adopt corrections added or withdrawn here or by another replica."""
    lessons = [
        Lesson(row["id"], str(row["prompt"]), row["category"])
        for row in await services.log.taught()
        if _stands(row)
    ]
    if tuple(lessons) != services.classifier.lessons:
        await asyncio.to_thread(services.classifier.teach, lessons)


async def _learned(services: Services) -> None:
    work = asyncio.get_running_loop().run_in_executor(None, services.classifier.generalise)
    await asyncio.wait({work}, timeout=LEARN_S)


def lesson_id(prompt: str) -> str:
    """The same for prompts that differ only in spaces."""
    return hashlib.sha256(" ".join(prompt.split()).encode("utf-8", "replace")).hexdigest()[:32]


async def _prompt_of(
    services: Services, recent: RecentPrompts, given: str, kind: Kind | None
) -> tuple[str, str | None]:
    """The prompt in question, and the request if one was named."""
    if not given.strip():
        raise UsageError("the prompt is empty; send some text or a request's id", "prompt")
    if kind != "prompt" and (prompt := recent.get(given)) is not None:
        return prompt, given
    if kind == "request" or (kind is None and _may_be_id(given)):
        try:
            row = await services.log.get(given)
        except NotFoundError:
            if kind == "request":
                raise
            return given, None
        if not row.get("prompt"):
            raise NotFoundError(
                f"the prompt of request {given} is not stored (log: {{text: false}}) and no longer "
                "in memory; send the prompt itself"
            )
        return str(row["prompt"])[:MOST_CHARACTERS], given
    return given[:MOST_CHARACTERS], None


def _may_be_id(given: str) -> bool:
    return len(given) <= 64 and not any(character.isspace() for character in given)


def _stands(row: TaughtRow) -> bool:
    return "taken_back_by" not in row["detail"] and bool(row.get("prompt"))


def _listed(row: TaughtRow) -> Taught:
    return Taught(
        id=row["id"],
        at=row["at"],
        prompt=str(row["prompt"]),
        category=row["category"],
        by=str(row["detail"].get("by", NOBODY)),
        request_id=row.get("request_id"),
    )
