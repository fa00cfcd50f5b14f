"""A graph on virtual time: scripted providers, and a loop whose clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from config.hosts import Cost, Host, Provider
from config.models import Budget, Category, Fallback, Judge, Limits, Ranking, Settings
from graph.router import Router
from providers.base import CallOptions, Delta, Message, ProviderError, Usage
from race.late import LateAnswers
from race.routing_state import RoutingState
from race.services import Services, Thinkers
from routing.classifier.classifier import Classification
from telemetry.log import Backlog
from telemetry.metrics import Metrics
from vectorstore.passages import Passage, Retrieval


class VirtualLoop(asyncio.SelectorEventLoop):
    """Waiting takes no time: when nothing is ready the clock jumps to the next timer."""

    def __init__(self) -> None:
        self.virtual_s = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.virtual_s


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout:
            self._loop.virtual_s += timeout
        return ready


def on_virtual_time(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class Inline(Executor):
    """Runs at once in the caller's thread: threads know nothing of virtual time."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass
class Call:
    """What a scripted provider does in one call: `(at_ms, what)` since the call began.

    `what` is text, "end" or "length" (how it finishes), a delta as it is, a ProviderError to raise,
    or None to hang for ever.
    """

    steps: Sequence[tuple[float, str | Delta | ProviderError | None]]


@dataclass
class Scripted:
    """A provider that plays one script a call, the last one again and again."""

    name: str
    script: list[Call]
    model: str = "scripted"
    host: str = "here"
    simulated: bool = False
    calls: list[list[Message]] = field(default_factory=list)
    cancelled: list[float] = field(default_factory=list)

    async def stream(
        self, messages: Sequence[Message], options: CallOptions | None = None
    ) -> AsyncIterator[Delta]:
        call = self.script[min(len(self.calls), len(self.script) - 1)]
        self.calls.append(list(messages))
        now_ms, written = 0.0, 0
        try:
            for at_ms, what in call.steps:
                await asyncio.sleep((at_ms - now_ms) / 1000)
                now_ms = at_ms
                if what is None:
                    await asyncio.Event().wait()
                elif isinstance(what, ProviderError):
                    raise what
                elif isinstance(what, Delta):
                    yield what
                elif what in ("end", "length"):
                    reason = "stop" if what == "end" else "length"
                    yield Delta(finish_reason=reason, usage=Usage(10, written))
                else:
                    written += 1
                    yield Delta(text=what)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.append(asyncio.get_running_loop().time() * 1000)
            raise

    async def models(self) -> list[str]:
        return [self.model]

    async def close(self) -> None:
        pass


def whole(at_ms: float, text: str) -> Call:
    """An answer that is complete at one instant."""
    return Call([(at_ms, text), (at_ms, "end")])


def fails(at_ms: float, kind: Any = "server", **details: Any) -> Call:
    return Call([(at_ms, ProviderError(kind, f"scripted {kind}", **details))])


HANGS = Call([(0, None)])


class ScriptedProviders:
    def __init__(self, providers: Sequence[Scripted], *, shared: bool = False) -> None:
        self.by_name = {provider.name: provider for provider in providers}
        self.shared = shared
        self.unknown_words: dict[str, set[str]] = {}

    def get(self, name: str) -> Scripted:
        return self.by_name[name]

    def shares_embedded(self, a: str, b: str) -> bool:
        return self.shared

    def unavailable(self, name: str) -> str | None:
        return None

    async def warm(self, names: Sequence[str]) -> None:
        pass

    async def close(self) -> None:
        pass


@dataclass
class StubKnowledge:
    retrieval: Retrieval = field(default_factory=Retrieval)
    takes_s: float = 0.01
    """As the real one does: what asks no model must not come first by accident."""
    problem: str | None = None
    version: int = 1

    async def retrieve(self, question: str, k: int = 4, **options: Any) -> Retrieval:
        await asyncio.sleep(self.takes_s)
        return self.retrieval

    async def look(self) -> None:
        pass

    def close(self) -> None:
        pass


