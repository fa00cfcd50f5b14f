"""A start on a long log: `python -m benchmarks.growth [--requests N] [--postgres]`.

Fills a log with so many requests, starts the service on it without a snapshot and again with one,
and measures the time to `/ready`, the first answer, `--priorities` and one page of the log.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import ColumnElement, FromClause, case, func, literal, select

from benchmarks.bench import write_config
from config.loader import load
from race.routing_state import RoutingState
from routing.ranking.ledger import Ledger
from runtime.history import Courses
from runtime.learning import Learning, reread
from telemetry import tables
from telemetry.database import Database
from telemetry.log import InteractionLog
from tests.telemetry.postgres import PostgresServer, postgres_bin
from tests.telemetry.rows import attempt, request
from tests.upstream import Behaviour, Upstream

REQUESTS = 1_000_000
BATCH = 50_000
SPACING_S = 7.0
SERVE = """
import sys
import app
sys.exit(app.main(sys.argv[1:]))
"""


def fill(url: str | None, data: Path, n: int) -> None:
    """Requests and their attempts up to now, three categories, one in fourteen failed.

    The database makes them itself: through the log's own way they would take an hour.
    """
    database = Database.open(url, data)
    row = tables.encode(tables.interactions, request("0"), text=False)
    tried = tables.encode(tables.attempts, {**attempt(), "request_id": "0", "at": 0.0}, text=False)
    for begin in range(0, n, BATCH):
        series, i = _numbers(database, begin, min(begin + BATCH, n))
        with database.writing.begin() as connection:
            both = _of_number(database, i, n)
            for table, constant, own in (
                (tables.interactions, row, {"changed": literal(database.stamp(connection))}),
                (tables.attempts, {**tried, "revision": 0}, _tried(i)),
            ):
                values = {**{k: literal(v) for k, v in constant.items()}, **both, **own}
                columns = {c.name: values[c.name] for c in table.c if c.name in values}
                chosen = select(*columns.values()).select_from(series)
                connection.execute(table.insert().from_select(list(columns), chosen))
    database.close()


def _numbers(database: Database, begin: int, end: int) -> tuple[FromClause, ColumnElement[int]]:
    if database.is_sqlite:
        first = select(literal(begin).label("i")).cte("numbers", recursive=True)
        series = first.union_all(select(first.c.i + 1).where(first.c.i < end - 1))
        return series, series.c.i
    made = func.generate_series(begin, end - 1).table_valued("i").render_derived()
    return made, made.c.i


def _of_number(database: Database, i: ColumnElement[int], n: int) -> dict[str, ColumnElement[Any]]:
    """What request and attempt share."""
    if database.is_sqlite:
        request_id = func.printf("%032x", i)
    else:
        request_id = func.lpad(func.to_hex(i), 32, "0")
    names = [(i % 3 == n, name) for n, name in enumerate(("technical", "creative"))]
    return {
        "request_id": request_id,
        "at": time.time() - (n - i) * SPACING_S,
        "category": case(*names, else_="general"),
    }


def _tried(i: ColumnElement[int]) -> dict[str, ColumnElement[Any]]:
    failed = i % 14 == 0
    return {
        "provider": case((i * 611 % 5 < 2, "first"), else_="cheap"),
        "outcome": case((failed, "failed"), else_="ok"),
        "error": case((failed, "server"), else_=None),
        "ttft_ms": 80.0 + i * 611 % 820,
    }


async def start(config: Path, data: Path, url: str | None, note: str) -> None:
    """Start the service, wait until it is ready, ask once, read a page, and stop it."""
    environment = {**os.environ, **({"ROUTER_DATABASE_URL": url} if url else {})}
    began = time.monotonic()
    arguments = ("--config", str(config), "--data", str(data), "--port", "0", "--no-ui")
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVE, *arguments), env=environment, stderr=subprocess.PIPE
    )
    assert service.stderr is not None
    try:
        while b"Serving on" not in (line := await service.stderr.readline()):
            if not line:
                raise RuntimeError("the service ended")
        address = line.decode().split()[-1]
        drain = asyncio.create_task(service.stderr.read())
        async with aiohttp.ClientSession() as session:
            health_s = await _until(session, f"{address}/health", began)
            ready_s = await _until(session, f"{address}/ready", began)
            answer_s = await _timed(_ask(session, address))
            page_s = await _timed(_get(session, f"{address}/router/interactions?limit=100"))
        print(
            f"{note}: /health {health_s:.1f} s, /ready {ready_s:.1f} s, first answer "
            f"{answer_s * 1000:.0f} ms, a page of the log {page_s * 1000:.0f} ms",
            flush=True,
        )
    finally:
        service.send_signal(signal.SIGINT)
        await service.wait()
        await drain


async def _until(session: aiohttp.ClientSession, url: str, began: float) -> float:
    async with asyncio.timeout(120):
        while True:
            try:
                async with session.get(url) as reply:
                    if reply.status == 200:
                        return time.monotonic() - began
            except aiohttp.ClientConnectorError:
                pass
            await asyncio.sleep(0.02)


async def _ask(session: aiohttp.ClientSession, address: str) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    async with session.post(f"{address}/v1/chat/completions", json=body) as reply:
        if reply.status != 200:
            raise RuntimeError(await reply.text())


async def _get(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(url) as reply:
        await reply.read()
        reply.raise_for_status()


async def _timed(work: Any) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began


def priorities(config: Path, data: Path, url: str | None, note: str) -> None:
    environment = {**os.environ, **({"ROUTER_DATABASE_URL": url} if url else {})}
    began = time.monotonic()
    command = [sys.executable, "app.py", "--config", str(config), "--data", str(data)]
    subprocess.run(
        [*command, "--priorities", "--json"],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    print(f"{note}: --priorities {time.monotonic() - began:.1f} s", flush=True)


async def learn(config: Path, data: Path, url: str | None, note: str) -> None:
    """Fold the whole log, which the service does behind its requests, and keep the snapshot."""
    settings = load(config, data, environ={"ROUTER_DATABASE_URL": url} if url else {}, dotenv=None)
    log, began = InteractionLog.open(url, data), time.monotonic()
    routing, learning = RoutingState(settings), Learning(settings)
    ranking, cursor, read = await reread(settings, log)
    routing.replace(ranking, cursor)
    folded_s = time.monotonic() - began
    await learning.keep(routing, log, now=True)
    kept_s = time.monotonic() - began - folded_s
    began = time.monotonic()
    courses, orders = Courses(), {name: settings.order(name) for name in settings.categories}
    courses.take(ranking.held(), Ledger(settings.ranking, orders, ()))
    drawn_s = time.monotonic() - began
    await log.close()
    print(
        f"{note}: {read} requests folded in {folded_s:.0f} s, snapshot kept in {kept_s:.1f} s,"
        f" courses for the page in {drawn_s * 1000:.0f} ms",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--postgres", action="store_true")
    args = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = None
        if args.postgres:
            binaries = postgres_bin()
            if binaries is None:
                parser.error("PostgreSQL's server programs are not installed")
            server = PostgresServer(binaries)
            server.start()
            stack.callback(server.stop)
            url = server.database()
        upstream = stack.enter_context(Upstream.in_thread())
        upstream.default = Behaviour(tokens=10, ttft_s=0.01, token_s=0.002)
        config = write_config(upstream.base_url, upstream.base_url, folder)
        began = time.monotonic()
        fill(url, folder / "data", args.requests)
        where = "PostgreSQL" if url else "SQLite"
        print(f"{where}: {args.requests} requests written in {time.monotonic() - began:.0f} s")
        for note in ("without a snapshot", "with one"):
            asyncio.run(start(config, folder / "data", url, f"{where}, {note}"))
            priorities(config, folder / "data", url, f"{where}, {note}")
            if note != "with one":
                asyncio.run(learn(config, folder / "data", url, where))
    return 0


if __name__ == "__main__":
    sys.exit(main())
