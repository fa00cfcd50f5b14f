"""The vocabulary of the wall: the bytes of a provider's reply, and what is expected of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.upstream import Behaviour

ANSWER = "Half an answer is worse than none at all."
"""What the fallback says: it begins with what a broken primary has shown, so that a live caller's
text can be continued to exactly this."""
SHOWN = "Half an "
WHOLE = "Half an answer."
OWN_WORD = "adios"
"""A finish reason that the wall's configuration says means `stop`."""

Reply = tuple[tuple[float, bytes], ...]


def chunk(delta: dict[str, Any] | None, reason: Any = None, **more: Any) -> bytes:
    """One event with one choice; `delta` None: a choice without one."""
    held = {} if delta is None else {"delta": delta}
    choice = {"index": 0, **held, "finish_reason": reason, **more}
    return event({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})


def event(value: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n".encode()


def text(said: str, reason: Any = None) -> bytes:
    return chunk({"content": said}, reason)


def thought(said: str, reason: Any = None) -> bytes:
    return chunk({"reasoning_content": said}, reason)


def usage(**counts: Any) -> bytes:
    held = {"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": counts}
    return event(held)


def completion(said: object, reason: Any = "stop", **more: Any) -> dict[str, Any]:
    """A whole answer in one object."""
    message = {"role": "assistant", "content": said}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return {"id": "g", "object": "chat.completion", "choices": [choice], **more}


STOP = chunk({}, "stop")
DONE = b"data: [DONE]\n\n"
HALF, REST = text("Half "), text("an answer.")
CUT = text(SHOWN)


def at_once(*pieces: bytes) -> Reply:
    return ((0.0, b"".join(pieces)),)


def every(seconds: float, *pieces: bytes) -> Reply:
    return tuple((seconds if index else 0.0, piece) for index, piece in enumerate(pieces))


def byte_by_byte(*pieces: bytes) -> Reply:
    together = b"".join(pieces)
    return tuple((0.0, together[at : at + 1]) for at in range(len(together)))


Ending = Literal["end", "rst", "close", "silence"]


@dataclass(frozen=True)
class Case:
    """One reply of the preferred provider, and what must come of it."""

    name: str
    reply: Reply
    says: str | None = WHOLE
    """The caller's text, as a whole answer and live alike; None: the fallback's."""
    error: str | None = None
    """The log's word for the failed attempt; None: its outcome is ok."""
    shown: str = ""
    """What a live caller has been shown of a failed attempt."""
    finish: str = "stop"
    usage: tuple[int, int] | None = None
    """The tokens in the log; None: estimated, and marked as such."""
    reasoning: str = ""
    calls: int = 1
    """To this provider, for one request."""
    status: int = 200
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    ending: Ending = "end"
    wait_s: float | None = None
    """How long the host is left alone afterwards, by the time that it named."""
    breaker: Literal["closed", "open"] = "closed"
    detail: str = ""
    """Words that the log's detail repeats."""
    seen: str = ""
    """Where it was reported in public."""
    options: dict[str, Any] = field(default_factory=dict)
    """What the caller asks for beside the question."""
    within_s: float | None = None
    """The caller has the answer by then."""

    def behaviour(self) -> Behaviour:
        return Behaviour(
            paced=self.reply,
            status=self.status,
            content_type=self.content_type,
            headers=self.headers,
            cut="end" if self.ending == "silence" else self.ending,
            linger=self.ending == "silence",
        )


def refusal(name: str, status: int, body: Any, **expected: Any) -> Case:
    """A reply with an error status and a JSON body."""
    page = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    given = {"says": None, "content_type": "application/json", **expected}
    return Case(name, at_once(page), status=status, **given)
