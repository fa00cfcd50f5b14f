"""A conversation as the messages of a chat, and the way back from a message to its request."""

from __future__ import annotations

import re
import uuid
from collections import deque
from collections.abc import Iterator, Sequence

from providers.base import Message
from race.state import Source
from telemetry.records import ToolStep
from ui import attached, wording
from ui.attached import Attachment
from ui.display import ShownAnswer
from ui.markdown import plain, shown
from ui.structured import block, parts
from ui.view import View
from ui.wording import say

ChatMessage = dict[str, object]

SHOWN = 12
"""Turns that are shown at first, the newest: a browser slows down with what it holds."""
SEEN = 64
MORE = 30
"""Turns that one click on "show earlier" adds."""

_NO_WORD = re.compile(r"[^\w ,.-]")
"""What a picture's description leaves out: nothing can be escaped in it."""


class Conversation:
    """The turns of one tab, oldest first; each is the view of one request.

    No dataclass: gradio takes those in a session's state apart.
    """

    def __init__(self, turns: list[View] | None = None) -> None:
        self.turns = turns or []
        self.key = uuid.uuid4().hex
        """By it a browser knows the frames of a conversation that it has left."""
        for view in self.turns:
            view.chat = self.key
        self.pending: View | None = None
        """The last turn, until somebody takes it up to be answered."""
        self.current: View | None = None
        """The turn that is being answered."""
        self.stopped = False
        """The pending turn was stopped before it was taken up."""
        self.over = False
        """Another conversation has taken its place: nothing of this one is shown any more."""
        self.attached: dict[str, Attachment] = {}
        """Files for the next prompt, by their ids."""
        self.seen: deque[str] = deque(maxlen=SEEN)
        """Files that were taken or refused last, by their ids."""
        self._shown = SHOWN
        self._kept: dict[int, tuple[View, bool, list[ChatMessage]]] = {}
        """The messages of turns that are over: a frame is made of the running one alone."""

    @property
    def running(self) -> bool:
        asked = self.pending or self.current
        return asked is not None and asked.phase == "running"

    def take_up(self) -> View | None:
        """The pending turn, for one caller alone: whoever sends twice has asked once."""
        view, self.pending = self.pending, None
        if view is not None:
            self.current = view
        return view

    def messages(self) -> list[ChatMessage]:
        """What the chat shows; the first message of an answer is always the answer itself."""
        shown = range(self.earlier, len(self.turns))
        return [message for number in shown for message in self._turn(number)]

    @property
    def earlier(self) -> int:
        """How many of its first turns are folded away."""
        return max(0, len(self.turns) - self._shown)

    def show_earlier(self, *, every: bool = False) -> None:
        """Show some more of the folded turns, or all, until the next prompt is asked."""
        self._shown = len(self.turns) if every else len(self.turns) - self.earlier + MORE

    def fold(self) -> None:
        """Show no more than the newest turns again."""
        self._shown = SHOWN

    def turn_at(self, index: int) -> int | None:
        """The number of the turn that the message of that index belongs to."""
        passed = 0
        for number in range(self.earlier, len(self.turns)):
            passed += len(self._turn(number))
            if index < passed:
                return number
        return None

    def _turn(self, number: int) -> list[ChatMessage]:
        """The messages of a turn, copied, because gradio writes into what it is given."""
        view = self.turns[number]
        if view is self.current or view.phase == "running":
            return _whole(view)
        known = self._kept.get(number)
        amended = view.late is not None
        if known is None or known[0] is not view or known[1] != amended:
            known = self._kept[number] = (view, amended, _whole(view))
        return [dict(message) for message in known[2]]

    def history(self) -> list[Message]:
        """The turns that were answered, as the router takes them."""
        said: list[Message] = []
        for view in self.turns:
            if view.text and view.phase != "running":
                said.append(attached.asked(str(view.asked["prompt"]), view.files))
                said.append(Message(role="assistant", content=view.text))
        return said

    def held_chars(self) -> int:
        """What the files take, in characters."""
        turns = [one for view in self.turns for one in view.files]
        return sum(len(one.data) for one in (*turns, *self.attached.values()))

    def let_go(self) -> None:
        """Forget what is in the files."""
        for view in self.turns:
            view.files = attached.without_content(view.files)
        waiting = attached.without_content(self.attached.values())
        self.attached.update({one.id: one for one in waiting})

    def keep(self, turns: int) -> None:
        """Forget what came after so many turns."""
        del self.turns[turns:]


def _whole(view: View) -> list[ChatMessage]:
    """The messages of a turn that is over; what was cut can be gone on with below the last."""
    messages = list(_turn(view))
    if view.cut:
        messages[-1]["options"] = [{"value": "continue", "label": "Continue"}]
    return messages


def _turn(view: View) -> Iterator[ChatMessage]:
    yield _text("user", "\n\n".join([plain(str(view.asked["prompt"])), *_files(view.files)]))
    yield _text("assistant", _answer(view))
    if view.phase == "running":
        return
    for step in view.tools:
        yield _fold(_tool(step), block(step["text"], "Arguments" if _called(step) else "Result"))
    for note in view.notes:
        yield _fold(say("transcript.took_over", to=note["to"]), note["text"], open_=True)
    yield from _extras(view)


