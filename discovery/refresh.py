"""Differences in price, context and offers between the live sources and the configuration.

Only a host that was asked, or OpenRouter's public list for the host of that name, is believed, and
only about itself: a third party's statement about a price is no reason to write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from config.catalogue import Catalogue, CatalogueEntry
from config.editor import Assignment
from config.hosts import Cost, Provider
from config.models import Settings
from discovery.identity import key
from discovery.sources.source import Answer, Found

Listings = Mapping[str, Mapping[str, Found]]
"""The models that each host lists, by its own ids."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is out of date, and the assignments that update it."""

    file: str
    said: str
    """A line for people: the place, the old value and the new one."""
    assignments: tuple[Assignment, ...] = ()
    """Empty if only a person who knows the intention can correct it."""


def listings(answers: Iterable[Answer], settings: Settings) -> dict[str, dict[str, Found]]:
    """The lists of the hosts that answered; a failure says nothing about what a host serves."""
    found: dict[str, dict[str, Found]] = {}
    for answer in answers:
        if answer.problem is not None:
            continue
        for one in answer.found:
            public = one.source == "openrouter" and "openrouter" in settings.hosts
            host = one.host or ("openrouter" if public else None)
            if host is None or settings.hosts[host].kind != "openai":
                continue
            mine = found.setdefault(host, {})
            if one.id not in mine or one.host is not None:
                mine[one.id] = one
    return found


def differences(
    listed: Listings, settings: Settings, catalogue: Catalogue, today: date
) -> list[Difference]:
    """All differences, providers first."""
    mine = [p for p in settings.providers if p.host in listed and p.model is not None]
    found = [d for p in mine for d in _of_provider(p, listed[p.host], today)]
    for index, entry in enumerate(catalogue.entries):
        for host, offers in listed.items():
            found += _of_entry(index, entry, host, offers, today)
    return found


def _of_provider(
    provider: Provider, offers: Mapping[str, Found], today: date
) -> Iterator[Difference]:
    file, where = "providers.yaml", f"{provider.name} at {provider.host}"
    offer = offers.get(provider.resolved_model)
    if offer is None:
        gone = f"{where}: {provider.resolved_model} is no longer listed there"
        yield Difference(file, gone)
        return
    path = ("providers", provider.name)
    if change := _price(provider.cost, offer.cost, today, provider.host):
        yield Difference(file, f"{where}: {change[0]}", (Assignment(path, "cost", change[1]),))
    if offer.context and offer.context != provider.context:
        said = f"{where}: context {_tokens(provider.context)} → {_tokens(offer.context)}"
        yield Difference(file, said, (Assignment(path, "context", offer.context),))


def _of_entry(
    index: int, entry: CatalogueEntry, host: str, offers: Mapping[str, Found], today: date
) -> Iterator[Difference]:
    file, path = "catalogue.yaml", ("entries", index)
    known = entry.ids.get(host)
    if known is None:
        names = {key(name) for name in (entry.name, *entry.ids.values())}
        new = next((o for o in offers.values() if key(o.also or o.id) in names), None)
        if new is None:
            return
        yield Difference(
            file,
            f"{entry.name}: {host} serves it as {new.id}",
            (Assignment((*path, "ids"), host, new.id), *_no_longer_gone(entry, path, host)),
        )
        offer = new
    elif known not in offers:
        gone = {**{h: d.isoformat() for h, d in entry.gone.items()}, host: today.isoformat()}
        ids = {h: i for h, i in entry.ids.items() if h != host}
        prices = [Assignment((*path, "prices"), host, None)] if host in entry.prices else []
        if prices and len(entry.prices) == 1:
            prices = [Assignment(path, "prices", None)]
        left = Assignment((*path, "ids"), host, None) if ids else Assignment(path, "ids", {})
        yield Difference(
            file,
            f"{entry.name}: {host} no longer lists it",
            (*prices, left, Assignment(path, "gone", gone)),
        )
        return
    else:
        offer = offers[known]
    if change := _price(entry.prices.get(host), offer.cost, today, host):
        said, cost = change
        write = (
            Assignment((*path, "prices"), host, cost)
            if entry.prices
            else Assignment(path, "prices", {host: cost})
        )
        yield Difference(file, f"{entry.name} at {host}: {said}", (write,))


def _no_longer_gone(
    entry: CatalogueEntry, path: tuple[str | int, ...], host: str
) -> Sequence[Assignment]:
    if host not in entry.gone:
        return ()
    left = {h: d.isoformat() for h, d in entry.gone.items() if h != host}
    return (Assignment(path, "gone", left or None),)


def _price(
    written: Cost | None, listed: Cost | None, today: date, host: str
) -> tuple[str, dict[str, object]] | None:
    """The message and the assignments for a price; None if the host names none or it was confirmed
    today."""
    if listed is None:
        return None
    same = written is not None and (written.input, written.output) == (listed.input, listed.output)
    if same and written is not None and written.as_of == today:
        return None
    cost = {"input": listed.input, "output": listed.output}
    cost_dated = {**cost, "as_of": today.isoformat(), "source": host}
    if same:
        return f"price {_usd(listed)} still holds", cost_dated
    return f"price {_usd(written)} → {_usd(listed)}", cost_dated


def _usd(cost: Cost | None) -> str:
    if cost is None:
        return "unknown"
    dated = f" (of {cost.as_of})" if cost.as_of else ""
    return f"{cost.input:g}/{cost.output:g}{dated}"


def _tokens(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"
