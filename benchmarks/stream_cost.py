"""What reading one stream of 50 tokens costs: ours beside the clients that it replaces.

    python -m benchmarks.stream_cost

The upstream is a process of its own, so that the CPU counted is the reader's alone; it sends a
token every two milliseconds, for what comes together is cheaper to read.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

from config.hosts import Host, Provider
from providers.base import Message
from providers.openai_chat import OpenAIChat
from providers.pool import FixedEndpoint, Pool

TOKENS = 50
CALLS = 50
HELLO = [Message(role="user", content="Hello")]


async def compare(url: str) -> None:
    """Print CPU and wall time a stream for each reader, twice in turn against drift."""
    host = Host(url=url)
    pool = Pool("upstream", host)
    chat = OpenAIChat(
        Provider(name="llama", host="upstream", model="llama", resolved_model="llama"),
        pool,
        FixedEndpoint(host),
    )
    model = chat.chat_model
    client = model.root_async_client  # type: ignore[attr-defined]

    async def ours() -> int:
        return words([delta.text async for delta in chat.stream(HELLO)])

    async def chat_openai() -> int:
        return words([str(chunk.content) async for chunk in model.astream("Hello")])

    async def openai() -> int:
        chunks = await client.chat.completions.create(model="llama", messages=HELLO, stream=True)
        return words([chunk.choices[0].delta.content or "" async for chunk in chunks])

    readers = {"ours": ours, "ChatOpenAI.astream": chat_openai, "openai client": openai}
    for _ in range(2):
        for name, read in readers.items():
            await _measure(name, read)
    await pool.close()


def words(texts: list[str]) -> int:
    """The upstream's tokens are words."""
    return len("".join(texts).split())


async def _measure(name: str, read: Callable[[], Awaitable[int]]) -> None:
    assert await read() == TOKENS, f"{name} did not read every token"
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(CALLS):
        await read()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{name:20} CPU {cpu / CALLS * 1e3:6.2f} ms   wall {wall / CALLS * 1e3:6.2f} ms")


def main() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.upstream",
        "--behaviour",
        json.dumps({"tokens": TOKENS, "token_s": 0.002}),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        asyncio.run(compare(up.stdout.readline().strip()))
        up.communicate()


if __name__ == "__main__":
    main()
