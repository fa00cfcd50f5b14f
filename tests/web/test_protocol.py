"""Headers without end and headers that never come, over raw sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from web.protocol import MOST_HEADERS, BoundedProtocol

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SOON_S = 0.3


class Impatient(BoundedProtocol):
    headers_s = SOON_S
    linger_s = SOON_S


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The number of bytes of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    headers = [(b"content-length", b"%d" % len(str(size)))]
    headers += [(b"was-sent", name) for name, _ in scope["headers"]]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": str(size).encode()})


@pytest.fixture
async def connect() -> AsyncIterator[Any]:
    """Connections to a server whose patience is short."""
    config = uvicorn.Config(echo, lifespan="off", log_config=None)
    config.load()
    state = uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()

    def serve() -> BoundedProtocol:
        return Impatient(config=config, server_state=state, app_state={})

    server = await loop.create_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    writers = []

    async def open_one() -> Stream:
        stream = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        writers.append(stream[1])
        return stream

    yield open_one
    for writer in writers:
        writer.close()
    server.close()
    await asyncio.gather(*state.tasks)


async def talk(stream: Stream, data: bytes) -> bytes:
    """What is answered until the connection closes; a refusal may come before all is sent."""
    reader, writer = stream
    writer.write(data)
    try:
        async with asyncio.timeout(10):
            return await reader.read(-1)
    except ConnectionError:
        return b"HTTP/1.1 reset"


def request(headers: bytes = b"", path: bytes = b"/") -> bytes:
    return b"GET %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n%s\r\n" % (path, headers)


ENDLESS = {
    "many": b"".join(b"x-%d: %s\r\n" % (n, b"a" * 90) for n in range(10_000)),
    "one large": b"x: " + b"a" * 10**6,
    "a large name": b"a" * 10**6,
    "just too large": b"x: " + b"a" * MOST_HEADERS + b"\r\n",
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_headers_without_end_are_refused(connect: Any, kind: str) -> None:
    answer = await talk(await connect(), request(ENDLESS[kind]))
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_request_line_without_end_is_refused(connect: Any) -> None:
    answer = await talk(await connect(), request(path=b"/" + b"a" * 10**6))
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_headers_within_the_bound_are_served(connect: Any) -> None:
    answer = await talk(await connect(), request(b"x: " + b"a" * (MOST_HEADERS - 1000) + b"\r\n"))
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_headers_that_never_come_end_the_connection(connect: Any) -> None:
    halves = [b"GET / HTTP/1.1\r\nhost: x\r\n", b"G", b"GET / HTTP/1.1\r\nx: " + b"a" * 1000]
    answers = await asyncio.gather(*[talk(await connect(), half) for half in halves])
    assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
    assert await talk(await connect(), b"") == b""


async def test_a_header_that_comes_byte_by_byte_ends_the_connection(connect: Any) -> None:
    reader, writer = await connect()
    writer.write(b"GET / HTTP/1.1\r\n")

    async def drip() -> None:
        while not reader.at_eof():
            writer.write(b"a")
            await asyncio.sleep(SOON_S / 10)

    task = asyncio.create_task(drip())
    async with asyncio.timeout(10):
        answer = await reader.readline()
    task.cancel()
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_second_request_has_the_same_bounds(connect: Any) -> None:
    first = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    for second, status in ((b"GET / HTTP/1.1\r\nx: ", b"408"), (b"GET /" + b"a" * 10**6, b"431")):
        reader, writer = await connect()
        writer.write(first)
        assert b" 200 " in await reader.readline()
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(1) == b"0"
        assert (await talk((reader, writer), second)).startswith(b"HTTP/1.1 %s " % status)


async def test_large_bodies_and_small_chunks_pass(connect: Any) -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    whole = head + b"content-length: 1000000\r\n\r\n" + bytes(10**6)
    assert (await talk(await connect(), whole)).endswith(b"1000000")
    small = head + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n"
    assert (await talk(await connect(), small)).endswith(b"50000")


async def test_trailers_without_end_end_the_connection(connect: Any) -> None:
    head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    answer = await talk(await connect(), head + ENDLESS["one large"])
    assert b" 200 " not in answer


async def test_a_trailer_is_no_header(connect: Any) -> None:
    """It comes after the headers were checked, by a proxy in front or here."""
    late = b"0\r\nx-forwarded-for: 127.0.0.1\r\nhost: other\r\n\r\n"
    head = request(b"transfer-encoding: chunked\r\nconnection: close\r\n")
    answer = await talk(await connect(), head + b"3\r\nabc\r\n" + late)
    assert b"200 OK" in answer
    assert b"was-sent: x-forwarded-for" not in answer
    assert answer.count(b"was-sent: host") == 1
