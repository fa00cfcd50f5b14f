"""`--search`: a better LLaMA for a category; with `--apply` or `--review` the best one is tried.
`--approve` and `--refuse` answer a search that waits for a review.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph.types import Command

from config.loader import load
from config.models import Settings
from discovery.candidates import Candidate
from discovery.events import render_event
from discovery.result import SearchResult, as_json, render_table
from discovery.search import Search
from graph.scout import (
    ScoutGraph,
    build_scout,
    close_saver,
    new_thread,
    outcome,
    question,
    run_scout,
    saver_in,
)
from nodes.scouting import ScoutInput
from providers.registry import Providers
from telemetry.log import InteractionLog

Given = ScoutInput | Command[str] | None


def run(args: argparse.Namespace) -> int:
    if thread := args.approve or args.refuse:
        settings = load(args.config, args.data)
        return asyncio.run(_answer(settings, thread, approve=bool(args.approve)))
    return asyncio.run(_search(args))


async def _search(args: argparse.Namespace) -> int:
    settings = load(args.config, args.data)
    log = InteractionLog.open(settings.environment.database_url, settings.data_dir)
    providers = Providers(settings)
    search = Search(settings, providers, log.audit)
    try:
        if args.refresh:
            await _refresh(search, args.search)
            search = Search(load(args.config, args.data), providers, log.audit)
        result = await search.search(args.search)
        print(json.dumps(as_json(result)) if args.json else render_table(result))
        if not (args.apply or args.review):
            return 0
        return await _apply(search, result, agree=args.agree, review=args.review)
    finally:
        await providers.close()
        await log.close()


async def _refresh(search: Search, category: str) -> None:
    """Print the differences and write them, after asking if the terminal is interactive."""
    found = await search.differences(category)
    for one in found:
        mark = "" if one.assignments else "  ! "
        print(f"{one.file}: {mark}{one.said}", file=sys.stderr)
    if not any(one.assignments for one in found):
        print("Nothing to write: the live sources agree.", file=sys.stderr)
        return
    if sys.stdin.isatty():
        print("Write that? [Y/n] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() in ("n", "no"):
            return
    files = await search.write(found)
    print(f"Written: {', '.join(files)}; --undo reverts it, file by file.", file=sys.stderr)


async def _apply(search: Search, result: SearchResult, *, agree: bool, review: bool) -> int:
    """Try the best candidate and print each step; returns 0 if it was appended, or waits for a
    review."""
    chosen = await asyncio.to_thread(_agreed, result, agree=agree)
    if chosen is None:
        print("error: there is no candidate left to try", file=sys.stderr)
        return 1
    given = ScoutInput(
        category=result.category,
        candidate=chosen.key,
        accepted=list(chosen.questions),
        review=review,
    )
    return await _go(search, given, new_thread(result.category))


def _agreed(result: SearchResult, *, agree: bool) -> Candidate | None:
    """The best candidate whose licence excludes nobody, or that the user agreed to.

    If the terminal is not interactive, the next one is taken.
    """
    passed_over: list[str] = []
    while (best := result.best(passed_over)) is not None:
        if agree or all(_yes(best, question) for question in best.questions):
            return best
        passed_over.append(best.key)
    return None


def _yes(candidate: Candidate, question: str) -> bool:
    if not sys.stdin.isatty():
        said = f"{candidate.name} is skipped. {question} --agree confirms it."
        print(said, file=sys.stderr)
        return False
    print(f"{candidate.name}: {question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _go(search: Search, given: Given, thread: str) -> int:
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
        code = await _go(search, Command(resume=approve) if waits else None, thread)
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
