"""The rendezvous of one request's two branches.

LangGraph joins parallel branches at a barrier: a node that waits for its own call would make the
other one wait too. So each branch starts its call as an inner task and waits here for the single
decision of the race; both nodes then end at the same moment and the barrier costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import structlog

from providers.base import Logprob, ToolCallDelta
from race.actions import Action, Call, Calls, Continue, Decide, Say, Side, StartFallback, Switch
from race.events import CallPiece, Event, Switched, Thought, Token, ToolCalls
from race.machine import Race

T = TypeVar("T")

Sink = Callable[[Event], None]

logger = structlog.get_logger()


class Rendezvous:
    """Carries out a race's actions on the running event loop and emits the caller's events.

    Belongs to one event loop and one request. `sink` receives each event of `Router.stream`, in
    order, and must not block.
    """

    def __init__(self, request_id: str, sink: Sink, *, came_at: float | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.request_id = request_id
        self.emit = sink
        """Passes an event to the caller."""
        self.admitted_at = self._loop.time()
        self.came_at = self.admitted_at if came_at is None else came_at
        self.race: Race | None = None
        self.speakers: dict[Side, str] = {}
        self._logprobs: dict[Side, list[Logprob]] = {}
        self.decided: asyncio.Future[Decide] = self._loop.create_future()
        self.may_start = asyncio.Event()
        self.passages_known = asyncio.Event()
        self.primary_failed = False
        """Whether a call of the primary's side has failed: the fallback is needed soon."""
        self.on_primary_failed: Callable[[], None] = _nothing
        self.hedged = False
        self.continue_asked = asyncio.Event()
        self._continue_from: str | None = None
        self.visible = 0
        self.called_tools = False
        """Whether tool calls have been shown."""
        self.ttft_ms: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._afterwards: list[Event] = []

    # -- the clock and the caller -------------------------------------------------------------

    def now(self) -> float:
        """Seconds on the event loop's monotonic clock."""
        return self._loop.time()

    def elapsed_ms(self) -> float:
        """Milliseconds since the request came in."""
        return round((self._loop.time() - self.came_at) * 1000, 1)

    def emit_after(self, event: Event) -> None:
        """Emit once the running node has ended."""
        self._afterwards.append(event)

    def emit_waiting(self) -> None:
        for event in self._afterwards:
            event["at_ms"] = self.elapsed_ms()
            self.emit(event)
        self._afterwards.clear()

    # -- what the branches report -------------------------------------------------------------

    def begin(self, race: Race) -> None:
        """Both branches may start; see `Race.begin` for the start of `ttft_s`."""
        self.race = race
        self._act(race.begin(self.now()))
        self._arm()

    def token(self, side: Side, text: str) -> None:
        if not self._gives_way(side):
            self._shown(self._race().floor, self._race().token(side, text, self.now()))

    def called(self, side: Side, calls: tuple[ToolCallDelta, ...]) -> None:
        if not self._gives_way(side):
            self._shown(self._race().floor, self._race().called(side, calls, self.now()))

    def speaks(self, side: Side, provider: str) -> None:
        """A call of this provider starts; unsent output of an earlier one is dropped."""
        self.speakers[side] = provider
        self._logprobs.pop(side, None)

    def measured(self, side: Side, logprobs: tuple[Logprob, ...]) -> None:
        """Log probabilities of the text that comes next; shown with it, or with what follows."""
        if not self._gives_way(side):
            self._logprobs.setdefault(side, []).extend(logprobs)

    def thought(self, side: Side, text: str, think_s: float | None = None) -> None:
        """A piece of reasoning: a sign of life, shown to the caller if no other side speaks."""
        if self._gives_way(side):
            return
        if self._race().may_think_aloud(side) and not self.decided.done():
            self.emit(
                Thought(
                    type="reasoning",
                    request_id=self.request_id,
                    at_ms=self.elapsed_ms(),
                    text=text,
                    provider=self.speakers.get(side, ""),
                    role=side,
                )
            )
        self.alive(side, think_s)

    def _shown(self, floor: Side | None, actions: list[Action]) -> None:
        race = self._race()
        if actions:
            self._act(actions)
        if race.floor != floor:
            self._arm()

    def alive(self, side: Side, think_s: float | None = None) -> None:
        """A sign of life without content; see `Race.alive`."""
        if not self._gives_way(side):
            self._feed(self._race().alive(side, self.now(), think_s=think_s))

    def passages_found(self, *, confident: bool) -> None:
        """Retrieval is in; see `Race.passages_found`."""
        self._feed(self._race().passages_found(self.now(), confident=confident))

    def done(self, side: Side) -> None:
        if not self._gives_way(side):
            self._feed(self._race().done(side, self.now()))

    def failed(self, side: Side, reason: str, *, retrying: bool = False) -> None:
        race = self._race()
        self._feed(race.failed(side, self.now(), retrying=retrying, reason=reason))
        if side == "primary":
            self.primary_failed = True
            self.on_primary_failed()

    def refused(self) -> None:
        self._feed(self._race().refused(self.now()))

    async def until_decided(
        self, side: Side, work: Coroutine[None, None, None]
    ) -> asyncio.Task[None]:
        """Run a branch's work until the race is decided; the work may outlive the decision.

        A branch never raises, since an exception here would cancel its sibling: a bug in the work
        is logged with its traceback and counts as this side's failure. Cancelling the branch
        cancels the work and waits for its cleanup.
        """
        task = asyncio.create_task(work, name=f"{side}-{self.request_id}")
        waiting: set[asyncio.Future[None] | asyncio.Future[Decide]] = {task, self.decided}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if task.done() and not task.cancelled() and (bug := task.exception()):
                logger.error("branch_crashed", side=side, request=self.request_id, exc_info=bug)
                self.failed(side, "failed")
            await asyncio.wait({self.decided})
        except asyncio.CancelledError:
            await cancel(task)
            raise
        return task

    def take_continuation(self) -> str | None:
        """The text that the fallback must continue, returned once; None for a new answer."""
        text, self._continue_from = self._continue_from, None
        self.continue_asked.clear()
        return text

    @property
    def waiting_is_free(self) -> bool:
        """Whether the primary has no call in progress, and another one could still be shown."""
        race = self._race()
        return not self.decided.done() and not race.fallback_shows and race.can_restart

    @property
    def why_out(self) -> str:
        """What took the floor from the primary, if anything did."""
        return self._race().why_out

    @property
    def text(self) -> str:
        """The text shown to the caller and not discarded."""
        return self._race().visible_text

    def close(self) -> None:
        """The request is over: cancel all timers."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    # -- how actions are carried out ----------------------------------------------------------

    def _gives_way(self, side: Side) -> bool:
        """A continuation was requested, so the output of the earlier call is ignored."""
        return side == "fallback" and self.continue_asked.is_set()

    def _race(self) -> Race:
        if self.race is None:
            raise RuntimeError("the race has not begun")
        return self.race

    def _feed(self, actions: list[Action]) -> None:
        self._act(actions)
        self._arm()

    def _act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Say(side, text):
                    self.say(text, self.speakers.get(side, ""), side)
                case Call(side, calls):
                    self.call(calls, self.speakers.get(side, ""), side)
                case Switch(to, reason, discard):
                    self.switch(to, self.speakers.get(to, ""), reason, discard)
                case StartFallback(hedged):
                    self.hedged = hedged
                    self.may_start.set()
                case Continue(text):
                    self._continue_from = text
                    self.continue_asked.set()
                    self.may_start.set()
                case Decide():
                    if not self.decided.done():
                        self.decided.set_result(action)

    def say(self, text: str, provider: str, role: Side) -> None:
        """Show text to the caller."""
        if self.ttft_ms is None:
            self.ttft_ms = self.elapsed_ms()
        self.visible += len(text)
        token = Token(
            type="token",
            request_id=self.request_id,
            at_ms=self.elapsed_ms(),
            text=text,
            provider=provider,
            role=role,
        )
        if logprobs := self._logprobs.pop(role, None):
            token["logprobs"] = logprobs
        self.emit(token)

    def call(self, calls: Calls, provider: str, role: Side) -> None:
        """Show fragments of tool calls to the caller."""
        if self.ttft_ms is None:
            self.ttft_ms = self.elapsed_ms()
        self.called_tools = True
        self.emit(
            ToolCalls(
                type="tool_calls",
                request_id=self.request_id,
                at_ms=self.elapsed_ms(),
                calls=[
                    CallPiece(index=c.index, id=c.id, name=c.name, arguments=c.arguments)
                    for c in calls
                ],
                provider=provider,
                role=role,
            )
        )

    def switch(self, to: Side, provider: str, reason: str, discard: int) -> None:
        """Ask the caller to discard the last `discard` characters; `provider` speaks from here."""
        self.visible -= discard
        self.called_tools = False
        self.emit(
            Switched(
                type="switched",
                request_id=self.request_id,
                at_ms=self.elapsed_ms(),
                to=to,
                provider=provider,
                reason=reason,
                discard=discard,
            )
        )

    def _arm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        instant = self._race().next_at(self.now())
        if instant is not None:
            self._timer = self._loop.call_at(instant, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._feed(self._race().tick(self.now()))


def _nothing() -> None:
    """Nobody waits for it."""


async def cancel(task: asyncio.Task[T]) -> None:
    """Cancel a task and wait for its cleanup, even if this task is cancelled meanwhile."""
    task.cancel()
    interrupted = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            interrupted = True
    if interrupted:
        raise asyncio.CancelledError
