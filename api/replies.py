"""How one answer travels: whole, streamed as it comes, or streamed once it is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.completion import KEEP_ALIVE, Chunks, completion
from api.connection import Out, Presence, SlowReaderError
from api.errors import Problem, crashed, problem_of, stopping
from api.parsing import Asked
from config.errors import NoAnswerError, RouterError
from race.events import Event, Thought, Token, ToolCalls
from race.rendezvous import cancel
from race.state import Answer

logger = structlog.get_logger()


class Reply(Response):
    """One request's answer. Each kind says how it waits and what it sends.

    A client that leaves closes the events, and with them both calls upstream. What follows
    `answered` (a reranking) is waited for once the answer is out.
    """

    def __init__(self, events: AsyncGenerator[Event], asked: Asked, request_id: str) -> None:
        super().__init__()
        self.events = events
        self.asked = asked
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
        """The answer, once it is in the log; what may be sent before is sent meanwhile."""
        raise NotImplementedError

    async def finish(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError

    async def answered(self) -> Answer:
        """Let all events pass until the answer is there."""
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
            body = completion(answer, self.asked.prompt, self.asked.ignored)
            response = Response(body, media_type="application/json")
        await response(scope, receive, send)


class StreamReply(Reply):
    """Streamed: server-sent events, whose first is sent when a failure is no longer expected.

    A failure after that ends the stream with an error event, so that what was sent is never taken
    for a complete answer.
    """

    def __init__(self, events: AsyncGenerator[Event], asked: Asked, request_id: str) -> None:
        super().__init__(events, asked, request_id)
        self.chunks = Chunks(request_id, include_usage=asked.include_usage, ignored=asked.ignored)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.out = Out(send)
        try:
            await super().__call__(scope, receive, send)
        except SlowReaderError:
            logger.info("client_does_not_read", request=self.request_id)
        except BaseException as error:
            if not self.out.open:
                raise
            await self.out.end(self._problem(error).event())
            if isinstance(error, asyncio.CancelledError):
                raise

    async def finish(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        if answer.success:
            await self.out.end(self.rest(answer) + self.chunks.end(answer, self.asked.prompt))
        elif self.out.open:
            await self.out.end(problem_of(nobody(answer)).event())
        else:
            await problem_of(nobody(answer)).response()(scope, receive, send)

    def rest(self, answer: Answer) -> bytes:
        """The chunks of the answer that were not sent yet."""
        speaker = str(answer.provider)
        chunks = self.chunks
        thoughts = chunks.reasoning(answer.reasoning, speaker) if answer.reasoning else b""
        chances = answer.logprobs
        said = answer.text or chances
        text = chunks.text(answer.text, speaker, chances) if said else b""
        calls = chunks.whole_calls(answer.tool_calls, speaker)
        return chunks.role(speaker) + thoughts + text + calls

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
    """Log probabilities that were sent."""

    async def wait(self, send: Send) -> Answer:
        async for event in self.events:
            if event["type"] == "token":
                chances = event.get("logprobs", ())
                self.measured += len(chances)
                piece = self.chunks.text(event["text"], event["provider"], chances)
                await self._show(piece, event)
            elif event["type"] == "tool_calls":
                await self._show(self.chunks.calls(event["calls"], event["provider"]), event)
            elif event["type"] == "reasoning":
                await self._show(self.chunks.reasoning(event["text"], event["provider"]), event)
            elif event["type"] == "answered":
                return Answer.from_dict(event["answer"])
            elif event["type"] == "switched" and event["discard"]:
                raise RuntimeError("text that was sent cannot be taken back")
        raise RuntimeError("the graph ended without an answer")

    async def _show(self, piece: bytes, event: Token | ToolCalls | Thought) -> None:
        if not self.out.open:
            piece = self.chunks.role(event["provider"]) + piece
        await self.out.write(piece)

    def rest(self, answer: Answer) -> bytes:
        if not self.out.open:
            return super().rest(answer)
        left = answer.logprobs[self.measured :]  # those of calls of tools, and of marks
        return self.chunks.text("", str(answer.provider), left) if left else b""


class SafeReply(StreamReply):
    """`deliver: complete`: nothing before the whole answer is there, save signs of life.

    The first of these commits the stream to status 200; a failure after it is an error event.
    """

    def __init__(
        self,
        events: AsyncGenerator[Event],
        asked: Asked,
        request_id: str,
        *,
        keep_alive_s: float,
    ) -> None:
        super().__init__(events, asked, request_id)
        self.keep_alive_s = keep_alive_s

    async def wait(self, send: Send) -> Answer:
        reading = asyncio.create_task(self.answered(), name=f"reading-{self.request_id}")
        try:
            while not (await asyncio.wait({reading}, timeout=self.keep_alive_s))[0]:
                await self.out.write(KEEP_ALIVE)
            return reading.result()
        finally:
            await cancel(reading)


def nobody(answer: Answer) -> NoAnswerError:
    return NoAnswerError(answer.error or "no provider answered", answer)
