"""What the router costs and what it saves: `python -m benchmarks.speed`.

The same loopback upstream is asked by the bare `openai` client, by LangChain's `with_fallbacks`
and by the router, side by side in one run, although the router classifies by the shipped
categories, retrieves from the shipped documents, makes two calls and commits to its log. Primary:
first of 30 tokens after 50 ms, 200 ms in all.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.bench import Row, learn_shipped, print_table, prompts, router_between
from config.environment import quiet
from graph.router import Router
from tests.upstream import Behaviour, Upstream

PROMPTS = (f"{prompt} #{turn}" for turn in itertools.count() for prompt in prompts())
"""No prompt twice: vectors of prompts that come again are remembered."""
Ask = Callable[[], Awaitable[tuple[float, float]]]
"""One request; seconds to the first token and to the end."""


def healthy() -> AbstractAsyncContextManager[str]:
    """The upstream of the first figures."""
    return process("benchmarks.steady")


def behaving(behaviour: str) -> AbstractAsyncContextManager[str]:
    """An upstream that does as told."""
    return process("tests.upstream", "--behaviour", behaviour)


@asynccontextmanager
async def process(module: str, *arguments: str) -> AsyncIterator[str]:
    """A loopback upstream in a process of its own; yields its base URL."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    try:
        yield (await running.stdout.readline()).decode().strip()
    finally:
        running.stdin.close()
        await running.wait()


def by_router(router: Router) -> Ask:
    async def ask() -> tuple[float, float]:
        started, first = time.perf_counter(), 0.0
        events: AsyncGenerator[dict[str, Any]] = router.stream(next(PROMPTS))
        async for event in events:
            if event["type"] == "token" and not first:
                first = time.perf_counter() - started
            elif event["type"] == "answered" and not event["answer"]["success"]:
                raise RuntimeError(event["answer"]["error"])
        return first, time.perf_counter() - started

    return ask


