"""`--undo`: undo the application's last change to its configuration."""

from __future__ import annotations

import argparse
import asyncio

from config.loader import load
from discovery.search import Search
from providers.registry import Providers
from telemetry.log import InteractionLog


def run(args: argparse.Namespace) -> int:
    print(asyncio.run(_undo(args)))
    return 0


async def _undo(args: argparse.Namespace) -> str:
    settings = load(args.config, args.data)
    log = InteractionLog.open(settings.environment.database_url, settings.data_dir)
    try:
        return await Search(settings, Providers(settings), log.audit).undo()
    finally:
        await log.close()
