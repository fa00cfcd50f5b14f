"""The entry of `providers.yaml` that a candidate becomes."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Required

from typing_extensions import TypedDict

from config.models import Provider, Settings, Simulation
from discovery.candidates import Candidate, Offer

MAX_NAME = 48
MAX_TOKENS = 1024
THINKING_TOKENS = 8192
"""Of a model that thinks: its thoughts come out of the same budget as its answer."""
_RESERVED = {"auto", "passages"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a candidate is tried and then served: an offer, or weights at the embedded host."""

    host: str
    model: str
    offer: Offer | None = None


def name_for(key: str, taken: Collection[str]) -> str:
    """A name that is unique and that the configuration takes, from whatever a model is called."""
    stem = re.sub(r"[^a-z0-9._-]+", "-", key.lower()).strip("-._")[:MAX_NAME].rstrip("-._")
    if not stem or not stem[0].isalnum():
        stem = "model"
    used = {name.lower() for name in taken} | _RESERVED
    if stem not in used:
        return stem
    number = 2
    while f"{stem}-{number}" in used:
        number += 1
    return f"{stem}-{number}"


def provider_for(candidate: Candidate, place: Deployment, settings: Settings) -> Provider:
    """The provider to be tried, as the loader would make it of its entry."""
    fields = fields_for(candidate, place, settings)
    fields.pop("added", None)
    provider = Provider.model_validate(fields)
    simulation = provider.simulation
    if simulation is None and settings.hosts[place.host].kind == "simulated":
        simulation = Simulation()
    return provider.model_copy(update={"resolved_model": place.model, "simulation": simulation})


class TrialShare(TypedDict):
    """A provider on trial gets this share of its category's traffic."""

    share: float


class Compared(TypedDict):
    """The figures of the trial that an entry came from."""

    outcome: str
    against: str | None
    probes: int
    difference: list[float]
    """Lower bound, mean and upper bound."""
    cost_usd: float | None


class Evidence(TypedDict, total=False):
    """Why an entry was taken in."""

    category: str
    score: float
    sources: list[str]
    weights: dict[str, str]
    licence: str
    released: str
    trial: Required[Compared]
    simulated: bool


class Entry(TypedDict, total=False):
    """An entry of `providers.yaml`, as the search writes it."""

    name: Required[str]
    host: Required[str]
    model: Required[str]
    cost: dict[str, float]
    max_tokens: int
    capabilities: list[str]
    context: int
    simulation: dict[str, object]
    added: str
    evidence: Evidence
    trial: TrialShare


def fields_for(
    candidate: Candidate, place: Deployment, settings: Settings, *, thinks: bool = False
) -> Entry:
    """Host, model, price and limits; what is unknown is left out.

    `thinks` is what its trial showed; what is known to think always needs no trial for that.
    """
    thinks = thinks or candidate.evidence.thinks == "always"
    embedded = settings.hosts[place.host].kind == "llama_cpp"
    cost = place.offer.cost if place.offer else None
    context = (place.offer and place.offer.context) or candidate.evidence.context
    fields: Entry = {
        "name": name_for(candidate.key, [p.name for p in settings.providers]),
        "host": place.host,
        "model": place.model,
    }
    if embedded:
        fields["cost"] = {"input": 0, "output": 0}
    elif cost is not None:
        fields["cost"] = cost.model_dump(mode="json", exclude_none=True)
    most = 256 if embedded else THINKING_TOKENS if thinks else MAX_TOKENS
    fields["max_tokens"] = min(most, context // 2) if thinks and context else most
    if thinks:
        fields["capabilities"] = ["reasoning"]
    if context and not embedded:
        fields["context"] = context
    if place.offer and place.offer.simulation:
        fields["simulation"] = place.offer.simulation
    return fields


def entry_for(fields: Entry, day: str, evidence: Evidence, share: float) -> Entry:
    """What is written: the tried provider with when and why it came, on trial."""
    return {**fields, "added": day, "evidence": evidence, "trial": {"share": share}}
