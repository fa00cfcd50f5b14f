"""Beside LangChain's `with_fallbacks`, over HTTP, in one run: `python -m benchmarks.peers`.

Three services on loopback ask the same upstreams (`benchmarks/steady.py`): LangChain's fallbacks
(`benchmarks/langchain_server.py`), the router hedged, and the router as it ships, which classifies
by the shipped categories, retrieves from the shipped documents and commits each request to its log.
They are asked in turn, round by round; a figure is the median of the rounds' ratios. Exit 1 on a
missed target.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.bench import SHIPPED, Row, learn_shipped, print_table, write_config
from benchmarks.load import Figures, volley
from benchmarks.processes import Service, process, steady
from benchmarks.speed import PROMPTS

PEER, HEDGED, AS_SHIPPED = "with_fallbacks", "hedged", "as shipped"
ROOMY = {"ttft_s": 60.0, "stall_s": 60.0}


Services = dict[str, Service]
Measured = dict[str, list[Figures]]


@asynccontextmanager
async def services(
    folder: Path, learned: Path, hedged: dict[str, Any], **upstream: float
) -> AsyncIterator[Services]:
    """The three between a primary that does as `upstream` says and a healthy fallback."""
    async with AsyncExitStack() as stack:
        primary = (await stack.enter_async_context(process(*steady(**upstream)))).url
        cheap = (await stack.enter_async_context(process(*steady()))).url
        peer = process("-m", "benchmarks.langchain_server", primary, cheap)
        found = {PEER: await stack.enter_async_context(peer)}
        for name, start in ((HEDGED, "hedged"), (AS_SHIPPED, "immediate")):
            place = folder / name.replace(" ", "-")
            fallback = {"start": start, "provider": "cheap"}
            config = write_config(primary, cheap, place, **{**hedged, "fallback": fallback})
            shutil.copy(SHIPPED / "categories.yaml", config)
            shutil.copytree(learned, place / "data")
            paths = ("--config", str(config), "--data", str(place / "data"))
            ours = process("app.py", "--no-ui", "--port", "0", *paths)
            found[name] = await stack.enter_async_context(ours)
        for service in found.values():
            await until_warm(service.url)
        yield found


async def until_warm(url: str) -> None:
    """A service shows its address before it listens there."""
    async with asyncio.timeout(120):
        while True:
            with suppress(OSError):
                if not (await volley(url, PROMPTS, 8, 48)).failed:
                    return
            await asyncio.sleep(0.1)


async def measured(
    running: Services, callers: int, requests: int, rounds: int, *, stream: bool = True
) -> Measured:
    """Each service asked in turn, round by round; the services change places."""
    found: Measured = {name: [] for name in running}
    for turn in range(rounds):
        names = list(running) if turn % 2 == 0 else list(reversed(running))
        for name in names:
            service, before = running[name], running[name].cpu_s()
            figures = await volley(service.url, PROMPTS, callers, requests, stream=stream)
            figures.cpu_s = service.cpu_s() - before
            if figures.failed:
                raise RuntimeError(f"{name}: {len(figures.failed)} failed: {figures.failed[0]}")
            found[name].append(figures)
    return found


def row(
    label: str,
    found: Measured,
    name: str,
    figure: Callable[[Figures], float],
    shown: str,
    least: float | None = None,
    most: float | None = None,
) -> Row:
    """A ratio to LangChain's figure, round by round; `shown` formats a figure."""
    pairs = list(zip(found[name], found[PEER], strict=True))
    ratio = statistics.median(figure(ours) / figure(theirs) for ours, theirs in pairs)
    ours, theirs = (statistics.median(map(figure, found[who])) for who in (name, PEER))
    figures = f"{ratio:.2f} × ({shown.format(ours)} against {shown.format(theirs)})"
    if least is None and most is None:
        return (f"{label}, {name}", figures, "", "")
    target = f"≥ {least} ×" if least is not None else f"≤ {most} ×"
    met = ratio >= least if least is not None else ratio <= (most or 0.0)
    return (f"{label}, {name}", figures, target, "ok" if met else "MISSED")


def rate(figures: Figures) -> float:
    return figures.rate


def cpu_ms(figures: Figures) -> float:
    return figures.cpu_s / len(figures.wholes) * 1000


def first_p50(figures: Figures) -> float:
    return figures.share(figures.firsts, 0.5) * 1000


def whole_p99(figures: Figures) -> float:
    return figures.share(figures.wholes, 0.99) * 1000


def took(figures: Figures) -> float:
    return figures.took_s


async def crowd(folder: Path, learned: Path, scale: float, rounds: int) -> list[Row]:
    """128 callers of a healthy primary: streams, and whole answers."""
    async with services(folder, learned, {"limits": ROOMY}) as running:
        streams = await measured(running, 128, int(512 * scale), rounds)
        wholes = await measured(running, 128, int(512 * scale), rounds, stream=False)
    return [
        row("streams, 128 callers", streams, HEDGED, rate, "{:.0f}/s", least=1.2),
        row("streams, 128 callers", streams, AS_SHIPPED, rate, "{:.0f}/s", least=0.9),
        row("whole answers, 128 callers", wholes, HEDGED, rate, "{:.0f}/s", least=0.8),
        row("first token p50, 128 callers", streams, HEDGED, first_p50, "{:.0f} ms", most=1.0),
        *(
            row("CPU a stream, 128 callers", streams, name, cpu_ms, "{:.1f} ms")
            for name in (HEDGED, AS_SHIPPED)
        ),
    ]


async def burst(folder: Path, learned: Path, scale: float, rounds: int) -> list[Row]:
    """A thousand requests at once, with room for all; the primary takes 0.4 s."""
    count = int(1000 * scale)
    roomy: dict[str, Any] = {"limits": ROOMY, "admission": {"races": count, "queue": count}}
    async with services(folder, learned, roomy, first=0.4, all=0.55) as running:
        found = await measured(running, count, count, rounds)
    return [row(f"burst of {count}", found, HEDGED, took, "{:.1f} s", most=1.2)]


async def errors(folder: Path, learned: Path, scale: float, rounds: int) -> list[Row]:
    """Three of ten calls of the primary fail at once; 8 callers."""
    unbroken: dict[str, Any] = {"breaker": {"failures": 10**6, "window": 10**6, "slow_s": 3600}}
    async with services(folder, learned, unbroken | {"limits": ROOMY}, errors=0.3) as running:
        found = await measured(running, 8, int(400 * scale), rounds)
    return [row("30% errors, p99, 8 callers", found, HEDGED, whole_p99, "{:.0f} ms", most=1.1)]


PARTS = {"crowd": crowd, "burst": burst, "errors": errors}


async def measure(folder: Path, chosen: list[str], scale: float, rounds: int) -> list[Row]:
    learn_shipped_once = await asyncio.to_thread(_learned, folder)
    rows: list[Row] = []
    for name in chosen:
        rows += await PARTS[name](folder / name, learn_shipped_once, scale, rounds)
    return rows


def _learned(folder: Path) -> Path:
    learn_shipped(folder / "learned", topics=True)
    return folder / "learned"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default all")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of requests")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    import uvloop

    with tempfile.TemporaryDirectory() as folder:
        work = measure(Path(folder), args.parts or list(PARTS), args.scale, args.rounds)
        rows = uvloop.run(work)
    print_table("Beside LangChain's with_fallbacks", ("figure", "measured", "target", ""), rows)
    return 1 if any(found[-1] == "MISSED" for found in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
