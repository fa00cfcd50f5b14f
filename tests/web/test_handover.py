"""A request that one process hands on to another over a Unix socket is its caller's own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import uvicorn
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from web.handover import CALLER, REPLICA, Handed, HandedOn


@asynccontextmanager
async def serving(app: object, *sockets: socket.socket) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))  # type: ignore[arg-type]
    task = asyncio.create_task(server.serve(sockets=list(sockets)))
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        await task


class Page:
    """Says what it was asked, or streams until its caller leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if scope["path"] == "/stream":
            await self.stream(receive, send)
            return
        said = {
            "method": request.method,
            "target": scope["raw_path"].decode() + "?" + scope["query_string"].decode(),
            "body": len(await request.body()),
            "host": request.headers["host"],
            "client": list(scope["client"] or ()),
            "scheme": scope["scheme"],
            "version": scope["http_version"],
            "names": [name.decode() for name, _ in scope["headers"]],
        }
        headers = [(b"content-type", b"application/json"), (b"set-cookie", b"a=1")]
        headers += [(b"set-cookie", b"b=2")]
        whole = json.dumps(said).encode()
        headers += [(b"content-length", str(len(whole)).encode())]
        await send({"type": "http.response.start", "status": 203, "headers": headers})
        await send({"type": "http.response.body", "body": whole})

    async def stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left.set()


@pytest.fixture
async def page() -> Page:
    return Page()


@pytest.fixture
async def client(page: Page, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a process that hands everything on to the page's."""
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "page.sock"))
    tcp = socket.create_server(("127.0.0.1", 0))
    handed_on = HandedOn.to_worker(tmp_path / "page.sock")
    base_url = f"http://127.0.0.1:{tcp.getsockname()[1]}"
    async with (
        serving(Handed(page), unix),
        serving(handed_on, tcp),
        httpx2.AsyncClient(base_url=base_url, trust_env=False) as client,
    ):
        yield client
        await handed_on.close()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_was_asked_arrives_as_it_was_asked(
    client: httpx2.AsyncClient, method: str
) -> None:
    forged = {CALLER.decode(): '["10.0.0.1", 1, "https", "1.1"]', "host": "name.example"}
    reply = await client.request(method, "/a%2Fb?x=%20y&x=2", headers=forged)
    said = reply.json()
    assert reply.status_code == 203
    assert reply.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert (said["method"], said["target"]) == (method, "/a%2Fb?x=%20y&x=2")
    assert said["host"] == "name.example"
    assert said["client"][0] == "127.0.0.1"
    assert said["scheme"] == "http"
    assert CALLER.decode() not in said["names"]


async def exchanged(client: httpx2.AsyncClient, raw: bytes) -> bytes:
    """What is answered to these bytes until the connection ends."""
    assert client.base_url.port
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    try:
        writer.write(raw)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("target", ["*", "//evil.example/x", "/a/../b/./c", "/%2e%2e/x", '/a|"<>^'])
async def test_a_target_of_any_kind_arrives_as_it_was_asked(
    client: httpx2.AsyncClient, target: str
) -> None:
    """It never takes part in where the request goes."""
    head = f"GET {target} HTTP/1.1\r\nhost: router\r\nconnection: close\r\n\r\n"
    _, _, body = (await exchanged(client, head.encode())).partition(b"\r\n\r\n")
    assert json.loads(body)["target"] == target + "?"


async def test_a_worker_knows_that_its_caller_speaks_an_old_http(
    client: httpx2.AsyncClient,
) -> None:
    """As proxies do, and browsers never: the page trusts such a caller less."""
    assert b'"version": "1.0"' in await exchanged(client, b"GET / HTTP/1.0\r\nhost: router\r\n\r\n")
    assert (await client.get("/")).json()["version"] == "1.1"


@pytest.mark.parametrize(
    "begun",
    [b"content-length: 9\r\n\r\nabc", b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"],
)
async def test_a_caller_who_leaves_in_the_middle_of_its_body_is_no_failure(
    page: Page, tmp_path: Path, begun: bytes
) -> None:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    unix, tcp = socket.socket(socket.AF_UNIX), socket.create_server(("127.0.0.1", 0))
    unix.bind(str(tmp_path / "page.sock"))
    handed_on = HandedOn.to_worker(tmp_path / "page.sock")

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await handed_on(scope, receive, send)
        except Exception as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    async with serving(Handed(page), unix), serving(watched, tcp):
        _, writer = await asyncio.open_connection(*tcp.getsockname())
        writer.write(b"POST / HTTP/1.1\r\nhost: router\r\n" + begun)
        await writer.drain()
        writer.close()
        async with asyncio.timeout(10):
            await ended
    await handed_on.close()


async def test_a_caller_is_not_given_what_another_was_given(client: httpx2.AsyncClient) -> None:
    """No cookie, such as of a login, and no header that it did not send."""
    assert (await client.get("/")).cookies["a"] == "1"
    head = b"GET / HTTP/1.1\r\nhost: router\r\nconnection: close\r\n\r\n"
    _, _, body = (await exchanged(client, head)).partition(b"\r\n\r\n")
    assert b'"names": ["host"]' in body


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_of_any_size_arrives_whole(client: httpx2.AsyncClient, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 100_000

    reply = await client.post("/", content=pieces() if chunked else b"x" * 3_000_000)
    assert reply.json()["body"] == 3_000_000


async def test_an_answer_comes_as_it_is_made_and_ends_with_its_caller(
    client: httpx2.AsyncClient, page: Page
) -> None:
    async with asyncio.timeout(10), client.stream("GET", "/stream") as reply:
        assert await anext(reply.aiter_raw()) == b"first"
        assert not page.left.is_set()
    async with asyncio.timeout(10):
        await page.left.wait()


async def test_a_page_that_is_being_replaced_is_said(tmp_path: Path) -> None:
    transport = httpx2.ASGITransport(app=HandedOn.to_worker(tmp_path / "page.sock"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://router") as client:
        reply = await client.get("/")
        forwarded = await client.get("/", headers={REPLICA.decode(): "me"})
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert "being replaced" in reply.json()["detail"]
    assert forwarded.status_code == 421  # the other replica serves its caller then


async def test_a_caller_cannot_say_that_he_was_handed_on(page: Page) -> None:
    tcp = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{tcp.getsockname()[1]}/"
    async with serving(Handed(page), tcp), httpx2.AsyncClient(trust_env=False) as client:
        said = await client.get(url, headers={CALLER.decode(): '["10.0.0.1", 1, "https", "1.1"]'})
    assert said.json()["client"][0] == "127.0.0.1"
    assert said.json()["scheme"] == "http"
