"""The one front door: Python, the page, the service and the command line all come through here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, aclosing, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog
from anyio.from_thread import BlockingPortal, start_blocking_portal

from config.errors import NoAnswerError, StorageError
from config.loader import load
from config.models import Settings
from graph.asked import checked, with_tools
from graph.builder import Graph, build
from graph.runs import Runs
from graph.scout import ScoutGraph, build_scout, close_saver, saver_in
from nodes.classify import route_of, understand
from providers.base import Message
from race.events import Event, LateAnswer
from race.rendezvous import cancel
from race.services import Services
from race.state import Answer, Options, Route, Wishes
from routing.classifier.live import ByKeywords
from runtime import reports, teaching
from runtime.admission import Gate
from runtime.follower import Follower, discovery_over
from runtime.services import ConfigWatcher, classifier_for, open_services
from telemetry.records import AuditRow, InteractionRow
from vectorstore.passages import Passage, Retrieval

if TYPE_CHECKING:
    from discovery.result import SearchResult
    from discovery.search import Search
    from providers.registry import Providers

T = TypeVar("T")

logger = structlog.get_logger()

WARM_S = 5.0
"""How long the first requests may be kept waiting for what would make them better."""

LEARNED_S = 2.0
"""How long getting ready waits for what was learned before."""

LATE_GRACE_S = 5.0
"""How long `aclose` waits for late primaries."""


class Router:
    """Answers prompts with the right model, always in time, and learns which that is.

    `async with Router.from_config("config", data="data") as router` for async code;
    `router.ask(...)` and `router.close()` for notebooks and scripts. One instance serves any
    number of concurrent requests.
    """

    def __init__(self, settings: Settings, *, watched: ConfigWatcher | None = None) -> None:
        """`watched` is the configuration's folder, if edits of it shall be taken in."""
        self.settings = settings
        self._gate = Gate(settings.admission)
        self._lock = threading.Lock()
        self._services: Services | None = None
        self._graph: Graph | None = None
        self._scout: ScoutGraph | None = None
        self._portal: BlockingPortal | None = None
        self._portal_thread = ExitStack()
        self._runs = Runs()
        self._follower = Follower(watched, lambda: self.services, self._adopt)
        self._following: asyncio.Task[None] | None = None
        self._retired: list[Providers] = []
        self._warm = False

    @classmethod
    def from_config(
        cls,
        config: str | Path = "config",
        data: str | Path = "data",
        *,
        environ: Mapping[str, str] | None = None,
        dotenv: str | Path | None = ".env",
    ) -> Self:
        """Read and validate the configuration; opens nothing yet. Raises ConfigError.

        `environ` stands for the process environment, `dotenv` for the `.env` file; None for none.
        """
        read = partial(load, config, data, environ=environ, dotenv=dotenv)
        return cls(read(), watched=ConfigWatcher(Path(config), read))

    # -- life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Open the log, the models' files and the knowledge base; safe to call twice."""
        if self._services is None:
            await asyncio.to_thread(self.open)
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follower.run(), name="follow-the-log")

    async def warm(self) -> None:
        """Load what the first request would have to load; then the router is `ready`.

        What takes longer than `WARM_S` costs the first requests some of their quality.
        """
        try:
            async with asyncio.timeout(WARM_S):
                await self._load()
        except TimeoutError:
            logger.warning("not_warm", error=f"something takes longer than {WARM_S:g} s to load")
        finally:
            self._warm = self._services is not None

    async def _load(self) -> None:
        services = self.services
        names = {services.settings.fallback.provider}
        for category in self.settings.categories:
            names.update(self.settings.order(category)[:1])
        await asyncio.gather(
            services.providers.warm(sorted(n for n in names if self.settings.enabled(n))),
            services.knowledge.warm(),
            asyncio.to_thread(services.classifier.classify, "Is everything warm?"),
            services.routing.ready(services.log, within_s=LEARNED_S),
        )

    async def aclose(self, late_grace_s: float = LATE_GRACE_S) -> None:
        """Wait for running requests and late primaries, then close everything; safe to call twice.

        Both are waited for `late_grace_s` seconds at most, then cancelled, upstream too, and
        logged; a caller who still waits gets NoAnswerError.
        """
        self._warm = False
        await self._runs.close(late_grace_s)
        if self._scout is not None:
            await close_saver(self._scout)
            self._scout = None
        services, self._services, self._graph = self._services, None, None
        if self._following:
            await cancel(self._following)
            await self._follower.stop()
            self._following = None
        if services is None:
            return
        await services.late.close(late_grace_s)
        for providers in self._retired:
            await providers.close_pools()
        await services.providers.close()
        services.knowledge.close()
        await self._keep_learned(services)
        await services.log.close()
        if services.traces is not None:
            await asyncio.to_thread(services.traces.close)
        services.thinkers.shutdown(wait=False)

    async def _keep_learned(self, services: Services) -> None:
        memory = services.routing.memory
        if memory is not None:
            await memory.stop()
            with suppress(StorageError):  # the next start reads the log instead
                await memory.keep(services.routing, services.log, now=True)

    def close(self) -> None:
        """`aclose` for code without an event loop."""
        self.run(self.aclose)
        with self._lock:
            self._portal_thread.close()
            self._portal = None

    def open(self) -> None:
        """Open the log and the models' files now; StorageError says what cannot be opened."""
        with self._lock:
            if self._services is None:
                services = open_services(self.settings)
                self._graph = build(services)
                self._services = services

    def _trained(self) -> Services:
        """The services over a trained classifier: what is not in a hurry waits for it."""
        services = self.services
        if isinstance(services.classifier.current, ByKeywords):
            services.classifier.replace(classifier_for(services.settings, services.encoder))
        return services

    @property
    def ready(self) -> bool:
        """A request would be answered within its limits now, degraded or not."""
        return self._warm and self._services is not None

    @property
    def services(self) -> Services:
        self.open()
        assert self._services is not None
        return self._services

    @property
    def graph(self) -> Graph:
        """The compiled LangGraph graph; `ainvoke({"prompt": …})` is enough to run it."""
        self.open()
        assert self._graph is not None
        return self._graph

    def _adopt(self, services: Services) -> None:
        """From now on requests run over these; those under way end where they began."""
        if services.providers is not self.services.providers:
            self._retired.append(self.services.providers)
        self._services, self._graph, self.settings = services, build(services), services.settings
        self._gate.limits = services.settings.admission

    # -- asking -------------------------------------------------------------------------------

    async def answer(
        self,
        prompt: str = "",
        history: Sequence[Message] | None = None,
        category: str | None = None,
        provider: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: object = None,
        response_format: Mapping[str, Any] | None = None,
        options: Options | None = None,
        wishes: Wishes | None = None,
        request_id: str | None = None,
    ) -> Answer:
        """The whole answer. Raises NoAnswerError, UsageError, NotFoundError, OverloadedError.

        `messages` are OpenAI's, in place of `prompt` and `history`; what the model wants called
        is in the answer's `tool_calls`.
        """
        answer: Answer | None = None
        events = self.stream(
            prompt,
            history,
            category,
            provider,
            messages=messages,
            options=with_tools(options, tools, tool_choice, response_format),
            wishes=wishes,
            request_id=request_id,
        )
        async with aclosing(events):
            async for event in events:
                if event["type"] == "answered":
                    answer = Answer.from_dict(event["answer"])
        if answer is None:
            raise RuntimeError("the graph ended without an answer")
        if not answer.success:
            raise NoAnswerError(answer.error or "nobody answered", answer)
        return answer

    async def stream(
        self,
        prompt: str = "",
        history: Sequence[Message] | None = None,
        category: str | None = None,
        provider: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: object = None,
        response_format: Mapping[str, Any] | None = None,
        options: Options | None = None,
        wishes: Wishes | None = None,
        request_id: str | None = None,
        rewindable: bool = True,
    ) -> AsyncGenerator[Event]:
        """The events of one request, as they happen; ends after `answered` or `reranked`.

        Closing the iterator ends both upstream calls. With `rewindable` False no event asks to
        discard text: a fallback goes on from what was shown. Raises as `answer` does, but a
        request that nobody could answer ends with an `answered` whose answer has an `error`.
        """
        asked = checked(
            self.settings,
            prompt,
            history,
            category,
            provider,
            messages=messages,
            options=with_tools(options, tools, tool_choice, response_format),
            wishes=wishes,
            rewindable=rewindable,
        )
        came_at = asyncio.get_running_loop().time()
        async with self._gate.place() as leave:
            await self.start()
            run = self._runs.events(self.services, self.graph, asked, came_at, leave, request_id)
            async with aclosing(run):
                async for event in run:
                    yield event

    def ask(
        self,
        prompt: str,
        history: Sequence[Message] | None = None,
        category: str | None = None,
        provider: str | None = None,
    ) -> Answer:
        """`answer` for code without an event loop: notebooks and scripts."""
        return self.run(partial(self.answer, prompt, history, category, provider))

    def route(
        self,
        prompt: str = "",
        history: Sequence[Message] | None = None,
        category: str | None = None,
        provider: str | None = None,
        *,
        messages: Sequence[Mapping[str, Any]] | None = None,
        options: Options | None = None,
        wishes: Wishes | None = None,
    ) -> Route:
        """The dry run: where the prompt would go, and why. Calls no model."""
        asked = checked(
            self.settings,
            prompt,
            history,
            category,
            provider,
            messages=messages,
            options=options,
            wishes=wishes,
        )
        services = self._trained()
        return route_of(asked, services, understand(asked, services))

    async def late(self) -> AsyncIterator[LateAnswer]:
        """Primaries that came after their fallback was served, from now on."""
        await self.start()
        async for answer in self.services.late.subscribe():
            yield answer

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run on the one event loop that code without a loop shares; Ctrl-C cancels the work."""
        running = self.start_task(work)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def start_task(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Begin work on that loop, without waiting for it."""
        with self._lock:
            if self._portal is None:
                self._portal = self._portal_thread.enter_context(start_blocking_portal("asyncio"))
        return self._portal.start_task_soon(work)

    # -- learning -----------------------------------------------------------------------------

    async def feedback(self, request_id: str, liked: bool | None) -> None:
        """Replace what the caller thinks of an answer; NotFoundError for an unknown request."""
        await self.start()
        services = self.services
        if await services.log.feedback(request_id, liked):
            with suppress(StorageError):  # it is stored, and will be learned from later
                await services.routing.catch_up(services.log)

    async def teach(
        self, prompt_or_request_id: str, category: str | None, *, by: str = teaching.NOBODY
    ) -> teaching.Taught:
        """Correct the classifier on a prompt, or on that of a request; None takes that back.

        Counts at once, in every replica, and survives restarts. `by` says who teaches. Raises
        UsageError and NotFoundError.
        """
        await self.start()
        return await teaching.teach(
            self.services, self._runs.prompts, prompt_or_request_id, category, by
        )

    async def take_back(self, lesson: str, *, by: str = teaching.NOBODY) -> teaching.Taught:
        """Forget the correction of that id; NotFoundError if there is none."""
        await self.start()
        return await teaching.take_back(self.services, lesson, by)

    async def taught(self) -> list[teaching.Taught]:
        """The corrections in force, oldest first."""
        await self.start()
        return await teaching.taught(self.services)

    async def retrieve(self, question: str, k: int = 5) -> list[Passage]:
        """The best passages alone: text, source, title and score, best first."""
        found: Retrieval = await self.services.knowledge.retrieve(question, k)
        return list(found.passages)

    async def interactions(
        self, limit: int | None = 20, category: str | None = None
    ) -> list[InteractionRow]:
        """The log's newest requests with their attempts, newest first; all of them with None."""
        await self.start()
        return await self.services.log.recent(limit, category)

    async def news(self, limit: int = 20) -> list[AuditRow]:
        """What the router changed on its own, whichever replica did it, newest first: the learned
        orders, and models that came on trial, were promoted, rolled back, refused or undone."""
        await self.start()
        return await self.services.log.audits(reports.NEWS, limit=limit)

    async def priorities(self) -> dict[str, reports.CategoryOrder]:
        """By category, the declared and the learned order with the figures behind it."""
        await self.start()
        return await reports.priorities(self.settings, self.services.routing, self.services.log)

    def health(self) -> reports.Health:
        """`status` is ok, degraded or down; each provider's breaker, the log, the queue."""
        return reports.health(self.services, self._gate, self._follower.config_problem)

    def metrics(self) -> bytes:
        """Prometheus text."""
        services = self.services
        states, late = services.routing.states(), len(services.late)
        services.metrics.backlog(*services.log.backlog)
        return services.metrics.render(states, self._gate.racing, self._gate.waiting, late)

    # -- better models ------------------------------------------------------------------------

    @property
    def discovery(self) -> Search:
        """The search for better models, over the configuration in force."""
        return discovery_over(self.services)

    @property
    def scout(self) -> ScoutGraph:
        """The search for a better model as a graph: search, score, try, ask, append, watch.

        Its threads are in the data folder and outlive the process. Belongs to the event loop that
        runs when it is first asked for; RuntimeError without one.
        """
        if self._scout is None:
            self._scout = build_scout(self._find, saver_in(self.settings.data_dir))
        return self._scout

    async def _find(self) -> Search:
        await self.start()
        return self.discovery

    async def search(self, category: str, *, refresh: bool = False) -> SearchResult:
        """Candidates for a category, ranked, each with its evidence; asks the model sources."""
        await self.start()
        return await self.discovery.search(category, refresh=refresh)
