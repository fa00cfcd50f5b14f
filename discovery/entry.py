"""The entry of `providers.yaml` that a candidate becomes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

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


def fields_for(
    candidate: Candidate, place: Deployment, settings: Settings, *, thinks: bool = False
) -> dict[str, Any]:
    """Host, model, price and limits; what is unknown is left out.

    `thinks` is what its trial showed; what is known to think always needs no trial for that.
    """
    thinks = thinks or candidate.evidence.thinks == "always"
    embedded = settings.hosts[place.host].kind == "llama_cpp"
    cost = place.offer.cost if place.offer else None
    context = (place.offer and place.offer.context) or candidate.evidence.context
    fields: dict[str, Any] = {
        "name": name_for(candidate.key, [p.name for p in settings.providers]),
        "host": place.host,
        "model": place.model,
    }
    if embedded:
        fields["cost"] = {"input": 0, "output": 0}
    elif cost is not None:
        fields["cost"] = cost.model_dump(mode="json", exclude_none=True)
    fields["max_tokens"] = 256 if embedded else THINKING_TOKENS if thinks else MAX_TOKENS
    if thinks:
        fields["capabilities"] = ["reasoning"]
        if context:
            fields["max_tokens"] = min(fields["max_tokens"], context // 2)
    if context and not embedded:
        fields["context"] = context
    if place.offer and place.offer.simulation:
        fields["simulation"] = place.offer.simulation
    return fields


def entry_for(
    fields: Mapping[str, Any], day: str, evidence: Mapping[str, Any], share: float
) -> dict[str, Any]:
    """What is written: the tried provider with when and why it came, on trial."""
    return {**fields, "added": day, "evidence": dict(evidence), "trial": {"share": share}}
