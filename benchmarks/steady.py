"""An upstream that costs little, so that what is measured is its clients: every call is answered
with a stream: headers at once, the first of 30 tokens after 50 ms, the last after 200 ms; or, where
no stream is asked for, with the whole after 200 ms.

    python -m benchmarks.steady [--first SECONDS] [--all SECONDS] [--errors SHARE]

`--errors` is the share of calls that end in HTTP 500 at once. It prints its base URL and serves
until standard input ends. `tests.upstream` can do far more, but takes as much of a core for a
stream as a client does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from typing import Any, cast

TOKENS = 30
FIRST_S, ALL_S = 0.05, 0.2


def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
    """One server-sent event as a chunk of HTTP's chunked transfer coding."""
    envelope = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "any"}
    data = f"data: {json.dumps({**envelope, 'choices': choices, **more})}\n\n"
    return chunk(data)


def chunk(data: str) -> bytes:
    return f"{len(data):x}\r\n{data}\r\n".encode()


def delta(finish: str | None = None, **content: str) -> dict[str, Any]:
    return {"index": 0, "delta": content, "finish_reason": finish}


HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + event([delta(role="assistant", content="")])
)
USAGE = {"prompt_tokens": 50, "completion_tokens": TOKENS, "total_tokens": 50 + TOKENS}
END = event([delta("stop")]) + event([], usage=USAGE) + chunk("data: [DONE]\n\n") + b"0\r\n\r\n"
STREAM = [event([delta(content=f"word{index} ")]) for index in range(TOKENS)]
STREAM[-1] += END


def response(status: str, body: dict[str, Any]) -> bytes:
    written = json.dumps(body)
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(written)}\r\n\r\n{written}".encode()


TEXT = "".join(f"word{index} " for index in range(TOKENS))
WHOLE = response(
    "200 OK",
    {
        **{"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "any"},
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": TEXT},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    },
)
ERROR = response("500 Internal Server Error", {"error": {"message": "it failed", "type": "server"}})


class Connection(asyncio.Protocol):
    """Reads a request at a time, whatever it says, and answers it with the stream."""

    def __init__(self, first_s: float, all_s: float, errors: float, draw: random.Random) -> None:
        self.first_s, self.gap_s = first_s, (all_s - first_s) / (TOKENS - 1)
        self.all_s, self.errors, self.draw = all_s, errors, draw

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.loop = asyncio.get_running_loop()
        self.received = b""
        self.timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if found and len(body) >= self._length(head):
            self.received = b""
            self._answer(stream=b'"stream": true' in body or b'"stream":true' in body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def _answer(self, *, stream: bool) -> None:
        if self.draw.random() < self.errors:
            self.transport.write(ERROR)
        elif stream:
            self.transport.write(HEAD)
            self.at, self.sent = self.loop.time() + self.first_s, 0
            self.timer = self.loop.call_at(self.at, self._send)
        else:
            self.timer = self.loop.call_later(self.all_s, self.transport.write, WHOLE)

    def _length(self, head: bytes) -> int:
        fields = (line.partition(b":") for line in head.lower().splitlines())
        return next((int(value) for name, _, value in fields if name == b"content-length"), 0)

    def _send(self) -> None:
        self.transport.write(STREAM[self.sent])
        self.sent += 1
        if self.sent < TOKENS:
            self.timer = self.loop.call_at(self.at + self.sent * self.gap_s, self._send)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=float, default=FIRST_S)
    parser.add_argument("--all", type=float, default=ALL_S)
    parser.add_argument("--errors", type=float, default=0.0)
    args = parser.parse_args()
    loop, draw = asyncio.get_running_loop(), random.Random(1)
    server = await loop.create_server(
        lambda: Connection(args.first, args.all, args.errors, draw), "127.0.0.1", 0, backlog=2048
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