class MemoryLog:
    """The log's rows in a list."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.revisions: list[dict[str, Any]] = []
        self.problem: str | None = None
        self.clock_problem: str | None = None
        self.backlog = Backlog(0, 0, 0)
        self.spent: dict[str, float] = {}
        self.spent_as: dict[str, dict[str, float]] = {}
        self.corrections: dict[str, Any] = {}
        self.closed_after: int | None = None
        self.fails_with: Exception | None = None

    async def write(self, interaction: Any, attempts: Sequence[Any]) -> bool:
        if self.fails_with:
            raise self.fails_with
        self.rows.append({**interaction, "attempts": [dict(a) for a in attempts]})
        return True

    async def revise(self, attempt: Any) -> None:
        self.revisions.append(dict(attempt))

    async def audit(self, kind: str, subject: str, detail: Any, once: str | None = None) -> None:
        pass

    def now(self) -> float:
        return time.time()

    async def hint(self, name: str, detail: Any) -> None:
        pass

    async def hints(self) -> dict[str, dict[str, Any]]:
        return {}

    async def since(self, cursor: int | None = None, limit: int = 0) -> tuple[list[Any], int]:
        return [], 0

    async def recent(self, limit: int | None = 20) -> list[Any]:
        return []

    async def position(self) -> int:
        return 0

    async def spent_today(self, role: str | None = None) -> dict[str, float]:
        return dict(self.spent) if role is None else dict(self.spent_as.get(role, {}))

    async def teach(self, example: Any) -> None:
        self.corrections[example["id"]] = example

    async def taught(self) -> list[Any]:
        return list(self.corrections.values())

    async def close(self) -> None:
        """Notes how many rows came before it."""
        self.closed_after = len(self.rows)


class StubClassifier:
    """Says `general`, as surely as it is told to."""

    lessons: tuple[Any, ...] = ()
    problem = None
    current = None

    def __init__(self, confidence: float = 0.9) -> None:
        self.confidence = confidence
        self.said: dict[str, str] = {}

    def classify(self, prompt: str, history: Any = ()) -> Classification:
        evidence: dict[str, object] = {"nearest": [], "rules": []}
        sure = self.confidence
        return Classification("general", sure, {"general": sure}, 0.8, evidence)

    def generalise(self) -> bool:
        return False

    def teach(self, lessons: Any) -> bool:
        self.lessons = tuple(lessons)
        return True

    def remember(self, prompt: str, category: str) -> None:
        self.said[prompt] = category

    def recall(self, prompt: str) -> str | None:
        return self.said.get(prompt)


SURE = Retrieval((Passage("The sky is blue.", "sky.md", "Sky", 0.9, 0.9),), confident=True)


class Stage:
    """A router whose parts are scripted, except those given as `parts`; `primary` is the first of
    the order."""

    def __init__(
        self,
        *providers: Scripted,
        retrieval: Retrieval | None = None,
        shared: bool = False,
        fallback: dict[str, Any] | None = None,
        budget: Budget | None = None,
        judge: Judge | None = None,
        every: int = 10,
        order: Sequence[str] | None = None,
        capabilities: tuple[Any, ...] | None = None,
        parts: Mapping[str, Any] | None = None,
        **limits: float,
    ) -> None:
        named = {p.name: p for p in providers}
        settings = Settings(
            hosts={"here": Host(url="http://127.0.0.1:9/v1")},
            providers=tuple(
                Provider(
                    name=n,
                    host="here",
                    model="m",
                    cost=Cost(input=1, output=1),
                    capabilities=capabilities if n == "primary" else None,
                )
                for n in named
            ),
            budget=budget or Budget(),
            judge=judge or Judge(),
            ranking=Ranking(every=every),
            priorities={"general": tuple(order or (n for n in named if n != "fallback"))},
            fallback=Fallback(provider="fallback", **(fallback or {})),
            limits=Limits(**limits),
            categories={"general": Category(description="", examples=("Hello",))},
            config_dir=Path("config"),
            data_dir=Path("data"),
        )
        self.log = MemoryLog()
        clock = asyncio.get_running_loop().time
        self.services = Services(
            settings=settings,
            providers=ScriptedProviders(providers, shared=shared),
            classifier=StubClassifier(),
            encoder=None,
            embedder=None,
            knowledge=StubKnowledge(retrieval or Retrieval()),
            log=self.log,
            routing=RoutingState(settings, clock=clock, draw=lambda: 0.0),
            late=LateAnswers(),
            metrics=Metrics(),
            thinkers=Thinkers(Inline(), 1),
        )
        self.services = replace(self.services, **(parts or {}))
        self.router = Router(settings)
        self.router._life.adopt(self.services)

    async def play(self, **options: Any) -> Played:
        """Ask once and note everything that the caller is told."""
        played = Played()
        async for event in self.router.stream("Why?", **options):
            played.take(event)
        return played


@dataclass
class Played:
    events: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""

    def take(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if event["type"] == "switched":
            self.text = self.text[: len(self.text) - event["discard"]]
        elif event["type"] == "token":
            self.text += event["text"]

    def of(self, event_type: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == event_type]

    @property
    def answer(self) -> dict[str, Any]:
        return self.of("answered")[0]["answer"]

    @property
    def at_ms(self) -> float:
        return self.of("answered")[0]["at_ms"]
