"""The graphs for LangGraph's own server: `langgraph dev` reads `langgraph.json`, which names them.

They are compiled when this module is imported, since a server treats a function as a factory and
calls it for every request, on its event loop. Compiling opens nothing: anything that blocks (files,
models, the log) is opened by the first run, in a thread, once for each process.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from config.environment import quiet
from graph.builder import Bound, Node, assemble, bound, run_key
from graph.router import Router
from graph.scout import build_scout
from runtime.services import ingest

if TYPE_CHECKING:
    from langgraph.runtime import Runtime

    from discovery.search import Search
    from race.services import RunKey, Services
    from race.state import Context, State


class Hosted:
    """Opened by the first run, off its event loop; belongs to that loop and lives as long as it
    does.

    Nothing is read before that. A run ends with the configuration that it began with.
    """

    def __init__(self, config: Path, data: Path, dotenv: Path) -> None:
        self._folders = config, data, dotenv
        self._opening: asyncio.Task[Router] | None = None
        self._begun: dict[RunKey, Services] = {}
        self._ingesting: asyncio.Task[None] | None = None

    def bound(self, node: Node) -> Bound:
        """The node in the form in which LangGraph calls it."""

        async def run(state: State, runtime: Runtime[Context]) -> State:
            services = await self._services(run_key(runtime))
            return await bound(node, services)(state, runtime)

        run.__name__ = node.__name__
        return run

    async def router(self) -> Router:
        """The opened router. If opening fails, the next run tries again."""
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = asyncio.create_task(self._open(), name="open-the-router")
        # Cancelling one run must not close the router of the others.
        return await asyncio.shield(self._opening)

    async def search(self) -> Search:
        """The search for better models, for the configuration in force."""
        return (await self.router()).discovery

    async def _services(self, run: RunKey) -> Services:
        if run in self._begun:
            return self._begun[run]
        services = (await self.router()).services
        running = services.races
        self._begun = {key: began for key, began in self._begun.items() if key in running}
        self._begun[run] = services
        return services

    async def _open(self) -> Router:
        config, data, dotenv = self._folders
        router = await asyncio.to_thread(Router.from_config, config, data, dotenv=dotenv)
        await router.start()
        self._ingesting = asyncio.create_task(ingest(router.services), name="first-ingest")
        return router


ROOT = Path(__file__).parent.parent

quiet()
hosted = Hosted(ROOT / "config", ROOT / "data", ROOT / ".env")
router = assemble(hosted.bound)
scout = build_scout(hosted.search)
