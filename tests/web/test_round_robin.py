"""A browser stays with the replica that its page is from, whoever gets its requests."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import cast

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from config.models import Environment
from graph.router import Router
from race.routing_state import RoutingState
from runtime.replicas import PAGE_S, Pages, Replicas, name_of
from telemetry.records import HintRow
from tests.conftest import SettingsFor
from tests.runtime.test_replicas import until
from tests.upstream import Upstream
from tests.web.test_handover import serving
from web.handover import REPLICA
from web.round_robin import COOKIE, RoundRobin, own_address


class Replica:
    """A page that says which one it is, what it was sent, and by whom."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pages = Pages()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.pages.serve_at(self.url, publish=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = (await request.body()).decode()
        caller = request.headers.get("x-forwarded-for", "nobody")
        await PlainTextResponse(f"{self.name} {caller} {body}")(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with aclosing(RoundRobin(self, self.pages)) as served, serving(served, self.socket):
            yield


@pytest.fixture
async def replicas() -> AsyncIterator[tuple[Replica, Replica]]:
    here, there = Replica("here"), Replica("there")
    for replica in (here, there):
        replica.pages.hear([here.url, there.url])
    async with AsyncExitStack() as stack:
        for replica in (here, there):
            await stack.enter_async_context(replica.running())
        yield here, there


@pytest.fixture
async def browser() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False) as browser:
        yield browser


async def test_a_browser_is_served_by_the_replica_of_its_page(
    replicas: tuple[Replica, Replica], browser: httpx2.AsyncClient
) -> None:
    here, there = replicas
    assert (await browser.get(f"{here.url}/")).text.startswith("here nobody")
    assert (await browser.get(f"{there.url}/")).text.startswith("here 127.0.0.1")
    sent = await browser.post(f"{there.url}/queue/join", content="x" * 100_000)
    assert sent.text == "here 127.0.0.1 " + "x" * 100_000
    assert (await browser.get(f"{there.url}/queue/data")).text.startswith("here")


async def test_who_called_is_what_the_forwarding_replica_knows_of_it(
    replicas: tuple[Replica, Replica],
) -> None:
    here, there = replicas
    cookies = {COOKIE: name_of(here.url)}
    async with aclosing(RoundRobin(there, there.pages)) as forwarding:
        transport = httpx2.ASGITransport(app=forwarding, client=("192.0.2.1", 5))
        async with httpx2.AsyncClient(transport=transport, cookies=cookies) as browser:
            forged = {"x-forwarded-for": "127.0.0.1"}
            assert (await browser.get("http://router/x", headers=forged)).text == "here 192.0.2.1 "


async def test_a_replica_that_ended_is_stood_in_for(browser: httpx2.AsyncClient) -> None:
    here, gone = Replica("here"), Replica("gone")
    here.pages.hear([here.url, gone.url])  # its end is not known yet
    gone.socket.close()
    browser.cookies.set(COOKIE, name_of(gone.url))
    async with here.running():
        assert (await browser.get(f"{here.url}/config")).text.startswith("here")
        sent = await browser.post(f"{here.url}/queue/join", content="x")
        assert (sent.status_code, sent.headers["retry-after"]) == (503, "1")
        browser.cookies.clear()  # of this name, whatever its domain
        browser.cookies.set(COOKIE, name_of(gone.url))
        page = await browser.get(f"{here.url}/")
        assert page.text.startswith("here")
        assert page.cookies[COOKIE] == name_of(here.url)


async def test_another_service_at_a_known_address_is_not_taken_for_the_replica(
    replicas: tuple[Replica, Replica], browser: httpx2.AsyncClient
) -> None:
    here, there = replicas
    there.pages.serve_at("http://10.0.0.7:7860", publish=True)  # what is there now
    browser.cookies.set(COOKIE, name_of(there.url))
    assert (await browser.get(f"{here.url}/x")).text.startswith("here nobody")


async def test_a_forwarded_request_is_never_forwarded_again(
    replicas: tuple[Replica, Replica], browser: httpx2.AsyncClient
) -> None:
    here, there = replicas
    marked = {REPLICA.decode(): name_of(here.url)}
    browser.cookies.set(COOKIE, name_of(there.url))
    assert (await browser.get(f"{here.url}/x", headers=marked)).text.startswith("here")


async def test_a_name_that_no_replica_has_goes_nowhere(
    replicas: tuple[Replica, Replica], browser: httpx2.AsyncClient
) -> None:
    here, _ = replicas
    browser.cookies.set(COOKIE, "http://10.0.0.1/")
    assert (await browser.get(f"{here.url}/x")).text.startswith("here")


async def test_replicas_of_one_log_know_each_other_s_pages(
    settings_for: SettingsFor, upstream: Upstream
) -> None:
    settings = settings_for(upstream)
    here, there = Router(settings), Router(settings)
    here.pages.serve_at("http://10.0.0.1:7860", publish=True)
    there.pages.serve_at("http://10.0.0.2:7860", publish=True)
    async with here, there:
        await until(lambda: here.pages.others and there.pages.others)
        assert [*here.pages.others.values()] == ["http://10.0.0.2:7860"]


class Hints:
    """The part of a log that carries hints, with a clock that is set."""

    def __init__(self) -> None:
        self.at = 1e9
        self.held: dict[str, HintRow] = {}

    async def hint(self, name: str, detail: Mapping[str, object], **_: object) -> None:
        self.held[name] = cast("HintRow", {**detail, "at": self.at})

    async def hints(self) -> dict[str, HintRow]:
        return self.held

    def now(self) -> float:
        return self.at


@pytest.mark.parametrize("how", ["silent", "ending"])
async def test_a_replica_that_is_silent_or_ends_counts_as_gone(
    settings_for: SettingsFor, how: str
) -> None:
    hints, settings = Hints(), settings_for()
    routing = RoutingState(settings)
    sides = []
    for url in ("http://10.0.0.1:7860", "http://10.0.0.2:7860"):
        pages = Pages()
        pages.serve_at(url, publish=True)
        sides.append((pages, Replicas(pages, clock=hints.now)))
    for _, replica in (*sides, sides[0]):
        await replica.exchange(routing, hints, settings)
    here, _ = sides[0]
    assert [*here.others.values()] == ["http://10.0.0.2:7860"]
    if how == "silent":
        hints.at += PAGE_S + 1
    else:
        sides[1][0].leave()
        await sides[1][1].exchange(routing, hints, settings)
    await sides[0][1].exchange(routing, hints, settings)
    assert here.others == {}


@pytest.mark.parametrize(
    ("environment", "host", "address"),
    [
        ({}, "127.0.0.1", None),
        ({"database_url": "sqlite:////tmp/router.db"}, "127.0.0.1", None),
        ({"database_url": "postgresql://db/router"}, "127.0.0.1", "http://127.0.0.1:7860"),
        ({"database_url": "postgresql://db/router"}, "10.0.0.7", "http://10.0.0.7:7860"),
        ({"database_url": "postgresql://127.0.0.1/r"}, "0.0.0.0", "http://127.0.0.1:7860"),
        ({"replica_url": "http://me:80"}, "127.0.0.1", "http://me:80"),
    ],
)
def test_where_others_reach_a_replica(
    environment: dict[str, str], host: str, address: str | None
) -> None:
    assert own_address(Environment(**environment), host, 7860) == address  # type: ignore[arg-type]
