"""Every cell of the outage table, on the whole router over a loopback upstream."""

from __future__ import annotations

import asyncio
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from filelock import FileLock

from config.errors import ConfigError, StorageError
from docs.outages import PAGE
from graph.router import Router
from race import routing_state
from race.services import Services
from routing.classifier.live import ByKeywords
from runtime import learning
from runtime.follower import FOLLOW_S
from runtime.services import shared_embedder, shared_encoder
from telemetry import log as log_module
from telemetry.keeper import Keeper
from telemetry.log import InteractionLog
from telemetry.writer import LOOK_S, SILENT_S
from tests.conftest import SettingsFor
from tests.outages.cells import CELLS, HOWS, LEFT_OUT, WHATS, WHENS, Cell, table
from tests.outages.chroma_proxy import ChromaProxy
from tests.outages.waits import NAMED_S, QUESTION
from tests.outages.world import World, check
from tests.telemetry.postgres import PostgresServer
from tests.telemetry.rows import attempt, request
from tests.telemetry.test_outages import StalledSpool
from tests.upstream import Behaviour, Upstream
from tests.vectorstore.conftest import run_chroma
from vectorstore.knowledge import SLOW_INGEST_S, Knowledge
from vectorstore.passages import IngestReport
from vectorstore.prompt_encoder import PromptEncoder
from vectorstore.search import paths
from vectorstore.vectors import WAIT_S


def cell(test: str) -> Cell:
    return next(c for c in CELLS if c.test == test)


@pytest.fixture
async def world(settings_for: SettingsFor, upstream: Upstream) -> AsyncIterator[World]:
    upstream.default = Behaviour(tokens=5, ttft_s=0.02, token_s=0.0)
    async with AsyncExitStack() as stack:
        yield World(settings_for(upstream), upstream, stack)


def test_the_page_says_what_is_tested() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {c.test for c in CELLS} <= tested
    assert PAGE.read_text() == table(), "run `python -m docs.outages`"


def test_each_cell_is_tested_or_left_out_with_its_reason() -> None:
    tested = {(c.what, c.how, c.when) for c in CELLS}
    left = {x for one in LEFT_OUT for x in product(one.whats, one.hows, one.whens)}
    assert set(product(WHATS, HOWS, WHENS)) <= tested | left
    assert not tested & left


def test_what_looks_for_an_outage_looks_often_enough() -> None:
    """Whatever a machine's load, these are the periods that the product itself chooses."""
    assert max(LOOK_S + SILENT_S, FOLLOW_S + WAIT_S, FOLLOW_S, SLOW_INGEST_S) < NAMED_S


# -- the log ----------------------------------------------------------------------------------


async def test_postgresql_silent(world: World, postgres: PostgresServer) -> None:
    world.at(database_url=postgres.database())
    world.break_, world.mend = postgres.pause, postgres.resume
    world.stack.callback(postgres.resume)
    await check(cell("postgresql_silent"), world)


async def test_postgresql_gone(world: World, postgres: PostgresServer) -> None:
    world.at(database_url=postgres.database())
    world.break_, world.mend = postgres.halt, postgres.resume_service
    await check(cell("postgresql_gone"), world)


async def test_sqlite_locked(world: World) -> None:
    other: list[sqlite3.Connection] = []

    def lock() -> None:
        path = world.settings.data_dir / "router.db"
        other.append(sqlite3.connect(path, isolation_level=None))
        other[0].execute("BEGIN IMMEDIATE")

    world.break_, world.mend = lock, lambda: other[0].close()
    await check(cell("sqlite_locked"), world)


