"""How an answer travels, over scripted events and a bare ASGI connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import Message

from api.chat import Chunks
from api.connection import Out, SlowReaderError
from api.parsing import Asked
from api.replies import LiveReply, Reply, WholeReply
from config.errors import OverloadedError
from race.rendezvous import Event
from race.state import Answer

ASKED = Asked(
    "auto", [{"role": "user", "content": "Hello"}], {}, {}, stream=True, include_usage=False
)
TOKEN: Event = {"type": "token", "text": "Hi", "provider": "first", "role": "primary"}
ANSWERED: Event = {
    "type": "answered",
    "answer": Answer(
        request_id="request",
        text="Hi",
        category="general",
        confidence=0.5,
        provider="first",
        model="first",
        role="primary",
        attempts=[],
        cost_usd=0.0,
        latency_ms=1.0,
        ttft_ms=1.0,
    ).as_dict(),
}


class Script:
    """Events in turn, then an error or the end; says whether they were closed."""

    def __init__(self, *events: Event, error: BaseException | None = None) -> None:
        self.events = events
        self.error = error
        self.given = 0
        self.closed = False

    async def play(self) -> AsyncGenerator[Event]:
        try:
            for event in self.events:
                self.given += 1
                yield event
            if self.error:
                raise self.error
        finally:
            self.closed = True


class Connection:
    """A client that stays; what it was sent, and how much of the script was played by then."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.messages: list[tuple[int, Message]] = []

    async def receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Message) -> None:
        self.messages.append((self.script.given, message))

    @property
    def body(self) -> str:
        return b"".join(m.get("body", b"") for _, m in self.messages).decode()

    @property
    def last(self) -> dict[str, Any]:
        """The last event of the stream, parsed."""
        last: dict[str, Any] = json.loads(self.body.strip().rpartition("data: ")[2])
        return last


async def run(kind: type[Reply], script: Script) -> Connection:
    connection = Connection(script)
    scope = {"type": "http", "method": "POST", "path": "/", "headers": []}
    reply = kind(script.play(), Chunks("request", ASKED), "request")
    try:
        await reply(scope, connection.receive, connection.send)
    finally:
        assert script.closed
    return connection


@pytest.mark.parametrize("kind", [LiveReply, WholeReply])
async def test_the_caller_does_not_wait_for_what_follows_the_answer(kind: type[Reply]) -> None:
    reranked: Event = {"type": "reranked"}
    script = Script(TOKEN, ANSWERED, reranked)
    connection = await run(kind, script)
    played, last = connection.messages[-1]
    assert not last.get("more_body", False)
    assert played == 2
    assert script.given == 3


async def test_a_bug_in_mid_stream_ends_it_with_an_error() -> None:
    connection = await run(LiveReply, Script(TOKEN, error=KeyError("bug")))
    assert connection.last["error"]["code"] == "internal_error"
    assert "request" in connection.last["error"]["message"]
    assert "KeyError" not in connection.body
    assert "[DONE]" not in connection.body


async def test_an_error_of_ours_in_mid_stream_ends_it_with_that_error() -> None:
    connection = await run(LiveReply, Script(TOKEN, error=OverloadedError("too many", 1.0)))
    assert connection.last["error"]["code"] == "overloaded"


async def test_an_error_before_the_first_token_can_still_have_its_status() -> None:
    script = Script(error=OverloadedError("too many", 1.0))
    with pytest.raises(OverloadedError):
        await run(LiveReply, script)


async def test_text_that_was_sent_is_never_taken_back() -> None:
    switched: Event = {"type": "switched", "discard": 2, "to": "fallback", "reason": "failed"}
    connection = await run(LiveReply, Script(TOKEN, switched, ANSWERED))
    assert "error" in connection.last


async def test_a_client_that_does_not_read_is_let_go() -> None:
    async def never(message: Message) -> None:
        await asyncio.Event().wait()

    out = Out(never, patience_s=0)
    with pytest.raises(SlowReaderError):
        await out.write(b"data")
    assert not out.open
