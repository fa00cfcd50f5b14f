"""A loopback, OpenAI-compatible server that misbehaves on command.

    async with Upstream() as upstream:
        upstream.behave("llama", Behaviour(ttft_s=0.05, tokens=30))      # from now on
        upstream.behave("flaky", Behaviour(status=500), Behaviour())     # once, then healthy
        upstream.behave("flap", FAULTS["503"], Behaviour(), cycle=True)  # again and again
        upstream.enqueue(FAULTS["reset"])                                # the next call
        ...
        await upstream.until(lambda: upstream.aborted == 1)
        upstream.calls("llama")[0].body["messages"]

In a thread, for callers that block or keep the loop busy: `with Upstream.in_thread() as upstream`.
As a process, for benchmarks: `python -m tests.upstream --behaviour '{"ttft_s": 0.05}'` prints its
base URL and serves until its standard input closes.

It serves `POST …/chat/completions`, streaming and not, and `GET …/models`. A request whose client
went away before the response was complete counts as aborted. Everything is counted; nothing sleeps
unless a behaviour says so, and a `gate` lets a test hold a token back until it sets the event.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

from tests import scripted_model
from tests.scripted_model import Called
from tests.upstream_wire import Connection, Exchange

HTML_PAGE = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Behaviour:
    """How one call is answered; the defaults are a healthy host with five tokens at once."""

    text: str | None = None
    """The answer, sent word by word; None: `tokens` numbered words."""
    tokens: int = 5
    reasoning: tuple[str, ...] = ()
    """Deltas of `reasoning_field`, sent before the content."""
    reasoning_field: str = "reasoning_content"

    header_delay_s: float = 0.0
    ttft_s: float = 0.0
    """From the headers to the first token."""
    token_s: float = 0.0
    """Between two tokens."""
    gates: dict[int, asyncio.Event] = field(default_factory=dict)
    """Token index to the event that it waits for; -1 holds the headers back, `tokens` the end."""

    status: int = 200
    body: str | dict[str, Any] | None = None
    """Sent instead of an answer, with `status`; None and an error status: OpenAI's error object."""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str | None = None
    raw: bytes | None = None
    """The whole stream, byte for byte, instead of events made here."""
    paced: tuple[tuple[float, bytes], ...] = ()
    """The same in pieces, each after so many seconds; `cut` says how it ends, `linger` that it does
    not."""

    hang: Literal["before_headers", "after_headers"] | None = None
    reset: bool = False
    """TCP reset before the headers."""
    hang_up: bool = False
    """The connection is closed in good order before the headers."""
    cut_after: int | None = None
    """Break the connection after so many tokens, in the way of `cut`."""
    cut: Literal["rst", "close", "end"] = "rst"
    """A reset; a close in mid-body; or a well-formed end of the body without the stream's own."""
    stall_after: int | None = None
    """Silence after so many tokens, until the client leaves."""
    malformed_after: int | None = None
    error_after: int | None = None
    """A `data: {"error": …}` event (`error_body`) after so many tokens, then the end."""
    error_body: dict[str, Any] | None = None
    endless: bool = False
    """Repeats the answer until the client leaves."""

    done: bool = True
    finish_reason: str | None = "stop"
    usage: bool = True
    usage_with_finish: bool = False
    """Usage in the same event as finish_reason, rather than in one of its own after it."""
    linger: bool = False
    """After the last event the connection stays open and the body unfinished."""

    newline: str = "\n"
    comments: bool = False
    """Keep-alive comments between the events."""
    piece: int | None = None
    """Write the stream in pieces of so many bytes, regardless of events."""
    ignores_stream: bool = False
    """Answers a streaming request with one JSON object."""
    rejects: tuple[str, ...] = ()
    """Parameters refused with 400; `prefill`, `two_systems` and `images` refuse what their names
    say."""
    logprobs: bool = False
    """Sends one for each word where they are asked for; each is as long as its word, negated."""
    capable: bool = False
    """Follows tools, formats and pictures: see `tests.scripted_model`."""
    calls: tuple[tuple[str, str], ...] = ()
    """After the text, calls of these tools with these arguments, whatever the request offers."""

    def words(self) -> list[str]:
        if self.text is None:
            return [f"word{i} " for i in range(self.tokens)]
        return _words(self.text)


