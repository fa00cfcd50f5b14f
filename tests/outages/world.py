"""The service that an outage is tried on, beside its twin without one, and a cell's promises."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from config.models import Settings
from graph.router import Router
from race.services import Services
from runtime.services import shared_embedder
from telemetry.log import InteractionLog
from tests.outages.cells import IN_MEMORY, SERVING, WRITTEN, Cell
from tests.outages.waits import (
    HANGS_S,
    Took,
    Turns,
    ask,
    assert_each_within,
    counted,
    is_named,
    until,
)
from tests.telemetry.rows import attempt, request
from tests.upstream import Upstream
from vectorstore.knowledge import Knowledge


def nothing() -> None:
    """Breaks nothing: the outage is there before the start."""


async def is_over(_: Router) -> bool:
    return True


@dataclass
class World:
    """A service, what was asked of it, and how to break and mend what the cell is about."""

    settings: Settings
    upstream: Upstream
    stack: AsyncExitStack
    open: Callable[[], Router] | None = None
    """Of the service; by default a router over the settings."""
    adapt: Callable[[Services], Services] | None = None
    """Of the services that it opened."""
    break_: Callable[[], object] = nothing
    mend: Callable[[], object] | None = None
    over: Callable[[Router], Awaitable[bool]] = is_over
    """What shows beside `/health` that it ended."""
    primary_fails: bool = False
    """The answer waits for passages."""
    asked: list[str] = field(default_factory=list)

    def at(self, **urls: str) -> None:
        environment = self.settings.environment.model_copy(update=urls)
        self.settings = self.settings.model_copy(update={"environment": environment})

    def twin(self) -> Router:
        """The same service over a data folder of its own, with nothing out."""
        data = self.settings.data_dir
        folder = data.with_name("twin")
        folder.mkdir()
        if (known := data / "classifier.npz").exists():
            shutil.copy(known, folder)
        environment = self.settings.environment.model_copy(
            update={"database_url": None, "chroma_url": None}
        )
        changed = {"data_dir": folder, "environment": environment}
        return Router(self.settings.model_copy(update=changed))

    async def service(self) -> Router:
        """Started and warm."""
        router = Router(self.settings) if self.open is None else self.open()
        await self.stack.enter_async_context(router)
        if self.adapt is not None:
            router._life.adopt(self.adapt(router.services))
        await router.warm()
        return router


@dataclass
class Spare:
    """What is out, a second time, for a service that meets it below a virtual clock before anything
    else has: another log over the same database, or another reader of the same documents."""

    log: InteractionLog | None = None
    knowledge: Knowledge | None = None

    @classmethod
    async def open(cls, world: World, *, wait_s: float | None) -> Spare:
        environment, data = world.settings.environment, world.settings.data_dir
        if world.primary_fails:
            knowledge = Knowledge.open(data, shared_embedder(), environment.chroma_url)
            world.stack.callback(knowledge.close)
            await knowledge.warm()
            return cls(knowledge=knowledge)
        url = environment.database_url
        log = await asyncio.to_thread(InteractionLog.open, url, data, wait_s=wait_s)
        world.stack.push_async_callback(log.close)
        return cls(log=log)

    async def count(self, world: World) -> list[Took]:
        """The requests of a service that meets it now."""
        if self.log is None:
            return await asyncio.to_thread(counted, primary_fails=True, knowledge=self.knowledge)
        took = await asyncio.to_thread(counted, log=self.log)
        world.asked += [t.request_id for t in took]
        return took

    def waiting(self) -> int:
        return sum(self.log.backlog[:2]) if self.log is not None else 0


def problems(router: Router) -> str:
    return " ".join(router.health()["problems"])


async def check(cell: Cell, world: World) -> None:
    """The promises of a cell: each request's time, health, the row, and that it ends by itself."""
    assert cell.adds_ms is not None
    adds_s, serving = cell.adds_ms / 1000, cell.when == SERVING
    usual = await asyncio.to_thread(counted, primary_fails=world.primary_fails)
    well = await world.stack.enter_async_context(world.twin())
    await well.warm()
    if not serving:
        world.break_()
    router = await world.service()
    spare = await Spare.open(world, wait_s=None if serving else 0)
    assert router.ready
    if serving:
        world.asked += [(await ask(router, time.monotonic)).request_id]
        await until(lambda: not waiting(router))
        world.break_()
    before = len(world.asked)
    named = asyncio.create_task(is_named(lambda: problems(router), cell.health))
    took = await spare.count(world)
    assert_each_within(took, usual, adds_s)
    if cell.what != "disk":
        assert await named, f"before a request met it: {problems(router)}"
    turns = await Turns.take(router, well, adds_s)
    world.asked += [t.request_id for t in turns.out]
    assert turns.adds_s() <= adds_s
    assert max(t.all_s for t in turns.out) < HANGS_S
    assert await named, problems(router)
    assert router.ready
    assert world.mend is not None
    world.mend()
    await until(lambda: not problems(router))
    await until_over(world, router)
    await until(lambda: not waiting(router) and not spare.waiting())
    if cell.row != WRITTEN:
        await until_direct(world, router)
    expected = sorted(world.asked[before:] if cell.row == IN_MEMORY else world.asked)
    assert await written(router, expected) == expected, "each is there once"


async def written(router: Router, expected: list[str]) -> list[str]:
    """The requests that the log holds, once they are these; what it holds after 20 s if not."""
    ends = time.monotonic() + 20.0
    while True:
        rows = sorted(row["request_id"] for row in await router.interactions(None))
        if rows == expected or time.monotonic() > ends:
            return rows
        await asyncio.sleep(0.02)


def waiting(router: Router) -> int:
    return sum(router.services.log.backlog[:2])


async def until_direct(world: World, router: Router) -> None:
    """Rows go to the log itself again."""
    async with asyncio.timeout(60):
        direct = False
        while not direct:
            world.asked.append(f"after{len(world.asked)}")
            direct = await router.services.log.write(request(world.asked[-1]), [attempt()])
            await until(lambda: not waiting(router))


async def until_over(world: World, router: Router) -> None:
    async with asyncio.timeout(60):
        while not await world.over(router):  # noqa: ASYNC110 - it can only be asked
            await asyncio.sleep(0.05)
