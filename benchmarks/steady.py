"""An upstream that costs little, so that what is measured is its clients: every call is answered
with a stream: headers at once, the first of 30 tokens after 50 ms, the last after 200 ms.

    python -m benchmarks.steady

prints its base URL and serves until standard input ends. `tests.upstream` can do far more, but
takes as much of a core for a stream as a client does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

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
GAP_S = (ALL_S - FIRST_S) / (TOKENS - 1)


class Connection(asyncio.Protocol):
    """Reads a request at a time, whatever it says, and answers it with the stream."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.loop = transport, asyncio.get_running_loop()
        self.received = b""
        self.timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if found and len(body) >= self._length(head):
            self.received = b""
            self.transport.write(HEAD)
            self.at, self.sent = self.loop.time() + FIRST_S, 0
            self.timer = self.loop.call_at(self.at, self._send)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def _length(self, head: bytes) -> int:
        fields = (line.partition(b":") for line in head.lower().splitlines())
        return next((int(value) for name, _, value in fields if name == b"content-length"), 0)

    def _send(self) -> None:
        self.transport.write(STREAM[self.sent])
        self.sent += 1
        if self.sent < TOKENS:
            self.timer = self.loop.call_at(self.at + self.sent * GAP_S, self._send)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