async def test_disk_silent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the log nor the spool is written."""
    goes_on = threading.Event()
    goes_on.set()

    def on_that_disk(_: object) -> Keeper:
        spool = StalledSpool(world.settings.data_dir / "spool")
        spool.goes_on = goes_on
        return Keeper(spool)

    monkeypatch.setattr(log_module, "Keeper", on_that_disk)
    other = sqlite3.connect(world.settings.data_dir / "router.db", isolation_level=None)

    def stall() -> None:
        goes_on.clear()
        other.execute("BEGIN IMMEDIATE")

    def go_on() -> None:
        goes_on.set()
        other.close()

    world.break_, world.mend = stall, go_on
    world.stack.callback(go_on)
    await check(cell("disk_silent"), world)


async def test_sqlite_broken(world: World) -> None:
    def run(statement: str) -> None:
        with closing(sqlite3.connect(world.settings.data_dir / "router.db")) as database:
            database.execute(statement)
            database.commit()

    world.break_ = lambda: run("ALTER TABLE interactions RENAME TO damaged")
    world.mend = lambda: run("ALTER TABLE damaged RENAME TO interactions")
    await check(cell("sqlite_broken"), world)


async def test_postgresql_silent_start(world: World, postgres: PostgresServer) -> None:
    world.at(database_url=postgres.database())
    world.break_, world.mend = postgres.pause, postgres.resume
    world.stack.callback(postgres.resume)
    await check(cell("postgresql_silent_start"), world)


async def test_postgresql_refused(world: World, postgres: PostgresServer) -> None:
    world.at(database_url=postgres.database())
    world.break_, world.mend = postgres.halt, postgres.resume_service
    await check(cell("postgresql_refused"), world)


async def test_sqlite_corrupt_start(world: World) -> None:
    world.settings.data_dir.mkdir(parents=True, exist_ok=True)
    log = world.settings.data_dir / "router.db"
    log.write_bytes(b"no database" * 1_000)
    with pytest.raises(StorageError, match="is corrupt") as refused:
        await Router(world.settings).start()
    assert "\n" not in str(refused.value)
    log.unlink()
    async with Router(world.settings) as router:
        assert (await router.answer(QUESTION)).success


async def test_disk_full(world: World) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        grown = (world.settings.data_dir / "router.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (grown, hard))

    def empty() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    world.break_, world.mend = fill, empty
    world.stack.callback(empty)
    await check(cell("disk_full"), world)


async def test_folder_gone(world: World) -> None:
    data = world.settings.data_dir
    world.break_, world.mend = lambda: shutil.rmtree(data), data.mkdir
    await check(cell("folder_gone"), world)


async def test_fold_slow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fold rests for so long between its pieces as if they were many."""
    monkeypatch.setattr(routing_state, "PROVISIONAL", 50)
    monkeypatch.setattr(learning, "REST_S", 1.0)
    log = InteractionLog.open(None, world.settings.data_dir)
    for n in range(2 * learning.PIECE):
        await log.write(request(f"old{n}"), [attempt(provider="first")])
        world.asked.append(f"old{n}")
    await log.close()

    async def whole(router: Router) -> bool:
        return not router.services.routing.provisional

    world.mend, world.over = lambda: monkeypatch.setattr(learning, "REST_S", 0.0), whole
    await check(cell("fold_slow"), world)


# -- the knowledge base -----------------------------------------------------------------------

Server = tuple[str, subprocess.Popen[bytes]]


async def over_documents(world: World, url: str, tmp_path: Path) -> None:
    """A base of one document at the Chroma server, and answers that wait for its passages."""
    world.at(chroma_url=url)
    folder = tmp_path / "documents"
    write_document(folder)
    knowledge = Knowledge.open(world.settings.data_dir, shared_embedder(), url)
    await knowledge.ingest(folder, topics=False)
    knowledge.close()
    orders = dict.fromkeys(world.settings.priorities, ("cheap",))
    world.settings = world.settings.model_copy(update={"priorities": orders})
    world.primary_fails, world.over = True, finds_by_vectors


def write_document(folder: Path) -> None:
    folder.mkdir()
    (folder / "tower.md").write_text("# The tower\n\nThe tower is 93 metres high.\n")


async def finds_by_vectors(router: Router) -> bool:
    return (await router.services.knowledge.retrieve(QUESTION)).mode == "hybrid"


