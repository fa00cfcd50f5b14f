"""`Router`, the entry point for Python, the page, the service and the command line."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from concurrent.futures import Future
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from config.errors import NoAnswerError, StorageError
from config.loader import load
from config.models import Settings
from graph.asked import checked, with_tools
from graph.builder import Graph
from graph.lifecycle import Lifecycle, Portal
from graph.runs import LAST, Runs
from graph.scout import ScoutGraph, build_scout, close_saver, saver_in, scout_for
from nodes.classify import route_of, understand
from providers.base import Message
from race.events import Event, LateAnswer
from race.services import Services
from race.state import Answer, Options, Route, Wishes
from runtime import reports, teaching
from runtime.admission import Gate
from runtime.follower import discovery_over
from runtime.services import ConfigWatcher
from telemetry.records import AuditRow, InteractionRow
from vectorstore.knowledge import ALONE_S
from vectorstore.passages import Passage

if TYPE_CHECKING:
    from discovery.result import SearchResult
    from discovery.search import Search
    from discovery.triggers import Trigger

T = TypeVar("T")

LATE_GRACE_S = 5.0
"""How long, in seconds, `aclose` waits for late primaries."""


class Router:
    """Answers prompts with the right model, always in time, and learns which that is.

    `async with Router.from_config("config", data="data") as router` for async code;
    `router.ask(...)` and `router.close()` for notebooks and scripts. One instance serves any
    number of concurrent requests.
    """

    def __init__(
        self, settings: Settings, *, watched: ConfigWatcher | None = None, share: int = 1
    ) -> None:
        """`watched` is the configuration's folder, if its edits are to be reloaded; `share` is how
        many processes divide the admission's limits between them."""
        self._gate = Gate(settings.admission, share)
        self._life = Lifecycle(settings, self._gate, watched, self._scout_for)
        self.pages = self._life.pages
        self._portal = Portal()
        self._runs = Runs()
        self._scout: ScoutGraph | None = None

    @classmethod
    def from_config(
        cls,
        config: str | Path = "config",
        data: str | Path = "data",
        *,
        environ: Mapping[str, str] | None = None,
        dotenv: str | Path | None = ".env",
        share: int = 1,
    ) -> Self:
        """Read and validate the configuration; opens nothing yet. Raises ConfigError.

        `environ` stands in for the process environment, `dotenv` for the `.env` file; None for
        none. `share` is how many processes divide the admission's limits between them.
        """
        read = partial(load, config, data, environ=environ, dotenv=dotenv)
        keys = Path(dotenv) if dotenv is not None else None
        return cls(read(), watched=ConfigWatcher(Path(config), read, keys), share=share)

    # -- life ---------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Open the log, the models' files and the knowledge base; safe to call twice."""
        await self._life.start()

    async def warm(self) -> None:
        """Load what the first request would have to load, within five seconds; then `ready`."""
        await self._life.warm()

    async def aclose(self, late_grace_s: float = LATE_GRACE_S) -> None:
        """Wait for running requests and late primaries, then close everything; safe to call twice.

        Both are waited for `late_grace_s` seconds at most, then cancelled, upstream too, and
        logged; a caller that still waits gets NoAnswerError.
        """
        self._life.retire()
        await self._runs.close(late_grace_s)
        await self._life.close(late_grace_s)
        if self._scout is not None:
            await close_saver(self._scout)
            self._scout = None

    def close(self) -> None:
        """`aclose` for code without an event loop."""
        self.run(self.aclose)
        self._portal.close()

    def open(self) -> None:
        """Open the log and the models' files now; raises StorageError if that fails."""
        self._life.open()

    @property
    def ready(self) -> bool:
        """Whether a request would be answered within its limits now, degraded or not."""
        return self._life.ready

    @property
    def batch_places(self) -> int:
        """How many lines of batches this process asks at once."""
        return self._gate.limits.batch

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self._life.settings

    @property
    def services(self) -> Services:
        return self._life.services

    @property
    def graph(self) -> Graph:
        """The compiled LangGraph graph; `ainvoke({"prompt": …})` is enough to run it."""
        return self._life.graph

    # -- asking -------------------------------------------------------------------------------

    async def answer(
        self,
        prompt: str = "",
        history: Sequence[Message] | None = None,
        category: str | None = None,
        provider: str | None = None,
        *,
        messages: Sequence[Mapping[str, object]] | None = None,
        tools: Sequence[Mapping[str, object]] | None = None,
        tool_choice: object = None,
        response_format: Mapping[str, object] | None = None,
        options: Options | None = None,
        wishes: Wishes | None = None,
        request_id: str | None = None,
    ) -> Answer:
        """The whole answer. Raises NoAnswerError, UsageError, NotFoundError, OverloadedError.

        `messages` are OpenAI's, instead of `prompt` and `history`; the tool calls that the model
        requests are in the answer's `tool_calls`.
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
            wanted=LAST,
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
        messages: Sequence[Mapping[str, object]] | None = None,
        tools: Sequence[Mapping[str, object]] | None = None,
        tool_choice: object = None,
        response_format: Mapping[str, object] | None = None,
        options: Options | None = None,
        wishes: Wishes | None = None,
        request_id: str | None = None,
        rewindable: bool = True,
        wanted: Collection[str] = (),
    ) -> AsyncGenerator[Event]:
        """The events of one request, as they happen; ends after `answered` or `reranked`.

        Closing the iterator ends both upstream calls. With `rewindable` False no event asks to
        discard text: a fallback continues what was shown. Raises as `answer` does, but a request
        that nobody could answer ends with an `answered` whose answer has an `error`. If `wanted`
        names types of events, only those and the last ones are yielded.
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
            about = asked, came_at, leave, request_id, wanted
            async with aclosing(self._runs.events(self.services, self.graph, *about)) as run:
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
        messages: Sequence[Mapping[str, object]] | None = None,
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
        services = self._life.trained()
        return route_of(asked, services, understand(asked, services))

    async def late(self) -> AsyncIterator[LateAnswer]:
        """Primaries that come after their fallback was served, from now on."""
        await self.start()
        async for answer in self.services.late.subscribe():
            yield answer

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run on the shared event loop for code without a loop; Ctrl-C cancels the work."""
        return self._portal.run(work)

    def start_task(self, work: Callable[[], Awaitable[T]]) -> Future[T]:
        """Start work on that loop, without waiting for it."""
        return self._portal.start(work)

    async def settled(self) -> None:
        """Wait until the rows of requests abandoned so far are written."""
        await self._runs.settled()

    # -- learning -----------------------------------------------------------------------------

    async def feedback(self, request_id: str, liked: bool | None) -> None:
        """Replace the caller's rating of an answer; raises NotFoundError for an unknown request."""
        await self.start()
        services = self.services
        if await services.log.feedback(request_id, liked):
            with suppress(StorageError):  # it is stored, and learned from later
                await services.routing.catch_up(services.log)

    async def teach(
        self, prompt_or_request_id: str, category: str | None, **how: Unpack[teaching.How]
    ) -> teaching.Taught:
        """Correct the classifier on a prompt, or on a request's prompt; None withdraws that.

        Takes effect at once, in every replica, and survives restarts. Raises UsageError and
        NotFoundError.
        """
        await self.start()
        prompts = self._runs.prompts
        return await teaching.teach(self.services, prompts, prompt_or_request_id, category, **how)

    async def take_back(self, lesson: str, *, by: str = teaching.NOBODY) -> teaching.Taught:
        """Withdraw the correction with that id; raises NotFoundError if there is none."""
        await self.start()
        return await teaching.take_back(self.services, lesson, by)

    async def taught(self) -> list[teaching.Taught]:
        """The corrections in force, oldest first."""
        await self.start()
        return await teaching.taught(self.services)

    async def retrieve(self, question: str, k: int = 5) -> list[Passage]:
        """The best passages only: text, source, title and score, best first."""
        return list(
            (await self.services.knowledge.retrieve(question, k, within_s=ALONE_S)).passages
        )

    async def interactions(
        self, limit: int | None = 20, category: str | None = None
    ) -> list[InteractionRow]:
        """The log's newest requests with their attempts, newest first; None: all of them."""
        await self.start()
        return await self.services.log.recent(limit, category)

    async def news(self, limit: int = 20) -> list[AuditRow]:
        """What any replica changed on its own, newest first: the kinds of `reports.NEWS`."""
        await self.start()
        return await self.services.log.audits(reports.NEWS, limit=limit)

    async def priorities(self) -> dict[str, reports.CategoryOrder]:
        """By category, the declared and the learned order with its figures."""
        await self.start()
        return await reports.priorities(self.settings, self.services.routing, self.services.log)

    def health(self) -> reports.Health:
        """`status` is ok, degraded or down; each provider's breaker, the log, the queue."""
        return reports.health(self.services, self._gate, self._life.config_problem)

    def metrics(self) -> bytes:
        """Prometheus text; with several worker processes, of all of them."""
        self.observe_now()
        return self.services.metrics.render()

    def observe_now(self) -> None:
        """Update the gauges of the metrics; another process may be the one that is scraped."""
        reports.observe(self.services, self._gate)

    # -- better models ------------------------------------------------------------------------

    @property
    def discovery(self) -> Search:
        """The search for better models, for the configuration in force."""
        return discovery_over(self.services)

    @property
    def scout(self) -> ScoutGraph:
        """The search for a better model as a graph: search, score, try, ask, append, watch.

        Its threads outlive the process. Raises RuntimeError without a running event loop.
        """
        if self._scout is None:
            self._scout = build_scout(self._find, saver_in(self.settings.data_dir))
        return self._scout

    async def _scout_for(self, trigger: Trigger) -> None:
        await scout_for(self.scout, trigger, review=self.settings.scout.review)

    async def _find(self) -> Search:
        await self.start()
        return self.discovery

    async def search(self, category: str, *, refresh: bool = False) -> SearchResult:
        """Candidates for a category, ranked, each with its evidence; asks the model sources."""
        await self.start()
        return await self.discovery.search(category, refresh=refresh)
