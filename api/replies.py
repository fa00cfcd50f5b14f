"""Delivers one answer: in one piece, streamed as it comes, or streamed once it is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Protocol

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.access import caller
from api.connection import Out, Presence, SlowReaderError
from api.errors import Problem, crashed, problem_of, stopping
from api.parsing import Asked
from config.errors import NoAnswerError, RouterError
from graph.asked import Target
from graph.router import Router
from graph.runs import LAST
from providers.base import Logprob
from providers.messages import ToolCall
from race.events import CallPiece, Event, Thought, Token, ToolCalls
from race.rendezvous import cancel
from race.state import Answer

logger = structlog.get_logger()


SENT = frozenset({"token", "tool_calls", "reasoning", "switched", *LAST})
"""The events that a live stream is made of."""


class Writer(Protocol):
    """How a dialect serialises one answer: in one piece, or as the server-sent events of a stream.

    `speaker` names the provider of a piece.
    """

    @property
    def keep_alive(self) -> bytes:
        """An event without content while the answer is in progress."""
        ...

    def whole(self, answer: Answer) -> bytes:
        """The body of an answer that is not streamed."""
        ...

    def start(self, speaker: str) -> bytes: ...

    def text(self, text: str, speaker: str, chances: Sequence[Logprob] = ()) -> bytes:
        """A piece of the answer, with the log probabilities of its tokens."""
        ...

    def reasoning(self, text: str, speaker: str) -> bytes: ...

    def calls(self, pieces: Sequence[CallPiece], speaker: str) -> bytes: ...

    def end(self, answer: Answer) -> bytes:
        """Everything after the last piece of a complete answer."""
        ...

    def failed(self, problem: Problem) -> bytes:
        """Everything after the last piece of an answer that broke off."""
        ...


def reply(
    router: Router,
    asked: Asked,
    target: Target,
    writer: Writer,
    request: Request,
    keep_alive_s: float,
) -> Reply:
    """The answer to a request, in the writer's dialect and as the request wants it delivered."""
    request_id = request.state.request_id
    live = asked.stream and router.settings.api.deliver == "live"
    events = router.stream(
        category=target.category,
        provider=target.provider,
        messages=asked.messages,
        options={**asked.options, "caller": caller(request) + asked.options.get("caller", "")},
        wishes=target.wishes(asked.wishes),
        request_id=request_id,
        rewindable=not live,
        wanted=SENT if live else LAST,
    )
    if not asked.stream:
        return WholeReply(events, writer, request_id)
    if live:
        return LiveReply(events, writer, request_id)
    return SafeReply(events, writer, request_id, keep_alive_s=keep_alive_s)


