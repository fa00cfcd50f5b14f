"""Every cell of the outage table, on the whole router over a loopback upstream."""

from __future__ import annotations

import asyncio
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest
from filelock import FileLock

from config.errors import ConfigError, StorageError
from config.models import Settings
from docs.outages import PAGE
from graph.router import Router
from race import routing_state
from telemetry import log as log_module
from telemetry.keeper import Keeper
from telemetry.log import InteractionLog
from tests.conftest import SettingsFor
from tests.outages.cells import CELLS, HOWS, LEFT_OUT, SPOOLED, WHATS, WHENS, Cell, table
from tests.telemetry.postgres import PostgresServer
from tests.telemetry.rows import attempt, request
from tests.telemetry.test_outages import StalledSpool
from tests.upstream import Behaviour, Upstream
from vectorstore.embeddings import Embedder
from vectorstore.knowledge import Knowledge
from vectorstore.search import paths

JITTER_S = 0.05
ASKED = 3
TRIES = 60
"""A busy machine or a disk that others use delays some requests, never all of so many."""
HANGS_S = 4.0
"""Whoever waits for what is out waits longer: for a connection or a lock 5 s, else for good."""
NOWHERE = "postgres://router@127.0.0.1:9/log"


@dataclass
class World:
    """A router, what was asked of it, and how to break and mend what the cell is about."""

    settings: Settings
    upstream: Upstream
    stack: AsyncExitStack
    asked: list[str] = field(default_factory=list)
    break_: Callable[[], Awaitable[None]] | None = None
    mend: Callable[[], Awaitable[None]] | None = None

    def over(self, **urls: str) -> None:
        environment = self.settings.environment.model_copy(update=urls)
        self.settings = self.settings.model_copy(update={"environment": environment})


async def took_s(world: World, router: Router) -> float:
    began = time.monotonic()
    answer = await router.answer("How high is the tower?")
    assert answer.success
    world.asked.append(answer.request_id)
    return time.monotonic() - began


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - health can only be asked
            await asyncio.sleep(0.02)


def problems(router: Router) -> str:
    return " ".join(router.health()["problems"])


async def in_time(world: World, router: Router, within_s: float) -> None:
    """No request hangs, and most that the machine does not hold up are this quick."""
    took = [await took_s(world, router) for _ in range(ASKED)]
    while min(took) >= within_s and len(took) < TRIES:
        took.append(await took_s(world, router))
    assert max(took) < HANGS_S
    assert min(took) < within_s


async def check(cell: Cell, world: World) -> None:
    """The promises of a cell: time, health, the row, and that it ends by itself."""
    assert cell.adds_ms is not None
    allowed_s = cell.adds_ms / 1000 + JITTER_S
    async with Router(world.settings) as router:
        await router.warm()
        assert router.ready
        usual_s = 0.1
        if world.break_ is not None:
            usual_s = min([await took_s(world, router) for _ in range(ASKED)])
            await until(lambda: not sum(router.services.log.backlog[:2]))
            await world.break_()
        known = len(world.asked)
        await in_time(world, router, usual_s + allowed_s)
        if cell.health:
            await until(lambda: cell.health in problems(router))
        assert router.ready
        if world.mend is not None:
            await world.mend()
            await until(lambda: not problems(router))
        if cell.row == SPOOLED and world.mend is None:
            assert sum(router.services.log.backlog[:2]) == len(world.asked)
            return
        await until(lambda: not sum(router.services.log.backlog[:2]))
        rows = [row["request_id"] for row in await router.interactions(None)]
        lost = [] if "memory" not in cell.row else world.asked[:known]
        assert sorted(rows) == sorted(set(world.asked) - set(lost)), "each is there once"


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


async def test_postgresql_silent(world: World, postgres: PostgresServer) -> None:
    world.over(database_url=postgres.database())
    world.break_ = _now(postgres.pause)
    world.mend = _now(postgres.resume)
    world.stack.callback(postgres.resume)
    await check(cell("postgresql_silent"), world)


async def test_postgresql_gone(world: World) -> None:
    from tests.telemetry.postgres import postgres_bin

    folder = postgres_bin()
    if folder is None:
        pytest.skip("PostgreSQL's server programs (initdb, pg_ctl) are not installed")
    server = PostgresServer(folder)
    server.start()
    world.stack.callback(server.stop)
    world.over(database_url=server.database())
    world.break_, world.mend = _now(server.halt), _now(server.resume_service)
    await check(cell("postgresql_gone"), world)


async def test_sqlite_locked(world: World) -> None:
    other: list[sqlite3.Connection] = []

    def lock() -> None:
        path = world.settings.data_dir / "router.db"
        other.append(sqlite3.connect(path, isolation_level=None))
        other[0].execute("BEGIN IMMEDIATE")

    world.break_, world.mend = _now(lock), _now(lambda: other[0].close())
    await check(cell("sqlite_locked"), world)


