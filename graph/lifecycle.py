"""The lifecycle of a router: what it opens, warms, replaces for a changed configuration, and
closes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, TypeVar

import structlog
from anyio.from_thread import BlockingPortal, start_blocking_portal

from config.errors import StorageError
from config.models import Settings
from graph.builder import Graph, build
from race.rendezvous import cancel
from race.services import Services
from routing.classifier.live import ByKeywords
from runtime.admission import Gate
from runtime.follower import Follower
from runtime.replicas import Pages
from runtime.services import ConfigWatcher, classifier_for, open_services

if TYPE_CHECKING:
    from discovery.triggers import Trigger
    from providers.registry import Providers

T = TypeVar("T")

logger = structlog.get_logger()

WARM_S = 5.0
"""How long, in seconds, the first requests may wait for what would improve them."""

LEARNED_S = 2.0
"""How long getting ready waits for the stored ranking."""


class Lifecycle:
    """The services in force and the graph over them; opened on first use."""

    def __init__(
        self,
        settings: Settings,
        gate: Gate,
        watched: ConfigWatcher | None,
        scout: Callable[[Trigger], Awaitable[None]],
    ) -> None:
        """`scout` runs the search for a better model that a trigger requests."""
        self.settings = settings
        self._gate = gate
        self._lock = threading.Lock()
        self._services: Services | None = None
        self._graph: Graph | None = None
        self.pages = Pages()
        self._follower = Follower(watched, lambda: self.services, self.adopt, scout, self.pages)
        self._following: asyncio.Task[None] | None = None
        self._retired: list[Providers] = []
        self._warm = False

    @property
    def services(self) -> Services:
        self.open()
        assert self._services is not None
        return self._services

    @property
    def graph(self) -> Graph:
        self.open()
        assert self._graph is not None
        return self._graph

    @property
    def ready(self) -> bool:
        """Whether a request would be answered within its limits now, degraded or not."""
        return self._warm and self._services is not None

    @property
    def config_problem(self) -> str | None:
        """Why an edit of the configuration was rejected."""
        return self._follower.config_problem

    def open(self) -> None:
        """Open the log and the models' files now; raises StorageError with what cannot be
        opened."""
        with self._lock:
            if self._services is None:
                services = open_services(self.settings)
                self._graph = build(services)
                self._services = services

    async def start(self) -> None:
        """Open, and follow the changes of other replicas and editors of the configuration."""
        if self._services is None:
            await asyncio.to_thread(self.open)
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follower.run(), name="follow-the-log")

    async def warm(self) -> None:
        """Load everything the first request would have to load, within `WARM_S`; then the router is
        `ready`."""
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

    def trained(self) -> Services:
        """The services with a trained classifier, for callers that can wait for it."""
        services = self.services
        if isinstance(services.classifier.current, ByKeywords):
            services.classifier.replace(classifier_for(services.settings, services.encoder))
        return services

    def adopt(self, services: Services) -> None:
        """From now on requests use these; those in progress end with what they began with."""
        old = self._services
        if old is not None and services.providers is not old.providers:
            self._retired.append(old.providers)
        self._services, self._graph, self.settings = services, build(services), services.settings
        self._gate.limits = services.settings.admission

    def retire(self) -> None:
        """No longer ready."""
        self._warm = False

    async def close(self, late_grace_s: float) -> None:
        """Wait so long for late primaries, then close everything; safe to call twice."""
        services, self._services, self._graph = self._services, None, None
        if self._following:
            self._following.cancel()  # with its tasks, at once: else one would open services anew
            await self._follower.stop()
            await cancel(self._following)
            self._following = None
        if services is None:
            return
        await services.judging.close()
        await services.late.close(late_grace_s)
        for providers in self._retired:
            await providers.close_pools()
        await services.providers.close()
        services.knowledge.close()
        await _keep_learned(services)
        await services.log.close()
        if services.traces is not None:
            await asyncio.to_thread(services.traces.close)
        services.thinkers.close()


async def _keep_learned(services: Services) -> None:
    memory = services.routing.memory
    if memory is not None:
        await memory.stop()
        with suppress(StorageError):  # the next start reads the log instead
            await memory.keep(services.routing, services.log, now=True)


class Portal:
    """The single event loop, in a thread of its own, for code without a loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._portal: BlockingPortal | None = None
        self._thread = ExitStack()

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """The work's result; Ctrl-C cancels the work."""
        running = self.start(work)
        try:
            return running.result()
        except BaseException:
            running.cancel()
            raise

    def start(self, work: Callable[[], Awaitable[T]]) -> Future[T]:
        """Start work without waiting for it."""
        with self._lock:
            if self._portal is None:
                self._portal = self._thread.enter_context(start_blocking_portal("asyncio"))
        return self._portal.start_task_soon(work)

    def close(self) -> None:
        """End the loop and its thread."""
        with self._lock:
            self._thread.close()
            self._portal = None
