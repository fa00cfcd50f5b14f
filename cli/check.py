"""`--check`: tries each enabled provider live."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.table import Table

from config.loader import load
from config.models import Settings
from providers.base import CallOptions, Message, ProviderError, Usage, cost_usd, estimate_tokens
from providers.registry import Providers
from telemetry.console import Terminal

PROMPT = "Count from one to ten in words."
TIMEOUT_S = 30.0


@dataclass
class Result:
    """The result for one provider; `error` is None if it is usable."""

    name: str
    listed: str = "–"
    ttft_s: float | None = None
    tokens_per_s: float | None = None
    cost: float | None = None
    error: str | None = None


def run(args: argparse.Namespace) -> int:
    settings = load(args.config, args.data)
    results = asyncio.run(_check(settings))
    _print(settings, results)
    usable = any(result.error is None for result in results)
    if not usable:
        print("error: no provider is usable; see .env.example for the keys", file=sys.stderr)
    return 0 if usable else 1


async def _check(settings: Settings) -> list[Result]:
    """Remote providers concurrently; those on this machine one by one, since they share its
    cores."""
    providers = Providers(settings)
    enabled = [p for p in settings.providers if p.disabled is None]
    local = [p.name for p in enabled if settings.hosts[p.host].kind == "llama_cpp"]
    remote = [p.name for p in enabled if p.name not in local]
    try:
        found = list(await asyncio.gather(*(_try(settings, providers, n) for n in remote)))
        for name in local:
            found.append(await _try(settings, providers, name))
    finally:
        await providers.close()
    return found


async def _try(settings: Settings, providers: Providers, name: str) -> Result:
    result = Result(name)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            provider = providers.get(name)
            try:
                listed = provider.model in await provider.models()
                result.listed = "yes" if listed else "no"
            except ProviderError as error:
                result.listed = f"? ({error.kind})"
            await _stream(settings, providers, result)
    except ProviderError as error:
        result.error = f"{error.kind}: {error}"
    except TimeoutError:
        result.error = f"timeout: no whole answer within {TIMEOUT_S:.0f} s"
    return result


async def _stream(settings: Settings, providers: Providers, result: Result) -> None:
    provider = providers.get(result.name)
    started, first, text = time.perf_counter(), None, []
    usage: Usage | None = None
    messages = [Message(role="user", content=PROMPT)]
    async with aclosing(provider.stream(messages, CallOptions(max_tokens=40))) as deltas:  # type: ignore[type-var]
        async for delta in deltas:
            if delta.text:
                first = first or time.perf_counter()
                text.append(delta.text)
            usage = delta.usage or usage
    ended = time.perf_counter()
    usage = usage or Usage(estimate_tokens(PROMPT), estimate_tokens("".join(text)))
    if first is not None:
        result.ttft_s = first - started
        if ended - first > 0.01:
            result.tokens_per_s = (usage.tokens_out - 1) / (ended - first)
    result.cost = cost_usd(settings.provider(result.name).cost, usage)


def _print(settings: Settings, results: list[Result]) -> None:
    table = Table(title="Providers, tried just now", title_justify="left")
    for column in ("provider", "host", "model listed", "first token", "tokens/s", "cost $", ""):
        table.add_column(column, overflow="fold")
    for r in results:
        simulated = settings.hosts[settings.provider(r.name).host].kind == "simulated"
        table.add_row(
            r.name,
            settings.provider(r.name).host,
            r.listed,
            "–" if r.ttft_s is None else f"{r.ttft_s:.2f} s",
            "–" if r.tokens_per_s is None else f"{r.tokens_per_s:.0f}",
            "unknown" if r.cost is None else f"{r.cost:.7f}",
            r.error or ("ok (simulation)" if simulated else "ok"),
        )
    console = Terminal()
    console.print(table)
    today = datetime.now(UTC).date()
    for p in settings.providers:
        if p.disabled is None and p.cost is not None and (days := p.cost.days_old(today)):
            said = f"old  {p.name}: its price is of {p.cost.as_of}, {days} days ago"
            mend = "`--search CATEGORY --refresh` looks again"
            console.print(f"{said}; {mend}", highlight=False, markup=False)
    for p in settings.providers:
        if p.disabled is not None:
            console.print(f"off  {p.name}: {p.disabled}", highlight=False, markup=False)
