"""`--batch`: a file of prompts, answered in parallel, written in input order."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from api.bulk import Bulk
from api.server import create_app
from cli.batch_file import Item, Known, Line, Prompts, Results, is_error
from config.errors import ConfigError, NoAnswerError, RouterError, StorageError, UsageError
from graph.router import Router
from race.state import Answer
from telemetry.console import Terminal

AHEAD = 256
"""Maximum number of results in memory that wait for an earlier one."""
BUCKET = 1.02
"""Times are counted in buckets of 2%, so that the median needs no list of them."""
CONCURRENCY = 4
"""The embedded LLaMA answers four at once; a remote API allows more."""


def run(args: argparse.Namespace) -> int:
    concurrency = CONCURRENCY if args.concurrency is None else args.concurrency
    if concurrency < 1:
        raise UsageError("--concurrency needs a number from 1", "concurrency")
    router = Router.from_config(args.config, args.data)
    prompts = Prompts(args.batch)
    out = args.out or args.batch.with_name(args.batch.stem + ".results.jsonl")
    if out.resolve() == args.batch.resolve():
        raise UsageError(f"--out {out} is the input file; name another one", "out")
    known = Known(out, resume=args.resume)
    results, tally = Results(out), Tally()
    try:
        asyncio.run(Run(router, prompts, known, results, tally).all(concurrency))
    except KeyboardInterrupt:
        results.close(known.rest())
        left = prompts.count - tally.prompts
        print(f"stopped; {left} prompts left: continue with --resume", file=sys.stderr)
        return 130
    results.close()
    known.close()
    tally.print(out)
    return 1 if tally.errors else 0


class Run:
    """One pass over the file: at most `AHEAD` lines are read beyond the first unfinished one."""

    def __init__(
        self, router: Router, prompts: Prompts, known: Known, results: Results, tally: Tally
    ) -> None:
        self._router = router
        self._known = known
        self._results = results
        self._tally = tally
        self._total = prompts.count
        self._items = enumerate(prompts)
        self._moved = asyncio.Condition()

    async def all(self, concurrency: int) -> None:
        """Answer every line, `concurrency` at once."""
        bar = Progress(
            TextColumn("Prompts"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Terminal(stderr=True),
        )
        async with AsyncExitStack() as stack:
            service = create_app(self._router, batches=False)
            await stack.enter_async_context(service.router.lifespan_context(service))
            keys = self._router.settings.environment.api_keys
            bulk = Bulk(service, keys[0].get_secret_value() if keys else None)
            stack.push_async_callback(bulk.close)
            with bar:
                advance = partial(bar.advance, bar.add_task("", total=self._total))
                try:
                    async with asyncio.TaskGroup() as group:
                        for _ in range(min(concurrency, self._total)):
                            group.create_task(self._work(bulk, advance))
                except* RouterError as errors:
                    raise errors.exceptions[0] from None

    async def _work(self, bulk: Bulk, advance: Callable[[], None]) -> None:
        for place, item in self._items:
            async with self._moved:
                while place >= self._results.written + AHEAD:
                    await self._moved.wait()
            line = self._known.take(item) or await self._answer(bulk, item)
            async with self._moved:
                self._results.add(place, line)
                self._moved.notify_all()
            self._tally.add(line)
            advance()

    async def _answer(self, bulk: Bulk, item: Item) -> Line:
        if item.request is not None:
            return dict(await bulk.answer(item.request))
        return await _answer(self._router, item)


class Tally:
    """The summary's figures, of constant size however long the file is."""

    def __init__(self) -> None:
        self.prompts = self.errors = 0
        self._by_category: dict[str, Category] = {}

    def add(self, line: Line) -> None:
        self.prompts += 1
        self.errors += is_error(line)
        figures = _figures_of(line)
        name = str(figures.get("category") or "–")
        self._by_category.setdefault(name, Category()).add(figures, error=is_error(line))

    def print(self, out: Path) -> None:
        title = f"{self.prompts} prompts → {os.path.relpath(out)}"
        table = Table(title=title, title_justify="left")
        for column in (
            "category",
            "prompts",
            "primary",
            "fallback",
            "errors",
            "median s",
            "cost $",
        ):
            table.add_column(column, justify="left" if column == "category" else "right")
        for name in sorted(self._by_category):
            table.add_row(name, *self._by_category[name].cells())
        Terminal().print(table)


class Category:
    """The figures of one category."""

    def __init__(self) -> None:
        self._roles: Counter[object] = Counter()
        self._times: Counter[int] = Counter()
        self._cost, self._unknown = 0.0, False
        self._prompts = self._errors = 0

    def add(self, figures: Mapping[str, object], *, error: bool) -> None:
        self._prompts += 1
        self._errors += error
        self._roles[figures.get("role")] += 1
        if isinstance(took := figures.get("latency_ms"), int | float) and took > 0:
            self._times[round(math.log(took) / math.log(BUCKET))] += 1
        cost = figures.get("cost_usd")
        if isinstance(cost, int | float):
            self._cost += cost
        elif figures.get("role"):
            self._unknown = True

    def cells(self) -> tuple[str, ...]:
        return (
            str(self._prompts),
            str(self._roles["primary"]),
            str(self._roles["fallback"]),
            str(self._errors),
            self._median(),
            f"{self._cost:.6f}" + (" + unknown" if self._unknown else ""),
        )

    def _median(self) -> str:
        half, seen = self._times.total() // 2, 0
        for bucket in sorted(self._times):
            seen += self._times[bucket]
            if seen > half:
                return f"{BUCKET**bucket / 1000:.2f}"
        return "–"


def _figures_of(line: Line) -> Mapping[str, object]:
    """The figures in the router's answer, in either format of a result."""
    if "custom_id" not in line:
        return line
    found: object = line
    for name in ("response", "body", "router"):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


async def _answer(router: Router, item: Item) -> Line:
    """One line of the output; a prompt that fails becomes a line with its error."""
    line: Line = {"line": item.line, "id": item.id, "prompt": item.prompt}
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


_NOTHING: Line = dict.fromkeys(
    ("category", "confidence", "answer", "provider", "role", "request_id", "latency_ms", "cost_usd")
)


def _figures(answer: Answer) -> Line:
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
