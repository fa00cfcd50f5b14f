"""`--approve THREAD`, `--refuse THREAD`: answer a search that waits. Also runs searches for
`--search`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph.types import Command

from config.loader import load
from config.models import Settings
from discovery.progress import render_event
from discovery.search import Search
from graph.scout import ScoutGraph, build_scout, close_saver, outcome, question, run_scout, saver_in
from nodes.scouting import ScoutInput
from providers.registry import Providers
from telemetry.log import InteractionLog

Given = ScoutInput | Command[str] | None


def run(args: argparse.Namespace) -> int:
    thread = args.approve or args.refuse
    return asyncio.run(_answer(load(args.config, args.data), thread, approve=bool(args.approve)))


async def go(search: Search, given: Given, thread: str) -> int:
    """Run a thread, printing each step; returns 0 if it appended a model or waits for an answer."""
    async with _scout(search) as graph:
        shown = -1
        async for event in run_scout(graph, given, thread):
            if event["type"] == "downloading":
                tenth = 10 * event["done"] // max(event["total"], 1)
                if tenth == shown:
                    continue
                shown = tenth
            print(render_event(event), file=sys.stderr)
        if asked := await question(graph, thread):
            entry = asked["entry"]
            print(
                f"{asked['question']} {entry['name']} at {entry['host']}:"
                f" --approve {thread} or --refuse {thread}",
                file=sys.stderr,
            )
            return 0
        ended = await outcome(graph, thread)
        if ended.get("outcome") == "refused" and ended.get("chosen") is None:
            print(f"error: {ended.get('reason')}", file=sys.stderr)
        return 0 if ended.get("outcome") in ("on trial", "promoted") else 1


async def _answer(settings: Settings, thread: str, *, approve: bool) -> int:
    """Answer the thread's question; one that was interrupted during its trial is finished first."""
    log = InteractionLog.open(settings.environment.database_url, settings.data_dir)
    providers = Providers(settings)
    search = Search(settings, providers, log.audit)
    try:
        async with _scout(search) as graph:
            waits = await question(graph, thread) is not None
        code = await go(search, Command(resume=approve) if waits else None, thread)
        return code if approve or not waits else 0
    finally:
        await providers.close()
        await log.close()


@asynccontextmanager
async def _scout(search: Search) -> AsyncIterator[ScoutGraph]:
    """The graph over this search, with the threads of the data folder."""

    async def find() -> Search:
        return search

    graph = build_scout(find, saver_in(search.settings.data_dir))
    try:
        yield graph
    finally:
        await close_saver(graph)
