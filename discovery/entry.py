"""Builds the entry of `providers.yaml` for a candidate."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Required

from typing_extensions import TypedDict

from config.hosts import Provider, Simulation
from config.models import Settings
from discovery.candidates import Candidate, Offer

MAX_NAME = 48
MAX_TOKENS = 1024
THINKING_TOKENS = 8192
"""Token limit of a model that reasons: reasoning and answer share it."""
_RESERVED = {"auto", "passages"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a candidate is tried and then served: a host's offer, or weights at the embedded
    host."""

    host: str
    model: str
    offer: Offer | None = None


def name_for(key: str, taken: Collection[str]) -> str:
    """A unique provider name that the configuration accepts, from whatever a model is called."""
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
    """The provider to be tried, as the loader would build it from its entry."""
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
    """The figures of the trial behind an entry."""

    outcome: str
    against: str | None
    probes: int
    difference: list[float]
    """Lower bound, mean and upper bound."""
    cost_usd: float | None


class Evidence(TypedDict, total=False):
    """Why an entry was added."""

    category: str
    score: float
    sources: list[str]
    weights: dict[str, str]
    licence: str
    released: str
    trial: Required[Compared]
    simulated: bool


class Entry(TypedDict, total=False):
    """An entry of `providers.yaml` as the search writes it."""

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
    """Host, model, price and limits; unknown fields are omitted.

    `thinks` is the trial's observation; a model known to reason always does not depend on it.
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
    """The entry to write: the tried provider, on trial, with the date of and the reasons for its
    addition."""
    return {**fields, "added": day, "evidence": evidence, "trial": {"share": share}}