async def test_disk_silent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the log nor the spool is written."""
    spool = StalledSpool(world.settings.data_dir / "spool")
    spool.goes_on.set()
    monkeypatch.setattr(log_module, "Keeper", lambda _: Keeper(spool))
    other = sqlite3.connect(world.settings.data_dir / "router.db", isolation_level=None)

    def stall() -> None:
        spool.goes_on.clear()
        other.execute("BEGIN IMMEDIATE")

    def go_on() -> None:
        spool.goes_on.set()
        other.close()

    world.break_, world.mend = _now(stall), _now(go_on)
    world.stack.callback(go_on)
    await check(cell("disk_silent"), world)


async def test_sqlite_broken(world: World) -> None:
    def run(statement: str) -> None:
        with closing(sqlite3.connect(world.settings.data_dir / "router.db")) as database:
            database.execute(statement)
            database.commit()

    world.break_ = _now(lambda: run("ALTER TABLE interactions RENAME TO damaged"))
    world.mend = _now(lambda: run("ALTER TABLE damaged RENAME TO interactions"))
    await check(cell("sqlite_broken"), world)


async def test_postgresql_silent_start(world: World, postgres: PostgresServer) -> None:
    world.over(database_url=postgres.database())
    postgres.pause()
    world.stack.callback(postgres.resume)
    world.mend = _now(postgres.resume)
    one = cell("postgresql_silent_start")
    # Until the connection is given up, after five seconds, it is silence that is reported.
    await check(Cell(*(_fields(one) | {"health": "has not answered"}).values()), world)


async def test_postgresql_refused(world: World) -> None:
    world.over(database_url=NOWHERE)
    await check(cell("postgresql_refused"), world)


async def test_sqlite_corrupt_start(world: World) -> None:
    world.settings.data_dir.mkdir(parents=True, exist_ok=True)
    (world.settings.data_dir / "router.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(StorageError, match="is corrupt") as refused:
        await Router(world.settings).start()
    assert "\n" not in str(refused.value)


def write_document(folder: Path) -> None:
    folder.mkdir()
    (folder / "tower.md").write_text("# The tower\n\nThe tower is 93 metres high.\n")


@asynccontextmanager
async def ingested(world: World, url: str, folder: Path) -> AsyncIterator[None]:
    """A base of one document at the Chroma server, and a primary that fails, so that the fallback
    answers from it."""
    world.over(chroma_url=url)
    write_document(folder)
    knowledge = Knowledge.open(world.settings.data_dir, Embedder.load(), url)
    await knowledge.ingest(folder, topics=False)
    knowledge.close()
    orders = dict.fromkeys(world.settings.priorities, ("cheap",))
    world.settings = world.settings.model_copy(update={"priorities": orders})
    yield


async def test_chroma_silent(
    world: World, chroma_server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    url, server = chroma_server
    async with ingested(world, url, tmp_path / "documents"):
        world.break_ = _now(lambda: server.send_signal(signal.SIGSTOP))
        world.mend = _now(lambda: server.send_signal(signal.SIGCONT))
        world.stack.callback(server.send_signal, signal.SIGCONT)
        await check(cell("chroma_silent"), world)


async def test_chroma_gone(
    world: World, chroma_server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    url, server = chroma_server
    async with ingested(world, url, tmp_path / "documents"):
        world.break_ = _now(lambda: (server.kill(), server.wait()))
        await check(cell("chroma_gone"), world)


async def test_chroma_refused(
    world: World, chroma_server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    url, server = chroma_server
    async with ingested(world, url, tmp_path / "documents"):
        server.kill()
        server.wait()
        await check(cell("chroma_refused"), world)


async def test_disk_full(world: World) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        grown = (world.settings.data_dir / "router.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (grown, hard))

    def empty() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    world.break_, world.mend = _now(fill), _now(empty)
    world.stack.callback(empty)
    await check(cell("disk_full"), world)


async def test_folder_gone(world: World) -> None:
    data = world.settings.data_dir
    world.break_ = _now(lambda: shutil.rmtree(data))
    world.mend = _now(lambda: data.mkdir())
    await check(cell("folder_gone"), world)


async def test_classifier_corrupt(world: World) -> None:
    (world.settings.data_dir / "classifier.npz").write_bytes(b"no weights")
    await check(cell("classifier_corrupt"), world)


async def test_classifier_gone(world: World) -> None:
    (world.settings.data_dir / "classifier.npz").unlink()
    await check(cell("classifier_gone"), world)


async def test_config_corrupt(world: World, tmp_path: Path) -> None:
    await check_config("config_corrupt", world, tmp_path)


async def test_config_gone(world: World, tmp_path: Path) -> None:
    await check_config("config_gone", world, tmp_path)


async def check_config(name: str, world: World, tmp_path: Path) -> None:
    path = tmp_path / "config" / "providers.yaml"
    whole = path.read_bytes()
    router = Router.from_config(tmp_path / "config", tmp_path / "data", environ={}, dotenv=None)
    async with router:
        usual_s = min([await took_s(world, router) for _ in range(ASKED)])
        path.unlink() if name == "config_gone" else path.write_bytes(b"hosts: [")
        await until(lambda: cell(name).health in problems(router))
        await in_time(world, router, usual_s + 0.1 + JITTER_S)
        path.write_bytes(whole + b"\n")
        await until(lambda: not problems(router))


def test_config_corrupt_start(world: World, tmp_path: Path) -> None:
    (tmp_path / "config" / "providers.yaml").write_bytes(b"hosts: [")
    with pytest.raises(ConfigError, match=r"providers\.yaml"):
        Router.from_config(tmp_path / "config", tmp_path / "data", environ={}, dotenv=None)


async def test_ingest_slow(world: World) -> None:
    """Another process holds the writer's lock and an ingest of this one waits for it."""
    lock = FileLock(paths(world.settings.data_dir)[2])
    with lock:
        await check(cell("ingest_slow"), world)


async def test_fold_slow(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing_state, "PROVISIONAL", 50)
    log = InteractionLog.open(None, world.settings.data_dir)
    for n in range(60):
        await log.write(request(f"old{n}"), [attempt(provider="first")])
        world.asked.append(f"old{n}")
    await log.close()
    await check(Cell(*(_fields(cell("fold_slow")) | {"health": ""}).values()), world)


def _fields(one: Cell) -> dict[str, object]:
    return {name: getattr(one, name) for name in Cell.__slots__}


def _now(work: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        work()

    return run
