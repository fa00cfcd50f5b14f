"""The service on a real port, over the misbehaving upstream."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import anthropic
import httpx
import openai
import pytest
import uvicorn
from pydantic import TypeAdapter

from api.server import create_app
from config.models import Settings
from graph.router import Router
from tests.conftest import SettingsFor
from tests.upstream import Upstream


class Server(uvicorn.Server):
    """uvicorn with events where it has polls."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.leave = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as end:
            raise RuntimeError("the service did not start; the captured log says why") from end
        self.ready.set()

    async def main_loop(self) -> None:
        await self.leave.wait()


@dataclass
class Service:
    """A running service and its clients."""

    url: str
    router: Router
    server: Server
    http: httpx.AsyncClient
    _stack: AsyncExitStack = field(repr=False)

    async def client(self, key: str = "unused", **how: Any) -> openai.AsyncOpenAI:
        """The official client, without retries of its own; reading certificates takes 40 ms."""
        http = openai.DefaultAsyncHttpxClient(verify=False)
        how = {"max_retries": 0, "http_client": http, **how}
        made = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, **how)
        return await self._stack.enter_async_context(made)

    async def anthropic(self, key: str = "unused", **how: Any) -> anthropic.AsyncAnthropic:
        """Anthropic's client, likewise."""
        http = anthropic.DefaultAsyncHttpxClient(verify=False)
        how = {"max_retries": 0, "http_client": http, **how}
        made = anthropic.AsyncAnthropic(base_url=self.url, api_key=key, **how)
        return await self._stack.enter_async_context(made)


class Serve(Protocol):
    async def __call__(self, settings: Settings, **how: Any) -> Service: ...


class Make(Protocol):
    def __call__(self, **sections: Any) -> Settings: ...


@asynccontextmanager
async def serving(settings: Settings, **how: Any) -> AsyncIterator[Service]:
    """Served by uvicorn until the end of the block; `how` goes to `create_app`."""
    router = Router(settings)
    stop_s = how.pop("stop_s", 5)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(router, **how),
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=stop_s,
        )
        server = Server(config)
        task = asyncio.create_task(server._serve([listening]))
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=url, timeout=30, verify=False)
            )
            yield Service(url, router, server, http, stack)
        server.leave.set()
        await task


async def checked_events(
    service: Service, path: str, kind: TypeAdapter[Any], body: dict[str, Any]
) -> list[Any]:
    """The events of a stream, each checked by its client's own type and named after it."""
    reply = await service.http.post(path, json={**body, "stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in reply.text.strip().split("\n\n"):
        name, data = block.split("\n")
        event = kind.validate_json(data.removeprefix("data: "), strict=True)
        assert name == f"event: {event.type}"
        found.append(event)
    return found


async def settled(service: Service) -> None:
    """Until what follows the answers, in the server and in the log, is done too."""
    running = service.server.server_state.tasks
    while left := {*running, *service.router._runs._settling}:
        await asyncio.wait(left)


def break_the_log(service: Service) -> None:
    """Take a table away under the running service."""
    path = service.router.settings.data_dir / "router.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE interactions")
        database.commit()


def copy(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first service leaves its classifier for the others, as a data folder would."""
    return tmp_path_factory.mktemp("trained") / "classifier.npz"


@pytest.fixture
async def serve(trained: Path) -> AsyncIterator[Serve]:
    """Starts services; they stop with the test."""
    async with AsyncExitStack() as stack:

        async def start(settings: Settings, **how: Any) -> Service:
            kept = settings.data_dir / trained.name
            copy(trained, kept)
            service = await stack.enter_async_context(serving(settings, **how))
            copy(kept, trained)
            return service

        yield start


@pytest.fixture
def settings(settings_for: SettingsFor, upstream: Upstream) -> Make:
    """Settings over this test's upstream; `first` is asked unless something is wrong with it."""

    def make(**sections: Any) -> Settings:
        calm = {"explore_min": 0.0, "explore_max": 0.0}
        return settings_for(upstream, **{"ranking": calm, **sections})

    return make


@pytest.fixture
async def service(serve: Serve, settings: Make) -> Service:
    """The service as shipped, over a healthy upstream."""
    return await serve(settings())


@pytest.fixture
async def client(service: Service) -> openai.AsyncOpenAI:
    return await service.client()
