"""A client that leaves takes its calls upstream with it."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.api.conftest import Make, Serve, Service, settled
from tests.upstream import Behaviour, Upstream

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}


class Caller:
    """A bare connection that can be dropped at any moment."""

    def __init__(self, service: Service, *, stream: bool) -> None:
        self.port = int(service.url.rpartition(":")[2])
        self.body = json.dumps({**BODY, "stream": stream}).encode()

    async def ask(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(self.body)}\r\n\r\n"
        )
        self.writer.write(head.encode() + self.body)
        await self.writer.drain()

    async def read_until(self, text: bytes) -> None:
        await self.reader.readuntil(text)

    async def leave(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


def both_hang(upstream: Upstream) -> None:
    upstream.behave("first", Behaviour(hang="before_headers"))
    upstream.behave("cheap", Behaviour(hang="before_headers"))


async def asked(upstream: Upstream, *names: str) -> None:
    await upstream.until(lambda: all(upstream.calls(name) for name in names))


async def waiting(service: Service, many: int) -> None:
    """Until so many requests stand in the queue."""
    while service.router.health()["queue"]["waiting"] != many:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)


async def nothing_is_left(service: Service, upstream: Upstream) -> None:
    """No race, no place taken, no call; the request is in the log."""
    await upstream.until(lambda: upstream.concurrent == 0)
    await settled(service)
    assert service.router.services.races == {}
    assert service.router.health()["races"]["running"] == 0
    assert service.router.health()["queue"]["waiting"] == 0


@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_before_the_first_token_ends_both_calls(
    stream: bool, service: Service, upstream: Upstream
) -> None:
    both_hang(upstream)
    caller = Caller(service, stream=stream)
    await caller.ask()
    await asked(upstream, "first", "cheap")
    await caller.leave()
    await upstream.until(lambda: upstream.aborted == 2)
    await nothing_is_left(service, upstream)
    (row,) = await service.router.interactions()
    assert not row["success"]
    assert {a["outcome"] for a in row["attempts"]} == {"cancelled"}


async def test_leaving_in_mid_stream_ends_both_calls(service: Service, upstream: Upstream) -> None:
    upstream.behave("first", Behaviour(tokens=9, stall_after=3))
    upstream.behave("cheap", Behaviour(hang="after_headers"))
    caller = Caller(service, stream=True)
    await caller.ask()
    await caller.read_until(b"word2")
    await asked(upstream, "first", "cheap")
    await caller.leave()
    await upstream.until(lambda: upstream.aborted == 2)
    await nothing_is_left(service, upstream)


async def test_leaving_the_queue_gives_the_place_to_the_next(
    serve: Serve, settings: Make, upstream: Upstream
) -> None:
    service = await serve(settings(admission={"races": 1, "queue": 5}))
    gate = asyncio.Event()
    upstream.behave("first", Behaviour(gates={-1: gate}), Behaviour(text="Served"))
    client = await service.client()
    first = asyncio.create_task(client.chat.completions.create(**BODY))
    await asked(upstream, "first")
    impatient = Caller(service, stream=False)
    await impatient.ask()
    await waiting(service, 1)
    second = asyncio.create_task(client.chat.completions.create(**BODY))
    await waiting(service, 2)
    await impatient.leave()
    await waiting(service, 1)
    gate.set()
    assert (await first).model == "first"
    assert (await second).choices[0].message.content == "Served"
    assert len(upstream.calls("first")) == 2


async def test_many_that_leave_take_everything_with_them(
    service: Service, upstream: Upstream
) -> None:
    both_hang(upstream)
    callers = [Caller(service, stream=bool(i % 2)) for i in range(50)]
    before = {t.get_name() for t in asyncio.all_tasks()}
    for caller in callers:
        await caller.ask()
    await upstream.until(lambda: upstream.concurrent == 100, within_s=20)
    for caller in callers:
        await caller.leave()
    await upstream.until(lambda: upstream.aborted == 100, within_s=20)
    await nothing_is_left(service, upstream)
    await asyncio.sleep(0)
    left = {t.get_name() for t in asyncio.all_tasks()} - before
    assert not [name for name in left if not name.startswith("Task-")]


async def test_a_client_that_closes_after_the_end_loses_nothing(
    service: Service, upstream: Upstream
) -> None:
    caller = Caller(service, stream=True)
    await caller.ask()
    await caller.read_until(b"[DONE]")
    await caller.leave()
    await nothing_is_left(service, upstream)
    (row,) = await service.router.interactions()
    assert row["success"]
