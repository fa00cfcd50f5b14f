"""A key that somebody pasted: held in memory, and tried on a few prompts beside another model."""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from pydantic import SecretStr

from config.hosts import Provider
from config.models import Settings
from config.redaction import redact
from graph.router import Router
from providers.base import (
    CallOptions,
    ChatProvider,
    Message,
    ProviderError,
    Usage,
    cost_usd,
    estimate_tokens,
)
from providers.registry import Providers
from race.rendezvous import cancel
from ui.wording import say, say_all, seconds, sentence, usd

HELD_S = 600.0
"""How long a pasted key waits to be kept."""
MOST_HELD = 20
WITHIN_S = 30
TOKENS = 64
STOPPING = ("auth", "not_found", "connection")
"""Failures after which the other prompts would fail likewise."""


@dataclass(frozen=True, slots=True)
class Held:
    """A key, the provider that it was pasted for, where that is, and in which tab."""

    key: SecretStr
    provider: str
    url: str
    tab: str
    until: float
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Its trial has more to show, or has to end."""


class HeldKeys:
    """Keys between the test and the decision, in this process's memory alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: OrderedDict[str, Held] = OrderedDict()

    def hold(self, key: str, provider: str, url: str, tab: str) -> str:
        """A name for the key, by which the page speaks of it; an earlier one of that tab is let
        go."""
        for name in [n for n, one in self._held.items() if one.tab == tab or self._over(one)]:
            self._held.pop(name).changed.set()
        while len(self._held) >= MOST_HELD:
            self._held.popitem(last=False)
        name = secrets.token_urlsafe(16)
        until = self._clock() + HELD_S
        self._held[name] = Held(SecretStr(key), provider, url, tab, until)
        return name

    def find(self, name: str, tab: str) -> Held | None:
        found = self._held.get(name)
        return found if found and found.tab == tab and not self._over(found) else None

    def forget(self, name: str) -> None:
        self._held.pop(name, None)

    def _over(self, one: Held) -> bool:
        return one.until <= self._clock()


@dataclass
class Cell:
    """One model's answer to one prompt, as far as it got; times in milliseconds."""

    state: str = "waiting"
    text: str = ""
    first: float | None = None
    whole: float | None = None
    cost: float | None = None
    error: ProviderError | None = None
    problem: str = ""

    def shown(self) -> dict[str, object]:
        facts = [say("keys.first_word", first=seconds(self.first))] if self.first else []
        if self.state == "done":
            facts += [say("keys.whole", whole=seconds(self.whole)), usd(self.cost)]
        return {
            "state": self.state,
            "text": redact(self.text or self.problem or say(f"keys.{self.state}")),
            "facts": facts,
        }


@dataclass
class Column:
    """One model's answers to all prompts."""

    provider: Provider
    host: str
    cells: list[Cell] = field(default_factory=lambda: [Cell() for _ in say_all("keys.prompts")])

    def summary(self) -> str:
        """One line: what is wrong, or how it did."""
        name = self.provider.name
        done = [one for one in self.cells if one.state == "done"]
        if not done and (failed := [one for one in self.cells if one.problem]):
            return say("keys.failed", name=name, why=failed[0].problem)
        firsts = [one.first for one in done if one.first is not None]
        costs = [one.cost for one in done if one.cost is not None]
        return say(
            "keys.summary",
            name=name,
            ok=len(done),
            n=len(self.cells),
            first=seconds(statistics.median(firsts) if firsts else None),
            cost=usd(sum(costs) if len(costs) == len(done) else None),
        )


def with_key(settings: Settings, provider: Provider, key: SecretStr) -> Settings:
    """The configuration as it would be with that key for the provider's host."""
    host = settings.hosts[provider.host].model_copy(update={"key": key, "disabled": None})
    return settings.model_copy(
        update={
            "hosts": {**settings.hosts, provider.host: host},
            "providers": (provider.model_copy(update={"disabled": None}),),
        }
    )


