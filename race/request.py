"""One running request: what was asked, and what the nodes have found so far."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from providers.base import Message
from providers.messages import needs
from race.conversations import Thread, thread
from race.rendezvous import Rendezvous, Sink
from race.state import Options, Route, State, Wishes

if TYPE_CHECKING:
    from race.attempt import Attempt
    from telemetry.records import AttemptRow
    from vectorstore.passages import Retrieval


@dataclass(frozen=True, slots=True)
class Asked:
    """The caller's input, validated."""

    prompt: str
    history: Sequence[Message] = ()
    category: str | None = None
    provider: str | None = None
    options: Options = field(default_factory=Options)
    rewindable: bool = True
    """False if text that was shown to the caller cannot be withdrawn."""
    conversation: Sequence[Message] = ()
    """If the caller gave messages: all of them, as sent to a model. `prompt` and `history` are then
    the user's own words in them."""
    wishes: Wishes = field(default_factory=Wishes)
    session_id: str | None = None
    """The conversation, where the caller named it."""
    caller: str = ""
    """Tells callers apart; nothing of their keys can be had from it."""

    @property
    def thread(self) -> Thread:
        """The conversation that this is a turn of."""
        return thread(self.caller, self.session_id, self.messages())

    @property
    def ttft_s(self) -> float | None:
        """The caller's own limit for the primary's first sign of life."""
        return self.options.get("ttft_s")

    @property
    def continues(self) -> bool:
        """Whether it follows an assistant's turn, so that its prompt begins with one processed
        before."""
        before = self.conversation or self.history
        return any(message["role"] == "assistant" for message in before)

    def messages(self) -> list[Message]:
        """The conversation as sent to a model."""
        if self.conversation:
            return list(self.conversation)
        return [*self.history, Message(role="user", content=self.prompt)]

    def needs(self) -> frozenset[str]:
        """The capabilities a model needs, and the fields that its host must accept."""
        extra = self.options.get("extra") or {}
        if not (self.conversation or extra):
            return frozenset()
        return needs(self.conversation, extra) | frozenset(self.options.get("passes") or ())

    @property
    def logprobs(self) -> bool:
        """Whether log probabilities of the answer's tokens were requested."""
        return bool((self.options.get("extra") or {}).get("logprobs"))

    @property
    def continuable(self) -> bool:
        """Whether another model can continue a text that was cut; not if log probabilities were
        requested, which must come from one model."""
        return self.plain and not self.logprobs

    @property
    def reasons(self) -> bool:
        """Whether a model that reasons was requested; one that does not can still answer."""
        effort = (self.options.get("extra") or {}).get("reasoning_effort")
        return effort not in (None, "", "none")

    @property
    def plain(self) -> bool:
        """Whether only text was requested: another model can then continue an answer, and it may be
        made of passages."""
        extra = self.options.get("extra") or {}
        return not (extra.get("tools") or extra.get("response_format"))


class Turn(Protocol):
    """Connects a run to the conversation that its host keeps; see `graph/turn.py`."""

    def enter(self, node: str) -> None:
        """A node starts."""

    def after(self, node: str, update: State) -> State:
        """The values that a node returns, extended by those for its host."""
        ...

    async def heard(self) -> None:
        """Wait until all listeners have received what was emitted so far."""


@dataclass(slots=True, eq=False)
class Request:
    """The facts of one run of the graph, each written in one place. Never outlives the run.

    Values that others may need later are also put into the graph's state, by the node that finds
    them; nothing here is read back from the state except by a run that starts in the middle.
    """

    asked: Asked
    meeting: Rendezvous
    run_id: str
    """Internal, new for each run."""
    at: float
    """Unix time in seconds when the run began, by the log's clock."""
    clock: Callable[[], float]
    route: Route | None = None  # classify
    retrieval: Retrieval | None = None  # fallback
    opinion: asyncio.Task[str | None] | None = None
    """classify: a language model's opinion on the category, for the primary to wait for."""
    attempts: list[Attempt] = field(default_factory=list)  # the branches, as calls begin
    reason: str | None = None  # join: why the answer changed hands, or why there is none
    needs: frozenset[str] = frozenset()
    """The capabilities a model needs to answer it."""
    standby: str | None = None  # begin_race: the provider that stands behind the primary
    judged: bool = False  # begin_race: its two answers are compared once it is over
    over: asyncio.Event = field(default_factory=asyncio.Event)  # nothing of the run is in progress
    logged: bool = False  # log: its row was written, or writing it was tried
    idle_since: float | None = None  # between two nodes, on the rendezvous's clock
    turn: Turn | None = None  # set if the run's host keeps the conversation
    running: int = 0
    """Number of its nodes in progress."""
    broken: BaseException | None = None  # the first exception that ended one of its nodes

    @classmethod
    def begin(
        cls,
        asked: Asked,
        sink: Sink,
        *,
        request_id: str | None = None,
        came_at: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Request:
        """A run that begins now; events and the log use the caller's `request_id`.

        `clock` is the log's, in Unix seconds.
        """
        run_id = uuid.uuid4().hex
        meeting = Rendezvous(request_id or run_id, sink, came_at=came_at)
        return cls(asked, meeting, run_id, clock(), clock, needs=asked.needs())

    @property
    def request_id(self) -> str:
        """The caller's id for it, else the run's own."""
        return self.meeting.request_id

    @property
    def routed(self) -> Route:
        """The route, once `classify` has found it."""
        if self.route is None:
            raise RuntimeError("the request has no route yet")
        return self.route

    def calls(self, role: str) -> list[Attempt]:
        """The calls made for a side, in order, without skipped ones."""
        return [a for a in self.attempts if a.role == role and not a.skipped]

    def rows(self, *, served: Attempt | None = None) -> list[AttemptRow]:
        """The log's rows of all attempts at this moment."""
        return [attempt.row(served=attempt is served) for attempt in self.attempts]
