"""`--log`: the last interactions as JSON lines, oldest first; `--follow` continues with new ones.
`--prune`: deletes the log's old rows now, according to `retention`.
"""

from __future__ import annotations

import argparse
import asyncio
import json

from config.errors import UsageError
from config.loader import load
from config.models import Settings
from config.redaction import json_text
from runtime.retention import Pruned, prune
from telemetry.log import InteractionLog
from telemetry.records import InteractionRow

FOLLOW_S = 0.5


def run(args: argparse.Namespace) -> int:
    if args.prune:
        return _prune(load(args.config, args.data))
    limit = _limit(args.log)
    asyncio.run(_print(args, limit))
    return 0


async def _print(args: argparse.Namespace, limit: int | None) -> None:
    settings = load(args.config, args.data)
    log = InteractionLog.open(settings.environment.database_url, settings.data_dir)
    try:
        seen: set[str] = set()
        cursor = await _catch_up(log, None, seen, show=False) if args.follow else None
        if limit != 0:
            if limit is None and (baseline := await log.baseline()) is not None:
                print(json.dumps({"baseline": baseline._asdict()}, ensure_ascii=False), flush=True)
            rows = (await log.recent(limit))[::-1]
            seen.update(row["request_id"] for row in rows)
            _show(rows)
        while args.follow:
            cursor = await _catch_up(log, cursor, seen, show=True)
            await asyncio.sleep(FOLLOW_S)
    finally:
        await log.close()


async def _catch_up(
    log: InteractionLog, cursor: int | None, seen: set[str], *, show: bool
) -> int | None:
    """Read to the end of the log; each request is shown once, when it is first seen."""
    while True:
        rows, cursor = await log.since(cursor)
        if not rows:
            return cursor
        if show:
            _show([row for row in rows if row["request_id"] not in seen])
        seen.update(row["request_id"] for row in rows)


def _show(rows: list[InteractionRow]) -> None:
    for row in rows:
        print(json_text(json.dumps(row, ensure_ascii=False)), flush=True)


def _limit(text: str) -> int | None:
    if text == "all":
        return None
    if text.isdigit():
        return int(text)
    raise UsageError(f"--log needs a number or `all`, not {text!r}", "log")


def _prune(settings: Settings) -> int:
    pruned = asyncio.run(_pruned(settings))
    kept = settings.retention
    print(
        f"{pruned.gone} requests older than {kept.days:g} days or beyond {kept.rows} pruned, "
        f"{pruned.left} left; what the ranking learned from them stays"
    )
    return 0


async def _pruned(settings: Settings) -> Pruned:
    log = InteractionLog.open(settings.environment.database_url, settings.data_dir)
    try:
        return await prune(settings, log)
    finally:
        await log.close()