def _called(step: ToolStep) -> bool:
    return step["kind"] == "call"


def _tool(step: ToolStep) -> str:
    name = plain(step["name"] or "a tool")
    return say("said.calls", name=name) if _called(step) else say("said.returned", name=name)


def _files(files: Sequence[Attachment]) -> Iterator[str]:
    """Pictures as they are, but small; the others by their names."""
    pictures = [f"![{_NO_WORD.sub('_', one.name)}]({one.thumb})" for one in files if one.thumb]
    if pictures:
        yield " ".join(pictures)
    for one in files:
        if not one.thumb:
            unit = "bytes" if one.is_picture else "characters"
            yield f"**{plain(one.name)}** {one.size:,} {unit}"


def _answer(view: View) -> str:
    if view.text:
        return _said(view) + _ending(view)
    if view.tools:
        return say("transcript.calls_a_tool")
    match view.phase:
        case "failed":
            return say(
                "transcript.no_answer",
                answered=plain(wording.sentence(view.error or "nobody answered")),
            )
        case "stopped":
            return say("transcript.stopped_before_the")
        case _:
            return f"*{plain(_waiting_for(view))}*"


def _said(view: View) -> str:
    """The answer as Markdown; JSON gets its lines once it is whole."""
    if view.phase == "running":
        return shown(view.text, whole=False)
    return "".join(text if made else shown(text) for made, text in parts(view.text))


def _ending(view: View) -> str:
    """A mark where an answer does not end as its model would have ended it."""
    if view.phase == "stopped":
        return "\n\n*Stopped here.*"
    if view.phase == "failed":
        return say("transcript.broke_off", why=plain(wording.sentence(view.error or "")))
    return say("transcript.cut_here_the") if view.cut else ""


def _waiting_for(view: View) -> str:
    asked = [a["provider"] for a in view.attempts.values() if a["outcome"] == "running"]
    if asked:
        return f"Asking {' and '.join(dict.fromkeys(asked))} …"
    return "Retrieving …" if view.route else "Choosing a model …"


def _extras(view: View) -> Iterator[ChatMessage]:
    """What can be opened under an answer: how it came to be, sources, the loser, a late answer."""
    answer = view.answer
    if answer is None:
        return
    yield _fold(_byline(view), _how(view))
    if answer.get("sources"):
        count = len(answer["sources"])
        title = f"{count} source{'s' if count > 1 else ''}"
        yield _fold(title, "\n\n".join(_source(n, s) for n, s in enumerate(answer["sources"], 1)))
    loser = view.loser()
    if view.late is not None:
        seconds = wording.seconds(view.late["latency_ms"])
        title = say(
            "transcript.answered_after_all", provider=view.late["provider"], seconds=seconds
        )
        yield _fold(title, shown(str(view.late["text"])))
    elif loser is not None:
        yield _fold(
            say("transcript.what_had_to", provider=loser["provider"]), shown(str(loser["text"]))
        )


def _byline(view: View) -> str:
    answer = view.answer or {}
    parts = [wording.seconds(answer.get("latency_ms")), view.price]
    if answer.get("provider"):
        kind = wording.KINDS.get(view.display.kind(str(answer["provider"])), "")
        parts = [str(answer["provider"]), kind, *parts]
    return " · ".join(part for part in parts if part)


def _how(view: View) -> str:
    answer = view.answer or ShownAnswer()
    lines: list[str] = []
    if view.route:
        sure = wording.percent(view.route["confidence"])
        lines.append(
            say("transcript.category_sure", category=plain(view.route["category"]), sure=sure)
        )
    if answer.get("note"):
        lines.append(plain(wording.sentence(str(answer["note"]), view.names)))
    calls = [
        f"- {plain(a['provider'])} ({a['role']}) "
        + plain(", ".join(part for part in (wording.how_ended(a), wording.price(a)) if part))
        for _, a in sorted(view.attempts.items())
    ]
    lines.append("\n".join(calls))
    if view.logged is False:
        lines.append(say("transcript.this_request_could"))
    lines.append(f"Request `{view.request_id}`")
    return "\n\n".join(line for line in lines if line)


def _source(number: int, source: Source) -> str:
    score = wording.percent(source.get("score"))
    quote = "\n".join(f"> {plain(line)}" for line in str(source["text"]).strip().splitlines())
    return f"{number}. **{plain(source['title'])}** {plain(source['source'])}, {score}\n\n{quote}"


def _text(role: str, text: str, **extra: object) -> ChatMessage:
    """As a part of its own type: a bare string would lose the indentation of code."""
    return {"role": role, "content": [{"type": "text", "text": text}], **extra}


def _fold(title: str, text: str, *, open_: bool = False) -> ChatMessage:
    metadata = {"title": title} if open_ else {"title": title, "status": "done"}
    return _text("assistant", text, metadata=metadata)
