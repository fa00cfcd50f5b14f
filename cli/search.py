"""`--search`: a better LLaMA for a category; with `--apply` the best one is tried and appended."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import aclosing

from config.loader import load
from discovery.progress import render_event
from discovery.render import as_json, render_table
from discovery.search import Search
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
        result = await search.search(args.search)
        print(json.dumps(as_json(result)) if args.json else render_table(result))
        return await _apply(search, args.search) if args.apply else 0
    finally:
        await providers.close()
        await log.close()


async def _apply(search: Search, category: str) -> int:
    """Try the best candidate, printing each step; 0 if it was appended."""
    appended, shown = False, -1
    async with aclosing(search.try_and_append(category)) as events:
        async for event in events:
            if event["type"] == "downloading":
                tenth = 10 * int(event["done"]) // max(int(event["total"]), 1)
                if tenth == shown:
                    continue
                shown = tenth
            print(render_event(event), file=sys.stderr)
            appended = appended or event["type"] == "appended"
    return 0 if appended else 1
