"""`--batch`: a file of prompts, answered in parallel, written in input order."""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.batch_answer import Answering
from cli.batch_file import Item, Known, Line, Prompts, Results, is_error
from config.errors import RouterError, UsageError
from graph.router import Router
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
    if out.exists() and not out.is_file():
        raise UsageError(f"--out {out} is a folder or a device: name a file", "out")
    with ExitStack() as stack:
        answer: Callable[[Job], None] = Run(router, concurrency)
        if args.engine == "ray":
            from cli.batch_ray import RayRun

            answer = stack.enter_context(RayRun(router.settings, out, concurrency, args.resume))
        job = Job(prompts, out, resume=args.resume)
        try:
            with job.progress:
                answer(job)
        except KeyboardInterrupt:
            job.results.close(job.known.rest())
            left = prompts.count - job.tally.prompts
            print(f"stopped; {left} prompts left: continue with --resume", file=sys.stderr)
            return 130
        job.results.close()
        job.known.close()
    job.tally.print(out)
    return 1 if job.tally.errors else 0


class Job:
    """What is asked and what has come of it, whichever engine answers."""

    def __init__(self, prompts: Prompts, out: Path, *, resume: bool) -> None:
        """StorageError where `out` cannot be written."""
        self.prompts = prompts
        self.known = Known(out, resume=resume)
        self.results, self.tally = Results(out, resume=resume), Tally()
        self.progress = Progress(
            TextColumn("Prompts"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Terminal(stderr=True),
        )
        self._bar = self.progress.add_task("", total=prompts.count)

    def add(self, place: int, line: Line) -> None:
        """The result of the input's line number `place`, blank ones not counted, from 0."""
        self.results.add(place, line)
        self.tally.add(line)
        self.progress.advance(self._bar)


class Run:
    """In this process: at most `AHEAD` lines are read beyond the first unfinished one."""

    def __init__(self, router: Router, concurrency: int) -> None:
        self._router = router
        self._concurrency = concurrency
        self._moved = asyncio.Condition()

    def __call__(self, job: Job) -> None:
        """Answer every line, `concurrency` at once."""
        asyncio.run(self._all(job))

    async def _all(self, job: Job) -> None:
        items = enumerate(job.prompts)
        async with Answering(self._router) as answering:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self._concurrency, job.prompts.count)):
                        group.create_task(self._work(job, items, answering))
            except* RouterError as errors:
                raise errors.exceptions[0] from None

    async def _work(
        self, job: Job, items: Iterator[tuple[int, Item]], answering: Answering
    ) -> None:
        for place, item in items:
            async with self._moved:
                while place >= job.results.written + AHEAD:
                    await self._moved.wait()
            line = job.known.take(item) or await answering.answer(item)
            async with self._moved:
                job.add(place, line)
                self._moved.notify_all()


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
