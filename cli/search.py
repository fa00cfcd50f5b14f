"""`--search`: a better LLaMA for a category; with `--apply` or `--review` the best one is tried."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from cli.scout import go
from config.loader import load
from discovery.candidates import Candidate
from discovery.result import SearchResult, as_json, render_table
from discovery.search import Search
from graph.scout import new_thread
from nodes.scouting import ScoutInput
from providers.registry import Providers
from telemetry.log import InteractionLog


def run(args: argparse.Namespace) -> int:
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
    return await go(search, given, new_thread(result.category))


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
