"""`--search`: a better LLaMA for a category; with `--apply` the best one is tried and appended."""

from __future__ import annotations

import argparse
import asyncio
import sys
from contextlib import aclosing

from config.errors import NotFoundError
from config.loader import load
from providers.discovery.search import Search, render_event, render_table
from providers.registry import Providers
from telemetry.log import InteractionLog


def run(args: argparse.Namespace) -> int:
    return asyncio.run(_search(args))


async def _search(args: argparse.Namespace) -> int:
    settings = load(args.config, args.data)
    if args.search not in settings.categories:
        raise NotFoundError(
            f"unknown category {args.search!r}; known are {', '.join(settings.categories)}"
        )
    log = InteractionLog.open(settings.environment.database_url, settings.data_dir)
    providers = Providers(settings)
    search = Search(settings, providers, log.audit)
    try:
        result = await search.search(args.search)
        print(render_table(result))
        if not args.apply:
            return 0
        appended = False
        async with aclosing(search.try_and_append(args.search)) as events:  # type: ignore[type-var]
            async for event in events:
                print(render_event(event), file=sys.stderr)
                appended = appended or event["type"] == "appended"
        return 0 if appended else 1
    finally:
        await providers.close()
        await log.close()