def beside(router: Router, name: str) -> Provider | None:
    """What the new model is compared with: the embedded LLaMA, or what answers where it cannot."""
    settings, providers = router.settings, router.services.providers
    usable = [
        p
        for p in settings.providers
        if p.disabled is None and p.name != name and providers.unavailable(p.name) is None
    ]
    embedded = [p for p in usable if settings.hosts[p.host].kind == "llama_cpp"]
    orders = [one for order in settings.priorities.values() for one in order]
    ordered = sorted(
        usable, key=lambda p: orders.index(p.name) if p.name in orders else len(orders)
    )
    return next(iter(embedded or ordered), None)


async def tried(router: Router, held: Held) -> AsyncIterator[list[Column]]:
    """Both models' columns, whenever one of them has more to show; leaving it stops the calls."""
    provider = router.settings.provider(held.provider)
    own = Providers(with_key(router.settings, provider, held.key))
    other = beside(router, provider.name)
    columns = [Column(provider, provider.host)]
    jobs = [(own.get(provider.name), columns[0])]
    if other is not None:
        columns.append(Column(other, other.host))
        jobs.append((router.services.providers.get(other.name), columns[1]))
    changed = held.changed
    tasks = [asyncio.create_task(_ask_all(chat, column, changed)) for chat, column in jobs]
    try:
        while not all(task.done() for task in tasks):
            yield columns
            await changed.wait()
            changed.clear()
        for task in tasks:
            task.result()
        yield columns
    finally:
        for task in tasks:
            await cancel(task)
        await own.close_pools()


async def _ask_all(chat: ChatProvider, column: Column, changed: asyncio.Event) -> None:
    """One prompt after the other; none after a failure that all would share."""
    try:
        for prompt, cell in zip(say_all("keys.prompts"), column.cells, strict=True):
            cell.state = "running"
            changed.set()
            await _ask(chat, column, prompt, cell)
            changed.set()
            if cell.error is not None and cell.error.kind in STOPPING:
                break
        for cell in column.cells:
            cell.state = "skipped" if cell.state == "waiting" else cell.state
    finally:
        asyncio.get_running_loop().call_soon(changed.set)  # once this task is done


async def _ask(chat: ChatProvider, column: Column, prompt: str, cell: Cell) -> None:
    try:
        async with asyncio.timeout(WITHIN_S):
            await _stream(chat, column.provider, prompt, cell)
        cell.state = "done" if cell.text else "failed"
        cell.problem = "" if cell.text else say("keys.empty")
    except ProviderError as error:
        cell.state, cell.text, cell.error = "failed", "", error
        cell.problem = why(error, column)
    except TimeoutError:
        cell.state, cell.text = "failed", ""
        cell.problem = say("keys.timeout", seconds=WITHIN_S)


async def _stream(chat: ChatProvider, provider: Provider, prompt: str, cell: Cell) -> None:
    began = time.perf_counter()
    usage: Usage | None = None
    stream = chat.stream([Message(role="user", content=prompt)], CallOptions(max_tokens=TOKENS))
    async with aclosing(stream) as deltas:  # type: ignore[type-var]
        async for delta in deltas:
            if delta.text and cell.first is None:
                cell.first = (time.perf_counter() - began) * 1000
            cell.text += delta.text
            usage = delta.usage or usage
    cell.whole = (time.perf_counter() - began) * 1000
    usage = usage or Usage(estimate_tokens(prompt), estimate_tokens(cell.text))
    cell.cost = cost_usd(provider.cost, usage)


def why(error: ProviderError, column: Column) -> str:
    """One line that names what is wrong: the key, the credit, the model or the way to the host."""
    kind: str = "credit" if error.credit else error.kind
    if kind == "timeout":
        kind = "connection"
    if kind not in ("credit", "auth", "not_found", "connection", "rate_limited"):
        kind = "other"
    model = column.provider.resolved_model
    return say(f"keys.{kind}", host=column.host, model=model, detail=sentence(str(error)))
