"""The collaborators that the nodes work with."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from config.models import Settings
from providers.registry import Providers
from race.judging import Judging
from race.late import LateAnswers
from race.request import Request
from race.routing_state import RoutingState
from routing.classifier.live import LiveClassifier
from telemetry.log import InteractionLog
from telemetry.metrics import Metrics
from vectorstore.embeddings import Embedder
from vectorstore.knowledge import Knowledge
from vectorstore.prompt_encoder import PromptEncoder

if TYPE_CHECKING:
    from telemetry.traces import Traces

T = TypeVar("T")

RunKey = tuple[object, str]
"""A run of the graph: LangGraph's `RunControl`, which a run shares with its subgraphs, and its
namespace, empty for a top-level run."""


class Thinkers:
    """Worker threads for classification: onnxruntime works without the GIL.

    While prompts wait for a thread the processor is full. Work that may turn out to be for nobody
    can then wait for `room`, so that a request which everybody waits for is not behind it. Used
    from one event loop.
    """

    def __init__(self, executor: Executor, threads: int) -> None:
        self._executor = executor
        self._threads = threads
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def full(self) -> bool:
        """Whether prompts wait for a thread."""
        return self._busy > self._threads

    async def run(self, work: Callable[[], T]) -> T:
        """Do the work in a thread."""
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._busy -= 1
            self._let_in()

    def room(self) -> asyncio.Future[None]:
        """Done once no prompt waits, in the order of the calls; cancelled by who gives up."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.full:
            self._waiting.append(turn)
        else:
            turn.set_result(None)
        return turn

    def close(self) -> None:
        self._executor.shutdown(wait=False)

    def _let_in(self) -> None:
        """One for each prompt that is classified; all once there is none."""
        while self._waiting and not self.full:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                if self._busy:
                    return


@dataclass(frozen=True, slots=True)
class Services:
    """The nodes' collaborators, created once by the router and passed to the graph."""

    settings: Settings
    providers: Providers
    classifier: LiveClassifier
    encoder: PromptEncoder | None
    embedder: Embedder | None
    knowledge: Knowledge
    log: InteractionLog
    routing: RoutingState
    late: LateAnswers
    metrics: Metrics
    thinkers: Thinkers
    traces: Traces | None = None
    """None: no collector is configured, and no tracing code is loaded."""
    judging: Judging = field(default_factory=Judging)
    races: dict[RunKey, Request] = field(default_factory=dict)
    """The requests in flight, by their run of the graph."""
