"""Background work: rows and hints of other replicas, an edited configuration, trials, retention."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from config.errors import ConfigError, RouterError
from race.rendezvous import cancel
from race.routing_state import once_of
from race.services import Services
from race.state import OrderChange
from routing.classifier.live import ByKeywords
from runtime import teaching
from runtime.cooldown_sync import CooldownSync
from runtime.replicas import Pages, Replicas
from runtime.retention import REST_S, prune
from runtime.services import ConfigWatcher, renewed, trained_behind

if TYPE_CHECKING:
    from discovery.search import Search
    from discovery.triggers import Trigger

logger = structlog.get_logger()

PRUNE_S = 3_600.0
FIRST_PRUNE_S = 60.0
"""Delay after the start, which has more urgent work."""

SCOUT_S = 60.0
"""Seconds between checks whether a search for a better model is due."""

FOLLOW_S = 1.0
"""How often the rows of other replicas are folded in."""


class Follower:
    """Takes each step once a second, unless it still runs; an error is logged once and the step is
    retried."""

    def __init__(
        self,
        watched: ConfigWatcher | None,
        current: Callable[[], Services],
        adopt: Callable[[Services], None],
        scout: Callable[[Trigger], Awaitable[None]],
        pages: Pages,
    ) -> None:
        """`adopt` puts the services of a changed configuration into effect, `scout` runs a search
        for a better model."""
        self._watched = watched
        self._current = current
        self._adopt = adopt
        self._scout = scout
        self._pages = pages
        self._scout_at = 0.0
        self._reported: dict[str, str] = {}
        self._due: set[str] = set()
        self._prune_at = time.monotonic() + FIRST_PRUNE_S
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.config_problem: str | None = None
        """Why an edit of the configuration was rejected."""

    async def run(self) -> None:
        """Runs until cancelled."""
        sync, replicas = CooldownSync(), Replicas(self._pages)

        async def exchange() -> None:
            services = self._current()
            await sync.exchange(services.routing, services.log, services.settings)
            await replicas.exchange(services.routing, services.log, services.settings)

        async def follow_the_log() -> None:
            for step in (self._catch_up, self._keep, self._learn, exchange, self._judge_trials):
                await self._take(step)

        steps = (
            follow_the_log,
            self._look,
            self._take_in_changes,
            self._train,
            self._generalise,
            self._prune,
            self._search,
        )
        while True:
            for step in steps:
                self._start(step)
            await asyncio.sleep(FOLLOW_S)

    async def _take(self, step: Callable[[], Awaitable[None]]) -> None:
        """One step; its failure does not affect the others."""
        name = step.__name__
        try:
            await step()
        except RouterError as error:
            if self._reported.get(name) != str(error):
                logger.error("follow_failed", error=str(error))
            self._reported[name] = str(error)
        except Exception as bug:  # reported with its traceback, and retried a second later
            if self._reported.get(name) != repr(bug):
                logger.exception("follow_crashed")
            self._reported[name] = repr(bug)
        else:
            self._reported.pop(name, None)

    def _start(self, step: Callable[[], Awaitable[None]]) -> None:
        """Run the step in a task of its own, one at a time: it may take seconds, and a silent log
        or disk must not hide an edit or a second outage."""
        running = self._tasks.get(step.__name__)
        if running is None or running.done():
            self._tasks[step.__name__] = asyncio.create_task(self._take(step), name=step.__name__)

    async def stop(self) -> None:
        """Cancel the tasks that are still running; none continues after this call."""
        for task in self._tasks.values():
            task.cancel()
        for task in self._tasks.values():
            await cancel(task)

    async def _prune(self) -> None:
        """Prune the log's old rows once an hour, a few at a time."""
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + PRUNE_S
            services = self._current()
            pruned = await prune(services.settings, services.log, rest_s=REST_S)
            if pruned.gone:
                logger.info("log_pruned", **asdict(pruned))

    async def _train(self) -> None:
        """Train the classifier while prompts are classified by keywords alone."""
        before = self._current()
        if not isinstance(before.classifier.current, ByKeywords):
            return
        loop = asyncio.get_running_loop()
        thread = ThreadPoolExecutor(1, thread_name_prefix="train")
        work = loop.run_in_executor(thread, trained_behind, before.settings, before.encoder)
        thread.shutdown(wait=False)  # it ends with its work, even if nothing waits for it any more
        await asyncio.to_thread(before.classifier.replace, await work)

    async def _catch_up(self) -> None:
        """Fold in what other replicas wrote, and serve the resulting order.

        After each of its own requests this process checks the category's order itself; here the
        remaining changes are adopted, if no request did so since the last check.
        """
        services = self._current()
        routing = services.routing
        await routing.catch_up(services.log)
        due = {name for name in services.settings.categories if routing.ranking.due(name)}
        for category in due if not services.races else due & self._due:
            change = routing.rerank(category)
            if change is not None:
                order = OrderChange(
                    category=category,
                    before=list(change.before),
                    after=list(change.after),
                    why=change.why,
                )
                logger.info("reranked", **order)
                await services.log.audit("reranked", category, order, once_of(change))
        self._due = due

    async def _learn(self) -> None:
        """Corrections added or withdrawn by any replica."""
        await teaching.follow(self._current())

    async def _generalise(self) -> None:
        """Learn what corrections have in common in a thread; until then the nearest ones apply."""
        await asyncio.to_thread(self._current().classifier.generalise)

    async def _keep(self) -> None:
        services = self._current()
        if (memory := services.routing.memory) is not None:
            memory.reread_if_due(services.routing, services.log)
            await memory.keep(services.routing, services.log)

    async def _look(self) -> None:
        await self._current().knowledge.look()

    async def _take_in_changes(self) -> None:
        """Reload an edited configuration without a restart; report an invalid one."""
        if self._watched is None or not await asyncio.to_thread(self._watched.changed):
            return
        try:
            settings = await asyncio.to_thread(self._watched.read)
        except ConfigError as error:
            self.config_problem = f"{error}; the previous configuration stays in force"
            logger.error("config_refused", error=str(error))
            return
        services = await asyncio.to_thread(renewed, self._current(), settings)
        await services.routing.ready(services.log)
        self._adopt(services)
        self.config_problem = None
        logger.info("config_taken_in", providers=len(settings.providers))

    async def _search(self) -> None:
        """Run the searches that the configuration asks for, one after the other."""
        services = self._current()
        wanted = services.settings.scout
        if (wanted.below is None and not wanted.new_entries) or time.monotonic() < self._scout_at:
            return
        self._scout_at = time.monotonic() + SCOUT_S
        from discovery.triggers import due

        standings = services.routing.ranking.standings
        for trigger in await due(discovery_over(services), lambda name: standings(name).entries):
            await self._scout(trigger)

    async def _judge_trials(self) -> None:
        """Keep, promote or roll back providers on trial by their results in real traffic."""
        services = self._current()
        routing, settings = services.routing, services.settings
        for provider in settings.providers:
            if provider.trial is None or provider.disabled:
                continue
            for category in settings.categories:
                entries = routing.ranking.standings(category).entries
                mine = [e for e in entries if e.provider == provider.name]
                if mine:
                    decision = await discovery_over(services).judge(
                        mine[0],
                        entries,
                        category=category,
                        breaker_opened=routing.states()[provider.name] == "open",
                    )
                    if decision.action != "keep":
                        ended = {"provider": provider.name, "category": category}
                        logger.info("trial_ended", **ended, **asdict(decision))


def discovery_over(services: Services) -> Search:
    """The search for better models, for the configuration in force."""
    from discovery.search import Search

    return Search(services.settings, services.providers, services.log.audit)