def kill(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()


def restart(world: World, url: str, tmp_path: Path) -> None:
    again = run_chroma(tmp_path / "served", int(url.rpartition(":")[2]))
    world.stack.callback(kill, again)


async def test_chroma_silent(world: World, chroma_server: Server, tmp_path: Path) -> None:
    url, server = chroma_server
    await over_documents(world, url, tmp_path)
    world.break_ = lambda: server.send_signal(signal.SIGSTOP)
    world.mend = lambda: server.send_signal(signal.SIGCONT)
    world.stack.callback(world.mend)
    await check(cell("chroma_silent"), world)


async def test_chroma_silent_start(world: World, chroma_server: Server, tmp_path: Path) -> None:
    url, server = chroma_server
    await over_documents(world, url, tmp_path)
    world.break_ = lambda: server.send_signal(signal.SIGSTOP)
    world.mend = lambda: server.send_signal(signal.SIGCONT)
    world.stack.callback(world.mend)
    await check(cell("chroma_silent_start"), world)


async def test_chroma_gone(world: World, chroma_server: Server, tmp_path: Path) -> None:
    url, server = chroma_server
    await over_documents(world, url, tmp_path)
    world.break_, world.mend = lambda: kill(server), lambda: restart(world, url, tmp_path)
    await check(cell("chroma_gone"), world)


async def test_chroma_refused(world: World, chroma_server: Server, tmp_path: Path) -> None:
    url, server = chroma_server
    await over_documents(world, url, tmp_path)
    world.break_, world.mend = lambda: kill(server), lambda: restart(world, url, tmp_path)
    await check(cell("chroma_refused"), world)


async def test_chroma_slow(world: World, chroma_server: Server, tmp_path: Path) -> None:
    with ChromaProxy(chroma_server[0]) as proxy:
        await over_documents(world, proxy.url, tmp_path)
        world.break_, world.mend = lambda: proxy.answer("slow"), lambda: proxy.answer("well")
        await check(cell("chroma_slow"), world)
        await world.stack.aclose()


@pytest.mark.parametrize("how", ["garbage", "500", "half"])
async def test_chroma_corrupt(
    world: World, chroma_server: Server, tmp_path: Path, how: str
) -> None:
    """It takes connections as ever."""
    with ChromaProxy(chroma_server[0]) as proxy:
        await over_documents(world, proxy.url, tmp_path)
        world.break_, world.mend = lambda: proxy.answer(how), lambda: proxy.answer("well")
        await check(cell("chroma_corrupt"), world)
        await world.stack.aclose()


async def test_ingest_slow(world: World, tmp_path: Path) -> None:
    """Another process holds the writer's lock, and an ingest of this one waits for it."""
    folder = tmp_path / "documents"
    write_document(folder)
    lock = FileLock(paths(world.settings.data_dir)[2], thread_local=False)
    reading: list[asyncio.Task[IngestReport]] = []

    def adapt(services: Services) -> Services:
        work = services.knowledge.ingest(folder, topics=False)
        reading.append(asyncio.create_task(work))
        return services

    async def is_in(router: Router) -> bool:
        await reading[0]
        return bool(await router.services.knowledge.documents())

    lock.acquire()
    world.stack.callback(lock.release)
    world.adapt, world.mend, world.over = adapt, lock.release, is_in
    await check(cell("ingest_slow"), world)


# -- the classifier ---------------------------------------------------------------------------


class HeldEncoder:
    """The encoder that training waits for, until it is let."""

    def __init__(self) -> None:
        encoder = shared_encoder()
        assert encoder is not None
        self.name, self._embed, self.goes_on = encoder.name, encoder.embed, threading.Event()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.goes_on.wait()
        return self._embed(texts)


async def check_training(world: World, name: str) -> None:
    held = HeldEncoder()
    world.stack.callback(held.goes_on.set)

    def adapt(services: Services) -> Services:
        assert isinstance(services.classifier.current, ByKeywords)
        return replace(services, encoder=cast("PromptEncoder", held))

    async def is_kept(_: Router) -> bool:
        return (world.settings.data_dir / "classifier.npz").stat().st_size > 1_000

    world.adapt, world.mend, world.over = adapt, held.goes_on.set, is_kept
    await check(cell(name), world)


async def test_classifier_corrupt(world: World) -> None:
    (world.settings.data_dir / "classifier.npz").write_bytes(b"no weights")
    await check_training(world, "classifier_corrupt")


async def test_classifier_gone(world: World) -> None:
    (world.settings.data_dir / "classifier.npz").unlink()
    await check_training(world, "classifier_gone")


async def test_training_slow(world: World) -> None:
    (world.settings.data_dir / "classifier.npz").unlink()
    await check_training(world, "training_slow")


# -- the configuration ------------------------------------------------------------------------


async def check_config(
    world: World, name: str, tmp_path: Path, spoil: Callable[[], object]
) -> None:
    path = tmp_path / "config" / "providers.yaml"
    whole = path.read_bytes()

    def opened() -> Router:
        return Router.from_config(tmp_path / "config", tmp_path / "data", environ={}, dotenv=None)

    world.open, world.break_ = opened, spoil
    world.mend = lambda: path.write_bytes(whole + b"\n")
    await check(cell(name), world)


async def test_config_corrupt(world: World, tmp_path: Path) -> None:
    path = tmp_path / "config" / "providers.yaml"
    await check_config(world, "config_corrupt", tmp_path, lambda: path.write_bytes(b"hosts: ["))


async def test_config_gone(world: World, tmp_path: Path) -> None:
    path = tmp_path / "config" / "providers.yaml"
    await check_config(world, "config_gone", tmp_path, path.unlink)


def test_config_corrupt_start(world: World, tmp_path: Path) -> None:
    (tmp_path / "config" / "providers.yaml").write_bytes(b"hosts: [")
    with pytest.raises(ConfigError, match=r"providers\.yaml") as refused:
        Router.from_config(tmp_path / "config", tmp_path / "data", environ={}, dotenv=None)
    assert "\n" not in str(refused.value)