def _words(text: str) -> list[str]:
    pieces = text.split(" ")
    return [f"{word} " for word in pieces[:-1]] + pieces[-1:] if text else []


def error_body(message: str, kind: str, code: str | int | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


CONTEXT_LENGTH = error_body(
    "This model's maximum context length is 2048 tokens.",
    "invalid_request_error",
    "context_length_exceeded",
)
CONTENT_FILTER = error_body(
    "The response was filtered due to the prompt triggering the content management policy.",
    "invalid_request_error",
    "content_filter",
)

FAULTS: dict[str, Behaviour] = {
    "429 with Retry-After": Behaviour(status=429, headers={"retry-after": "5"}),
    "429": Behaviour(status=429),
    "500": Behaviour(status=500),
    "503": Behaviour(status=503),
    "401": Behaviour(status=401),
    "404": Behaviour(status=404),
    "reset": Behaviour(reset=True),
    "hang before headers": Behaviour(hang="before_headers"),
    "hang after headers": Behaviour(hang="after_headers"),
    "slow first token": Behaviour(ttft_s=20),
    "cut": Behaviour(tokens=60, cut_after=40),
    "closed": Behaviour(tokens=60, cut_after=40, cut="close"),
    "ended early": Behaviour(tokens=60, cut_after=40, cut="end"),
    "stall": Behaviour(tokens=60, stall_after=20),
    "malformed event": Behaviour(tokens=60, malformed_after=20),
    "error event": Behaviour(tokens=60, error_after=20),
    "no DONE": Behaviour(done=False),
    "no finish_reason": Behaviour(finish_reason=None),
    "no usage": Behaviour(usage=False),
    "context length": Behaviour(status=400, body=CONTEXT_LENGTH),
    "content filter": Behaviour(finish_reason="content_filter", tokens=0),
    "content filter 400": Behaviour(status=400, body=CONTENT_FILTER),
    "empty": Behaviour(tokens=0),
    "endless repetition": Behaviour(text="again and again and ", endless=True, token_s=0.001),
    "10 MB": Behaviour(text="megabyte" * 1_250_000),
    "wrong content type": Behaviour(content_type="application/octet-stream"),
    "HTML page": Behaviour(body=HTML_PAGE, content_type="text/html"),
    "slow drip": Behaviour(tokens=60, token_s=1.0),
    "rejects prefill": Behaviour(rejects=("prefill",)),
    "rejects stream_options": Behaviour(rejects=("stream_options",)),
}


@dataclass(eq=False)
class Call:
    """One request as the upstream saw it."""

    model: str
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    exchange: Exchange
    at: float  # time.monotonic()
    tokens_sent: int = 0

    @property
    def outcome(self) -> str:
        """`running`, `done`, `cut` (by the upstream) or `aborted` (by the client)."""
        return self.exchange.outcome


class Upstream:
    """The server; see the module's docstring."""

    def __init__(self, *, key: str | None = None, port: int = 0) -> None:
        self.key = key
        self.default = Behaviour()
        self.models = ["llama"]
        self.log: list[Call] = []
        self.model_lists = 0  # how often /models was asked
        self.concurrent = 0
        self.max_concurrent = 0
        self.connections: set[Connection] = set()
        self.connections_made = 0
        self._port = port
        self._scripts: dict[str, Iterator[Behaviour]] = {}
        self._responders: dict[str, Callable[[Call], Behaviour]] = {}
        self._queue: deque[Behaviour] = deque()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    # scripting

    def behave(self, model: str, *behaviours: Behaviour, cycle: bool = False) -> None:
        """Answer the model's calls by these in turn; the last one stays, unless they cycle."""
        last = itertools.repeat(behaviours[-1])
        self._scripts[model] = (
            itertools.cycle(behaviours) if cycle else itertools.chain(behaviours, last)
        )
        if model not in self.models:
            self.models.append(model)

    def respond(self, model: str, script: Callable[[Call], Behaviour]) -> None:
        """Answer the model's calls by what each of them asks."""
        self._responders[model] = script
        if model not in self.models:
            self.models.append(model)

    def enqueue(self, *behaviours: Behaviour) -> None:
        """Answer the next calls, whatever their model, by these."""
        self._queue.extend(behaviours)

    # what happened

    def calls(self, model: str | None = None) -> list[Call]:
        return [call for call in self.log if model is None or call.model == model]

    @property
    def requests(self) -> int:
        return len(self.log)

    @property
    def aborted(self) -> int:
        return sum(call.outcome == "aborted" for call in self.log)

    async def until(self, condition: Callable[[], bool], within_s: float = 5.0) -> None:
        """Wait until the condition on this upstream holds; TimeoutError if it never does."""
        async with asyncio.timeout(within_s), self._changed:
            await self._changed.wait_for(condition)

    # life

    @property
    def base_url(self) -> str:
        assert self._server is not None, "the upstream is not started"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> Upstream:
        self.loop = loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connect, "127.0.0.1", self._port, backlog=2048
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self.connections):
            connection.close()
        await self._server.wait_closed()
        await asyncio.gather(*self._tasks)

    @classmethod
    @contextlib.contextmanager
    def in_thread(cls, *, key: str | None = None) -> Iterator[Upstream]:
        """The upstream on a thread and a loop of its own."""
        upstream, ready = cls(key=key), threading.Event()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            async with upstream:
                ready.set()
                await stop.wait()

        def run() -> None:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(serve())

        thread = threading.Thread(target=run, name="upstream")
        thread.start()
        ready.wait()
        try:
            yield upstream
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()

    def _connect(self) -> Connection:
        self.connections_made += 1
        return Connection(self._handle, self.connections)

    # answering

    async def _handle(self, exchange: Exchange) -> None:
        if self.key and exchange.headers.get("authorization") != f"Bearer {self.key}":
            sent = exchange.headers.get("authorization", "none")
            body = error_body(f"Incorrect API key provided: {sent}", "auth", "invalid_api_key")
            await exchange.whole(401, json.dumps(body).encode(), "application/json")
        elif exchange.path.endswith("/models"):
            self.model_lists += 1
            listed = [{"id": model, "object": "model"} for model in self.models]
            body = {"object": "list", "data": listed}
            await exchange.whole(200, json.dumps(body).encode(), "application/json")
        elif exchange.path.endswith("/chat/completions"):
            await self._chat(exchange)
        else:
            body = error_body(f"no route {exchange.path}", "invalid_request_error")
            await exchange.whole(404, json.dumps(body).encode(), "application/json")

    async def _chat(self, exchange: Exchange) -> None:
        body = json.loads(exchange.raw_body)
        model = body["model"]
        call = Call(model, exchange.path, body, exchange.headers, exchange, time.monotonic())
        self.log.append(call)
        self.concurrent += 1
        self.max_concurrent = max(self.max_concurrent, self.concurrent)
        await self._notify()
        if self._queue:
            behaviour = self._queue.popleft()
        elif responder := self._responders.get(model):
            behaviour = responder(call)
        else:
            behaviour = next(self._scripts.get(model, itertools.repeat(self.default)))
        try:
            await Answer(call, behaviour).send()
        finally:
            self.concurrent -= 1
            if not exchange.ended:
                exchange.outcome = "aborted"
            task = asyncio.get_running_loop().create_task(self._notify())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Answer:
    """One call being answered by one behaviour."""

    def __init__(self, call: Call, behaviour: Behaviour) -> None:
        self.call, self.how, self.exchange = call, behaviour, call.exchange
        self.words = behaviour.words()
        self.calls = tuple(
            Called(f"call_{index}", name, arguments)
            for index, (name, arguments) in enumerate(behaviour.calls)
        )
        if behaviour.capable and (said := scripted_model.answer(call.body)) is not None:
            self.calls, self.words = said.calls, _words(said.text)
        self.pending = b""

    @property
    def finish_reason(self) -> str | None:
        reason = self.how.finish_reason
        return "tool_calls" if self.calls and reason == "stop" else reason

    def deltas(self) -> list[dict[str, Any]]:
        """The answer in pieces, as a stream has them."""
        content: list[dict[str, Any]] = [{"content": word} for word in self.words]
        calls = (delta for index, call in enumerate(self.calls) for delta in call.deltas(index))
        return [*content, *calls]

    async def send(self) -> None:
        how, exchange = self.how, self.exchange
        await self._gate(-1)
        if how.header_delay_s:
            await asyncio.sleep(how.header_delay_s)
        if how.hang == "before_headers":
            await asyncio.Event().wait()
        if how.hang_up:
            exchange.close()
            return
        if how.reset:
            exchange.reset()
        elif (refusal := self._refusal()) is not None:
            await self._json(400, refusal)
        elif (how.status != 200 or how.body is not None) and not how.paced:
            await self._page()
        elif self.call.body.get("stream") and not how.ignores_stream:
            await self._stream()
        else:
            await self._whole()

    def _refusal(self) -> dict[str, Any] | None:
        messages = self.call.body["messages"]
        broken = {
            "prefill": messages[-1]["role"] == "assistant",
            "two_systems": sum(m["role"] == "system" for m in messages) > 1,
            "images": any(
                isinstance(m.get("content"), list)
                and any(part["type"] == "image_url" for part in m["content"])
                for m in messages
            ),
        }
        for name in self.how.rejects:
            if broken.get(name, name in self.call.body):
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                return error_body(message, "invalid_request_error", "unsupported_parameter")
        return None

    async def _page(self) -> None:
        body = self.how.body
        if body is None:
            body = error_body(f"failing with {self.how.status} as told", "server_error")
        kind = self.how.content_type or "text/plain"
        if self.how.hang == "after_headers":
            await self.exchange.head(self.how.status, kind, 2**20, self.how.headers)
            await asyncio.Event().wait()
        elif isinstance(body, dict):
            await self._json(self.how.status, body)
        else:
            await self.exchange.whole(self.how.status, body.encode(), kind, self.how.headers)

    async def _json(self, status: int, body: dict[str, Any]) -> None:
        kind = self.how.content_type or "application/json"
        await self.exchange.whole(status, json.dumps(body).encode(), kind, self.how.headers)

    async def _whole(self) -> None:
        how = self.how
        if how.hang or how.stall_after is not None or how.endless:
            await asyncio.Event().wait()
        await asyncio.sleep(how.ttft_s + how.token_s * len(self.words))
        if how.cut_after is not None:
            self.exchange.reset()
            return
        text = "".join(self.words)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if self.calls:
            message |= {"content": text or None, "tool_calls": [c.whole() for c in self.calls]}
        if how.reasoning:
            message[how.reasoning_field] = "".join(how.reasoning)
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        choice |= self._logprobs(self.words)
        body = self._envelope("chat.completion", [choice])
        if how.usage:
            body["usage"] = self._usage()
        self.call.tokens_sent = len(self.words)
        await self._json(200, body)

    def _logprobs(self, words: list[str]) -> dict[str, Any]:
        """A choice's member with those of these words, where they are asked for."""
        if not (self.how.logprobs and self.call.body.get("logprobs")):
            return {}
        top = self.call.body.get("top_logprobs", 0)
        chances = [
            {"token": w, "logprob": -float(len(w)), "bytes": list(w.encode())} for w in words
        ]
        content = [chance | {"top_logprobs": [chance] * top} for chance in chances]
        return {"logprobs": {"content": content, "refusal": None}}

    async def _stream(self) -> None:
        how, exchange = self.how, self.exchange
        kind = "text/event-stream" if how.content_type is None else how.content_type
        await exchange.head(how.status, kind, None, how.headers)
        if how.paced:
            await self._pieces()
            return
        if how.hang == "after_headers":
            await asyncio.Event().wait()
        if how.raw is not None:
            await self._write(how.raw)
            await self._end()
            return
        if how.ttft_s:
            await asyncio.sleep(how.ttft_s)
        await self._delta({"role": "assistant", "content": ""})
        for piece in how.reasoning:
            await self._delta({how.reasoning_field: piece})
        deltas = self.deltas()
        for index, delta in enumerate(itertools.cycle(deltas) if how.endless else deltas):
            if not await self._before(index):
                return
            await self._delta(delta, **self._logprobs([delta.get("content") or ""]))
            self.call.tokens_sent = index + 1
        if await self._before(len(deltas)):
            await self._trailer()

    async def _pieces(self) -> None:
        for after_s, piece in self.how.paced:
            if after_s:
                await asyncio.sleep(after_s)
            await self.exchange.chunk(piece)
        if self.how.linger:
            await asyncio.Event().wait()
        if self.how.cut == "end":
            await self.exchange.end_chunks()
        else:
            await self._break()

    async def _before(self, index: int) -> bool:
        """What happens before the token of that index; False when the stream is over."""
        how = self.how
        await self._gate(index)
        if how.stall_after == index:
            await self._flush()
            await asyncio.Event().wait()
        if how.cut_after == index:
            await self._break()
            return False
        if how.error_after == index:
            event = how.error_body or error_body("overloaded as told", "server_error", 503)
            await self._event(json.dumps(event))
            await self._end()
            return False
        if how.malformed_after == index:
            await self._event('{"choices": [{"delta": {"content": "bro')
        if how.token_s and 0 < index < len(self.words) + len(self.calls):
            await asyncio.sleep(how.token_s)
        return True

    async def _break(self) -> None:
        await self._flush()
        if self.how.cut == "rst":
            self.exchange.reset()
        elif self.how.cut == "close":
            self.exchange.close()
        else:
            await self.exchange.end_chunks()

    async def _trailer(self) -> None:
        how = self.how
        wanted = (self.call.body.get("stream_options") or {}).get("include_usage")
        if how.finish_reason is not None:
            choice = {"index": 0, "delta": {}, "finish_reason": self.finish_reason}
            event = self._envelope("chat.completion.chunk", [choice])
            if how.usage and how.usage_with_finish:
                event["usage"] = self._usage()
            await self._event(json.dumps(event))
        if how.usage and wanted and not how.usage_with_finish:
            event = self._envelope("chat.completion.chunk", [])
            await self._event(json.dumps({**event, "usage": self._usage()}))
        if how.done:
            await self._event("[DONE]")
        await self._end()

    async def _end(self) -> None:
        await self._flush()
        if self.how.linger:
            self.exchange.finish()
            await asyncio.Event().wait()
        await self.exchange.end_chunks()

    def _envelope(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        model = self.call.model
        return {
            "id": "chatcmpl-1",
            "object": kind,
            "created": 1,
            "model": model,
            "choices": choices,
        }

    def _usage(self) -> dict[str, int]:
        prompt = sum(len(str(m.get("content")).split()) for m in self.call.body["messages"])
        out = len(self.deltas())
        return {"prompt_tokens": prompt, "completion_tokens": out, "total_tokens": prompt + out}

    async def _delta(self, delta: dict[str, Any], **more: Any) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": None, **more}
        await self._event(json.dumps(self._envelope("chat.completion.chunk", [choice])))

    async def _event(self, data: str) -> None:
        end = self.how.newline
        comment = f": keep-alive{end}{end}" if self.how.comments else ""
        await self._write(f"{comment}data: {data}{end}{end}".encode())

    async def _write(self, data: bytes) -> None:
        if self.how.piece is None:
            await self.exchange.chunk(data)
            return
        self.pending += data
        while len(self.pending) >= self.how.piece:
            await self.exchange.chunk(self.pending[: self.how.piece])
            self.pending = self.pending[self.how.piece :]
            await asyncio.sleep(0)  # let the piece go out on its own

    async def _flush(self) -> None:
        if self.pending:
            await self.exchange.chunk(self.pending)
            self.pending = b""

    async def _gate(self, index: int) -> None:
        if index in self.how.gates:
            await self.how.gates[index].wait()


async def _main() -> None:
    parser = argparse.ArgumentParser(description="Serve a misbehaving OpenAI-compatible upstream.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--behaviour", type=json.loads, default={}, help="JSON, for every model")
    parser.add_argument("--models", type=json.loads, default={}, help="JSON: model to behaviour")
    args = parser.parse_args()
    async with Upstream(port=args.port) as upstream:
        upstream.default = Behaviour(**args.behaviour)
        for model, behaviour in args.models.items():
            upstream.behave(model, Behaviour(**behaviour))
        print(upstream.base_url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
