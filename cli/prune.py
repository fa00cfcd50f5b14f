"""`--prune`: prunes the log's old rows now, according to `retention`."""

from __future__ import annotations

import argparse
import asyncio

from config.loader import load
from config.models import Settings
from runtime.retention import Pruned, prune
from telemetry.log import InteractionLog


def run(args: argparse.Namespace) -> int:
    settings = load(args.config, args.data)
    pruned = asyncio.run(_prune(settings))
    kept = settings.retention
    print(
        f"{pruned.gone} requests older than {kept.days:g} days or beyond {kept.rows} pruned, "
        f"{pruned.left} left; what the ranking learned from them stays"
    )
    return 0


async def _prune(settings: Settings) -> Pruned:
    log = InteractionLog.open(settings.environment.database_url, settings.data_dir)
    try:
        return await prune(settings, log)
    finally:
        await log.close()