def by_openai(url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    from openai import AsyncOpenAI, DefaultAioHttpClient

    client = AsyncOpenAI(base_url=url, api_key="none", http_client=DefaultAioHttpClient())

    async def ask() -> tuple[float, float]:
        started, first = time.perf_counter(), 0.0
        stream = await client.chat.completions.create(
            model="first", messages=[{"role": "user", "content": next(PROMPTS)}], stream=True
        )
        async for chunk in stream:
            if not first and chunk.choices and chunk.choices[0].delta.content:
                first = time.perf_counter() - started
        return first, time.perf_counter() - started

    return ask, client.close


def by_langchain(url: str, cheap: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    from langchain_openai import ChatOpenAI
    from openai import DefaultAioHttpClient

    clients: list[Any] = []

    def model(base_url: str, name: str) -> ChatOpenAI:
        clients.append(DefaultAioHttpClient())
        return ChatOpenAI(
            model=name,
            base_url=base_url,
            api_key="none",
            http_async_client=clients[-1],
            stream_chunk_timeout=None,
        )

    chain = model(url, "first").with_fallbacks([model(cheap, "cheap")])

    async def ask() -> tuple[float, float]:
        started, first = time.perf_counter(), 0.0
        async for chunk in chain.astream(next(PROMPTS)):
            if not first and chunk.content:
                first = time.perf_counter() - started
        return first, time.perf_counter() - started

    async def close() -> None:
        for client in clients:
            await client.aclose()

    return ask, close


async def volley(ask: Ask, callers: int, requests: int) -> tuple[list[float], list[float], float]:
    """First-token times, whole times, and requests a second with so many callers at once."""
    firsts: list[float] = []
    wholes: list[float] = []
    left = iter(range(requests))

    async def caller() -> None:
        for _ in left:
            first, whole = await ask()
            firsts.append(first)
            wholes.append(whole)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return firsts, wholes, requests / (time.perf_counter() - started)


def p50(values: list[float]) -> float:
    return statistics.median(values) * 1000


def p99(values: list[float]) -> float:
    return sorted(values)[min(int(len(values) * 0.99), len(values) - 1)] * 1000


async def added_and_throughput(folder: Path, learned: Path, scale: float) -> list[Row]:
    """The first four figures: against the bare client and against LangChain."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(healthy())
        cheap = await stack.enter_async_context(healthy())
        router = await stack.enter_async_context(
            router_between(url, cheap, folder / "plain", learned)
        )
        hedged = await stack.enter_async_context(
            router_between(url, cheap, folder / "hedged", learned, fallback={"start": "hedged"})
        )
        openai, close = by_openai(url)
        stack.push_async_callback(close)
        langchain, close = by_langchain(url, cheap)
        stack.push_async_callback(close)
        ways = {
            "openai": openai,
            "langchain": langchain,
            "router": by_router(router),
            "hedged": by_router(hedged),
        }
        for ask in ways.values():
            await volley(ask, 4, 40)
        rows: list[Row] = []
        for callers, limit in ((1, 15.0), (8, 40.0)):
            bare = (await volley(openai, callers, int(60 * scale) * min(callers, 3)))[0]
            ours = (await volley(ways["router"], callers, int(60 * scale) * min(callers, 3)))[0]
            added = p50(ours) - p50(bare)
            rows.append(
                judged(
                    f"added to the first token, {callers} caller{'s' if callers > 1 else ''}",
                    f"{added:.1f} ms ({p50(ours):.1f} against {p50(bare):.1f})",
                    f"≤ {limit:.0f} ms",
                    added <= limit,
                )
            )
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(3):
            for name, ask in ways.items():
                rates[name].append((await volley(ask, 128, int(512 * scale)))[2])
        base = statistics.median(rates["langchain"])
        for name, least in (("router", 0.5), ("hedged", 0.8)):
            rate = statistics.median(rates[name])
            shown = f"{rate / base:.2f} × ({rate:.0f}/s against {base:.0f}/s)"
            label = "128 callers, as shipped" if name == "router" else "128 callers, hedged"
            rows.append(judged(label, shown, f"≥ {least} ×", rate >= least * base))
        bare_rate = statistics.median(rates["openai"])
        rows.append(("128 callers, bare client, for comparison", f"{bare_rate:.0f}/s", "", ""))
        return rows


async def hanging_primary(folder: Path, learned: Path, scale: float) -> list[Row]:
    """The primary never answers; limit 1 s; the fallback needs 150 ms; 20 callers."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(behaving('{"hang": "before_headers"}'))
        cheap = await stack.enter_async_context(behaving('{"header_delay_s": 0.15, "tokens": 10}'))
        router = await stack.enter_async_context(
            router_between(
                url,
                cheap,
                folder / "hang",
                learned,
                limits={"ttft_s": 1.0, "late_s": 0.0},
                breaker=NO_BREAKER,
            )
        )
        firsts, _, _ = await volley(by_router(router), 20, int(200 * scale))
    worst = p99(firsts)
    return [
        judged("primary hangs, p99 of 20 callers", f"{worst:.0f} ms", "≤ 1060 ms", worst <= 1060)
    ]


NO_BREAKER = {"failures": 10**6, "window": 10**6, "slow_s": 3600}
"""Every request shall meet the fault, not a breaker that already knows of it."""


async def heavy_tail(folder: Path, learned: Path, scale: float) -> list[Row]:
    """Lognormal latencies, and the p99 that the same draws allow at best."""
    count, draw = int(600 * scale), random.Random(7)
    primary = [draw.lognormvariate(-1.609, 1.384) for _ in range(count)]
    fallback = [draw.lognormvariate(-1.897, 0.815) for _ in range(count)]
    limit = 1.0
    ideal = [
        p if p <= limit else min(p, max(limit, f)) for p, f in zip(primary, fallback, strict=True)
    ]
    with Upstream.in_thread() as upstream:
        upstream.behave("first", *[Behaviour(header_delay_s=s) for s in primary])
        upstream.behave("cheap", *[Behaviour(header_delay_s=s) for s in fallback])
        async with router_between(
            upstream.base_url,
            upstream.base_url,
            folder / "tail",
            learned,
            limits={"ttft_s": limit, "late_s": 0.0},
            breaker=NO_BREAKER,
        ) as router:
            firsts, _, _ = await volley(by_router(router), 16, count)
    ratio = p99(firsts) / p99(ideal)
    shown = f"{ratio:.2f} × ({p99(firsts):.0f} ms against {p99(ideal):.0f} ms)"
    return [judged("heavy tail, p99 over the draws' own", shown, "≤ 1.05 ×", ratio <= 1.05)]


async def burst(folder: Path, learned: Path, scale: float) -> list[Row]:
    """A thousand requests at once; the primary is healthy and takes 0.4 s."""
    count = int(1000 * scale)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(behaving('{"header_delay_s": 0.4, "tokens": 10}'))
        cheap = await stack.enter_async_context(behaving('{"header_delay_s": 0.15, "tokens": 10}'))
        router = await stack.enter_async_context(
            router_between(url, cheap, folder / "burst", learned)
        )
        ask = by_router(router)
        await volley(ask, 64, 128)
        gc.collect()
        before = rss_kb()
        results = await asyncio.gather(*(ask() for _ in range(count)), return_exceptions=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows = await router.services.log.recent(count)
        gc.collect()
        after = rss_kb()
        results += await asyncio.gather(*(ask() for _ in range(count)), return_exceptions=True)
        gc.collect()
        again = rss_kb()
    errors = sum(isinstance(result, BaseException) for result in results)
    late = sum(bool(row["fallback_used"]) for row in rows)
    grown, kept = max(peak - before, 0) / count, (again - after) / 1024
    return [
        judged(f"burst of {count}, errors", str(errors), "0", errors == 0),
        judged(f"burst of {count}, false timeouts", str(late), "0", late == 0),
        judged(
            f"burst of {count}, memory a request",
            f"{grown:.0f} KB at the peak; a second burst keeps {kept:.0f} MB more",
            "≤ 150 KB",
            grown <= 150,
        ),
    ]


def rss_kb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def judged(name: str, shown: str, target: str, ok: bool) -> Row:
    return (name, shown, target, "ok" if ok else "MISSED")


async def measure(folder: Path, learned: Path, scale: float) -> list[Row]:
    rows: list[Row] = []
    for part in (burst, added_and_throughput, hanging_primary, heavy_tail):  # burst: memory unused
        rows += await part(folder, learned, scale)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of requests")
    args = parser.parse_args()
    quiet()
    from telemetry.console import configure

    configure(level="ERROR")
    with tempfile.TemporaryDirectory() as folder:
        learn_shipped(learned := Path(folder) / "learned")
        rows = asyncio.run(measure(Path(folder), learned, args.scale))
    print_table("Speed", ("figure", "measured", "target", ""), rows)
    return 1 if any(row[-1] == "MISSED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
