"""A search in a process of its own, which ends itself by SIGKILL at one of its steps."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

from langgraph.types import Command

from config.loader import load
from discovery.search import Addresses, Search
from graph.scout import build_scout, close_saver, question, saver_in
from providers.registry import Providers


async def main(config: str, data: str, hub: str, market: str, at: str) -> None:
    settings = load(config, data, environ={}, dotenv=None)
    providers = Providers(settings)
    search = Search(settings, providers, addresses=Addresses(hub=hub, openrouter=market))

    async def find() -> Search:
        return search

    graph = build_scout(find, saver_in(settings.data_dir))
    thread: Any = {"configurable": {"thread_id": "t"}}
    known = await graph.aget_state(thread)
    given: Any = None if known.next else {"category": "technical"}
    while True:
        if known.interrupts:
            given = Command(resume=True)
        parts = graph.astream(given, thread, stream_mode=["custom", "updates"], durability="sync")
        async for mode, part in parts:
            name = part["type"] if mode == "custom" else next(iter(part))
            if name == "probe":
                name = f"probe {part['number']}"
            if name == at:
                os.kill(os.getpid(), signal.SIGKILL)
        known = await graph.aget_state(thread)
        if await question(graph, "t") is None:
            break
    print(json.dumps({"outcome": known.values.get("outcome")}))
    await close_saver(graph)
    await providers.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
