"""A conversation that a browser kept, made whole again from the log.

The browser keeps what was said; the log has the rest, as long as it has the request at all. What
comes from a browser is checked like any other input: it is only ever shown to whoever sent it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from config.errors import RouterError, UsageError
from graph.asked import MAX_PROMPT_CHARS
from telemetry.log import InteractionLog
from telemetry.records import InteractionRow
from ui.attached import MOST_FILES, labelled
from ui.display import DisplayConfig, ShownAnswer
from ui.replay import events
from ui.transcript import Conversation
from ui.view import View
from ui.wording import say

READ_AT_ONCE = 20
LOST = say("kept.the_connection_was")

Short = Annotated[str, Field(max_length=128)]


@with_config(ConfigDict(extra="ignore"))
class KeptTurn(TypedDict):
    """One turn as `ui.picture.kept` gave it out."""

    request_id: Annotated[str, Field(max_length=64)]
    prompt: Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]
    category: Short | None
    provider: Short | None
    phase: Literal["running", "done", "failed", "stopped"]
    text: Annotated[str, Field(max_length=4_000_000)]
    answered_by: Short | None
    files: NotRequired[Annotated[list[dict[str, object]], Field(max_length=MOST_FILES)]]
    """Labels of what was attached; its contents follow apart."""


_TURN = TypeAdapter(KeptTurn)


async def restored(
    log: InteractionLog, display: DisplayConfig, kept: Sequence[str]
) -> Conversation:
    """The conversation of these turns, each as JSON; UsageError for what is no turn."""
    try:
        turns = [_TURN.validate_json(one) for one in kept]
    except ValidationError:
        raise UsageError(say("kept.this_conversation_cannot"), "turns") from None
    rows: list[InteractionRow | None] = []
    for start in range(0, len(turns), READ_AT_ONCE):
        part = turns[start : start + READ_AT_ONCE]
        rows += await asyncio.gather(*(_row(log, turn["request_id"]) for turn in part))
    pairs = enumerate(zip(turns, rows, strict=True))
    return Conversation([_view(n, turn, row, display) for n, (turn, row) in pairs])


async def _row(log: InteractionLog, request_id: str) -> InteractionRow | None:
    """None where the log does not have it (any more), or cannot be asked."""
    try:
        return await log.get(request_id)
    except RouterError:
        return None


def _view(number: int, turn: KeptTurn, row: InteractionRow | None, display: DisplayConfig) -> View:
    asked = {key: turn[key] for key in ("prompt", "category", "provider")}
    view = View(asked, display, request_id=turn["request_id"], number=number)  # type: ignore[arg-type]
    view.files = [labelled(one) for one in turn.get("files", [])]
    if row is None:
        _without_a_row(view, turn)
        return view
    for event in events(row):
        view.apply(event)
    view.end()
    view.text = turn["text"] or view.text
    if view.phase == "done" and not (view.text or view.tools):
        view.phase, view.error = "failed", LOST
    return view


def _without_a_row(view: View, turn: KeptTurn) -> None:
    view.text = turn["text"]
    if turn["phase"] == "done":
        view.answer = ShownAnswer(provider=turn["answered_by"])
    ended = turn["phase"] in ("done", "stopped")
    view.phase = turn["phase"] if ended else "failed"
    view.error = None if ended else LOST
    view.end()
