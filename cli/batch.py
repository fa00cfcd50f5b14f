"""`--batch`: a file of prompts, answered in parallel, written in input order."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import Counter
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.batch_file import Item, Results, read_items, read_results
from config.errors import ConfigError, NoAnswerError, RouterError, StorageError, UsageError
from graph.router import Router
from race.state import Answer
from telemetry.console import Terminal

CONCURRENCY = 4
"""The embedded LLaMA answers four at once; a remote API takes more."""


def run(args: argparse.Namespace) -> int:
    concurrency = CONCURRENCY if args.concurrency is None else args.concurrency
    if concurrency < 1:
        raise UsageError("--concurrency takes a number from 1", "concurrency")
    router = Router.from_config(args.config, args.data)
    items = read_items(args.batch)
    out = args.out or args.batch.with_name(args.batch.stem + ".results.jsonl")
    if out.resolve() == args.batch.resolve():
        raise UsageError(f"--out {out} is the input file; name another one", "out")
    known = read_results(out) if args.resume else []
    results = Results(out, items, known)
    try:
        asyncio.run(_answer_all(router, results, concurrency))
    except KeyboardInterrupt:
        results.close()
        left = len(items) - len(results.done)
        print(f"stopped; {left} prompts left: go on with --resume", file=sys.stderr)
        return 130
    results.close()
    _summary(results)
    return 1 if any(r["error"] for r in results.done.values()) else 0


async def _answer_all(router: Router, results: Results, concurrency: int) -> None:
    queue = list(reversed(results.todo))
    bar = Progress(
        TextColumn("Prompts"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Terminal(stderr=True),
    )
    async with router:
        with bar:
            task = bar.add_task("", total=len(results.items), completed=len(results.done))

            async def worker() -> None:
                while queue:
                    item = queue.pop()
                    results.add(item, await _answer(router, item))
                    bar.advance(task)

            async with asyncio.TaskGroup() as group:
                for _ in range(min(concurrency, len(queue))):
                    group.create_task(worker())


async def _answer(router: Router, item: Item) -> dict[str, Any]:
    """One line of the output; a prompt that fails is a line with its error."""
    line: dict[str, Any] = {"line": item.line, "id": item.id, "prompt": item.prompt}
    if item.problem:
        return {**line, **_NOTHING, "error": item.problem}
    try:
        answer = await router.answer(item.prompt, category=item.category)
    except NoAnswerError as error:
        said = error.answer if isinstance(error.answer, Answer) else None
        return {**line, **(_figures(said) if said else _NOTHING), "error": str(error)}
    except (ConfigError, StorageError):
        raise
    except RouterError as error:
        return {**line, **_NOTHING, "error": str(error)}
    return {**line, **_figures(answer), "error": None}


_NOTHING: dict[str, Any] = dict.fromkeys(
    ("category", "confidence", "answer", "provider", "role", "request_id", "latency_ms", "cost_usd")
)


def _figures(answer: Answer) -> dict[str, Any]:
    return {
        "category": answer.category,
        "confidence": round(answer.confidence, 4),
        "answer": answer.text,
        "provider": answer.provider,
        "role": answer.role,
        "request_id": answer.request_id,
        "latency_ms": answer.latency_ms,
        "ttft_ms": answer.ttft_ms,
        "cost_usd": answer.cost_usd,
        "attempts": len(answer.attempts),
        "sources": [source["source"] for source in answer.sources],
        "note": answer.note,
    }


def _summary(results: Results) -> None:
    title = f"{len(results.items)} prompts → {os.path.relpath(results.out)}"
    table = Table(title=title, title_justify="left")
    for column in ("category", "prompts", "primary", "fallback", "errors", "median s", "cost $"):
        table.add_column(column, justify="left" if column == "category" else "right")
    lines = list(results.done.values())
    for category in sorted({str(line.get("category") or "–") for line in lines}):
        mine = [line for line in lines if str(line.get("category") or "–") == category]
        roles = Counter(line.get("role") for line in mine)
        times = sorted(line["latency_ms"] for line in mine if line.get("latency_ms") is not None)
        costs = [line.get("cost_usd") for line in mine if line.get("role")]
        known = [cost for cost in costs if cost is not None]
        table.add_row(
            category,
            str(len(mine)),
            str(roles["primary"]),
            str(roles["fallback"]),
            str(sum(1 for line in mine if line["error"])),
            f"{times[len(times) // 2] / 1000:.2f}" if times else "–",
            f"{sum(known):.6f}" + ("" if len(known) == len(costs) else " + unknown"),
        )
    Terminal().print(table)
