"""One request while it runs: what was asked, and what the nodes have found out so far."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from providers.base import Message
from providers.messages import needs
from race.rendezvous import Rendezvous, Sink
from race.state import Options, Route, State, Wishes

if TYPE_CHECKING:
    from race.attempt import Attempt
    from telemetry.records import AttemptRow
    from vectorstore.passages import Retrieval


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller gave, checked."""

    prompt: str
    history: Sequence[Message] = ()
    category: str | None = None
    provider: str | None = None
    options: Options = field(default_factory=Options)
    rewindable: bool = True
    """False when text that was shown to the caller cannot be taken back."""
    conversation: Sequence[Message] = ()
    """Where the caller gave messages: all of them, as they go to a model. `prompt` and `history`
    are then the user's own words in them."""
    wishes: Wishes = field(default_factory=Wishes)
    session_id: str | None = None
    """The conversation, where the caller named it."""

    @property
    def ttft_s(self) -> float | None:
        """The caller's own limit for the primary's first sign of life."""
        return self.options.get("ttft_s")

    @property
    def continues(self) -> bool:
        """A turn after an assistant's turn: its prompt begins with one that was read before."""
        before = self.conversation or self.history
        return any(message["role"] == "assistant" for message in before)

    def messages(self) -> list[Message]:
        """The conversation as a model gets it."""
        if self.conversation:
            return list(self.conversation)
        return [*self.history, Message(role="user", content=self.prompt)]

    def needs(self) -> frozenset[str]:
        """What a model must be able to do, and the fields that its host must take."""
        extra = self.options.get("extra") or {}
        if not (self.conversation or extra):
            return frozenset()
        return needs(self.conversation, extra) | frozenset(self.options.get("passes") or ())

    @property
    def logprobs(self) -> bool:
        """Log probabilities of the answer's tokens are asked for."""
        return bool((self.options.get("extra") or {}).get("logprobs"))

    @property
    def continuable(self) -> bool:
        """Another model can go on with a text that was cut; its tokens' log probabilities would
        not be those of one model."""
        return self.plain and not self.logprobs

    @property
    def reasons(self) -> bool:
        """A model that thinks is asked for; one that does not can still answer."""
        effort = (self.options.get("extra") or {}).get("reasoning_effort")
        return effort not in (None, "", "none")

    @property
    def plain(self) -> bool:
        """Text is all that is asked for: an answer in words can be gone on with by another model,
        and may come from passages."""
        extra = self.options.get("extra") or {}
        return not (extra.get("tools") or extra.get("response_format"))


class Turn(Protocol):
    """What a run means to the conversation that its host keeps; see `graph/turn.py`."""

    def enter(self, node: str) -> None:
        """A node begins."""

    def after(self, node: str, update: State) -> State:
        """What a node has found, with what its host is to have."""
        ...

    async def heard(self) -> None:
        """Until everybody who listens has been told what was said so far."""


@dataclass(slots=True, eq=False)
class Request:
    """The facts of one run of the graph, each with one writer. Never outlives the run.

    Values that others may want afterwards are also put into the graph's state, by the node that
    finds them; nothing here is read from the state again but by a run that begins in the middle.
    """

    asked: Asked
    meeting: Rendezvous
    run_id: str
    """Ours, new for each run."""
    at: float
    """Unix time in seconds when the run began, by the log's clock."""
    clock: Callable[[], float]
    route: Route | None = None  # classify
    retrieval: Retrieval | None = None  # fallback
    opinion: asyncio.Task[str | None] | None = None
    """classify: a language model's word on the category, for the primary to wait for."""
    attempts: list[Attempt] = field(default_factory=list)  # the branches, as calls begin
    reason: str | None = None  # join: why the answer changed hands, or why there is none
    needs: frozenset[str] = frozenset()
    """What a model must be able to do to answer it."""
    standby: str | None = None  # begin_race: who stands behind the primary
    judged: bool = False  # begin_race: its two answers are compared once it is over
    over: asyncio.Event = field(default_factory=asyncio.Event)  # nothing of the run is under way
    logged: bool = False  # log: its row is written, or was tried to be
    idle_since: float | None = None  # between two nodes, on the meeting's clock
    turn: Turn | None = None  # where the run's host keeps the conversation
    running: int = 0
    """Nodes of it that are under way."""
    broken: BaseException | None = None  # the first thing that ended a node of it

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
        """A run that begins now; a caller's `request_id` is what events and the log call it.

        `clock` is the log's: Unix seconds.
        """
        run_id = uuid.uuid4().hex
        meeting = Rendezvous(request_id or run_id, sink, came_at=came_at)
        return cls(asked, meeting, run_id, clock(), clock, needs=asked.needs())

    @property
    def request_id(self) -> str:
        """The caller's name for it, else the run's own."""
        return self.meeting.request_id

    @property
    def routed(self) -> Route:
        """The route, once `classify` has found it."""
        if self.route is None:
            raise RuntimeError("the request has no route yet")
        return self.route

    def calls(self, role: str) -> list[Attempt]:
        """The calls that were made for a side, in order; what was skipped is none."""
        return [a for a in self.attempts if a.role == role and not a.skipped]

    def rows(self, *, served: Attempt | None = None) -> list[AttemptRow]:
        """The log's rows of all attempts, as they stand now."""
        return [attempt.row(served=attempt is served) for attempt in self.attempts]