class Reply(Response):
    """One request's response. Each subclass determines how it waits and what it sends.

    A client's disconnection closes the events, and with them both upstream calls. What follows
    `answered` (a reranking) is awaited after the answer was sent.
    """

    def __init__(self, events: AsyncGenerator[Event], writer: Writer, request_id: str) -> None:
        super().__init__()
        self.events = events
        self.writer = writer
        self.request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.events):
            last: Answer | None = None
            async with Presence(receive) as client:
                last = await self.wait(send)
            if client.left or last is None:
                return
            await self.finish(last, scope, receive, send)
            async for _ in self.events:
                pass

    async def wait(self, send: Send) -> Answer:
        """The answer, once it is in the log; anything that may be sent earlier is sent
        meanwhile."""
        raise NotImplementedError

    async def finish(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError

    async def answered(self) -> Answer:
        """Consume events until the answer is there."""
        async for event in self.events:
            if event["type"] == "answered":
                return Answer.from_dict(event["answer"])
        raise RuntimeError("the graph ended without an answer")


class WholeReply(Reply):
    """Not streamed: one JSON object."""

    async def wait(self, send: Send) -> Answer:
        return await self.answered()

    async def finish(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        if not answer.success:
            response = problem_of(nobody(answer)).response()
        else:
            response = Response(self.writer.whole(answer), media_type="application/json")
        await response(scope, receive, send)


class StreamReply(Reply):
    """Streamed as server-sent events; the first is sent once a failure is no longer expected.

    A failure after that ends the stream with an error event, so that what was sent never looks like
    a complete answer.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.out = Out(send)
        try:
            await super().__call__(scope, receive, send)
        except SlowReaderError:
            logger.info("client_does_not_read", request=self.request_id)
        except BaseException as error:
            if not self.out.open:
                raise
            await self.out.end(self.writer.failed(self._problem(error)))
            if isinstance(error, asyncio.CancelledError):
                raise

    async def finish(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        if answer.success:
            await self.out.end(self.rest(answer) + self.writer.end(answer))
        elif self.out.open:
            await self.out.end(self.writer.failed(problem_of(nobody(answer))))
        else:
            await problem_of(nobody(answer)).response()(scope, receive, send)

    def rest(self, answer: Answer) -> bytes:
        """The part of the answer that was not sent yet."""
        speaker, writer = str(answer.provider), self.writer
        begun = writer.start(speaker)
        thoughts = writer.reasoning(answer.reasoning, speaker) if answer.reasoning else b""
        said = answer.text or answer.logprobs
        text = writer.text(answer.text, speaker, answer.logprobs) if said else b""
        calls = answer.tool_calls and writer.calls(_pieces(answer.tool_calls), speaker)
        return begun + thoughts + text + (calls or b"")

    def _problem(self, error: BaseException) -> Problem:
        if isinstance(error, RouterError):
            return problem_of(error)
        if isinstance(error, asyncio.CancelledError):
            return stopping()
        logger.error("request_crashed", request=self.request_id, exc_info=error)
        return crashed(self.request_id)


class LiveReply(StreamReply):
    """`deliver: live`: each token as it comes."""

    measured = 0
    """Number of log probabilities sent."""

    async def wait(self, send: Send) -> Answer:
        async for event in self.events:
            if event["type"] in ("token", "tool_calls", "reasoning"):
                begun = b"" if self.out.open else self.writer.start(event["provider"])
                await self.out.write(begun + self._piece(event))
            elif event["type"] == "answered":
                return Answer.from_dict(event["answer"])
            elif event["type"] == "switched" and event["discard"]:
                raise RuntimeError("text that was sent cannot be withdrawn")
        raise RuntimeError("the graph ended without an answer")

    def _piece(self, event: Token | ToolCalls | Thought) -> bytes:
        speaker = event["provider"]
        if event["type"] == "tool_calls":
            return self.writer.calls(event["calls"], speaker)
        if event["type"] == "reasoning":
            return self.writer.reasoning(event["text"], speaker)
        chances = event.get("logprobs", ())
        self.measured += len(chances)
        return self.writer.text(event["text"], speaker, chances)

    def rest(self, answer: Answer) -> bytes:
        if not self.out.open:
            return super().rest(answer)
        left = answer.logprobs[
            self.measured :
        ]  # log probabilities of tool calls and of special tokens
        return self.writer.text("", str(answer.provider), left) if left else b""


class SafeReply(StreamReply):
    """`deliver: complete`: nothing before the whole answer is available, except keep-alives.

    The first keep-alive commits the stream to status 200; a failure after it is an error event.
    """

    def __init__(
        self,
        events: AsyncGenerator[Event],
        writer: Writer,
        request_id: str,
        *,
        keep_alive_s: float,
    ) -> None:
        super().__init__(events, writer, request_id)
        self.keep_alive_s = keep_alive_s

    async def wait(self, send: Send) -> Answer:
        reading = asyncio.create_task(self.answered(), name=f"reading-{self.request_id}")
        try:
            while not (await asyncio.wait({reading}, timeout=self.keep_alive_s))[0]:
                await self.out.write(self.writer.keep_alive)
            return reading.result()
        finally:
            await cancel(reading)


def _pieces(calls: Sequence[ToolCall]) -> list[CallPiece]:
    """Complete calls as one fragment each."""
    return [
        CallPiece(
            index=index,
            id=call["id"],
            name=call["function"]["name"],
            arguments=call["function"]["arguments"],
        )
        for index, call in enumerate(calls)
    ]


def nobody(answer: Answer) -> NoAnswerError:
    return NoAnswerError(answer.error or "no provider answered", answer)
