"""Noticing that a client left."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from api.connection import Presence


class Connection:
    """What ASGI's `receive` says of a client that leaves when told to."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def receive(self) -> Message:
        await self.closed.wait()
        return {"type": "http.disconnect"}


async def test_the_body_runs_to_its_end_while_the_client_stays() -> None:
    async with Presence(Connection().receive) as client:
        await asyncio.sleep(0)
    assert not client.left


async def test_the_body_ends_where_it_waits_when_the_client_leaves() -> None:
    connection = Connection()
    asyncio.get_running_loop().call_soon(connection.closed.set)
    async with Presence(connection.receive) as client:
        await asyncio.Event().wait()
    assert client.left
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_the_servers_own_cancellation_passes_through() -> None:
    inside = asyncio.Event()

    async def answer() -> None:
        async with Presence(Connection().receive):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(answer())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_in_the_body_passes_through() -> None:
    with pytest.raises(KeyError):
        async with Presence(Connection().receive):
            raise KeyError


async def test_nothing_is_left_running() -> None:
    before = asyncio.all_tasks()
    async with Presence(Connection().receive):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
