"""LangChain's `with_fallbacks` behind OpenAI's route, served as the router is: uvicorn, uvloop,
httptools, orjson, and the openai client on aiohttp, its fastest.

    python -m benchmarks.langchain_server PRIMARY_URL FALLBACK_URL

prints its address and serves until standard input ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import orjson
import uvicorn
from fastapi import FastAPI, Request
from langchain_openai import ChatOpenAI
from openai import DefaultAioHttpClient
from starlette.responses import Response, StreamingResponse

from cli.serve import BACKLOG, listen

HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "first"}


def model(base_url: str, name: str) -> ChatOpenAI:
    return ChatOpenAI(
        model=name,
        base_url=base_url,
        api_key="none",
        http_async_client=DefaultAioHttpClient(),
        stream_chunk_timeout=None,
        max_retries=0,
    )


def build(primary: str, fallback: str) -> FastAPI:
    """The service: one route, streaming or not."""
    chain = model(primary, "first").with_fallbacks([model(fallback, "cheap")])
    app = FastAPI()

    async def events(messages: list[dict[str, str]]) -> AsyncIterator[bytes]:
        async for chunk in chain.astream(messages):
            choice = {"index": 0, "delta": {"content": chunk.content}, "finish_reason": None}
            yield b"data: " + orjson.dumps({**HEAD, "choices": [choice]}) + b"\n\n"
        yield b"data: [DONE]\n\n"

    async def completions(request: Request) -> Response:
        body = orjson.loads(await request.body())
        if body["stream"]:
            return StreamingResponse(events(body["messages"]), media_type="text/event-stream")
        answer = await chain.ainvoke(body["messages"])
        message = {"role": "assistant", "content": answer.content}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = orjson.dumps({**HEAD, "object": "chat.completion", "choices": [choice]})
        return Response(whole, media_type="application/json")

    app.add_api_route("/v1/chat/completions", completions, methods=["POST"])
    return app


async def main(primary: str, fallback: str) -> None:
    listening = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        build(primary, fallback), log_config=None, access_log=False, backlog=BACKLOG
    )
    serving = asyncio.create_task(uvicorn.Server(config).serve([listening]))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    serving.cancel()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(*sys.argv[1:3]))
