"""The models that the configured hosts serve, from the hosts themselves.

Only a model that a source of this file lists at a host counts as servable there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from config.catalogue import Catalogue
from config.hosts import Host, Provider
from config.models import Settings
from discovery.sources.catalogued import simulated
from discovery.sources.source import Found, Source, entries, get_json, read

if TYPE_CHECKING:
    import httpx2

HOST_DEADLINE_S = 8.0
_OLLAMA_VARIABLE = "OLLAMA_BASE_URL"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([BMK])", re.IGNORECASE)
_UNITS = {"B": 1e9, "M": 1e6, "K": 1e3}


def host_sources(settings: Settings, catalogue: Catalogue) -> list[Source]:
    """One source for each enabled host, so that each fails alone and under its own name."""
    sources: list[Source] = []
    for name, host in settings.hosts.items():
        if host.disabled is not None:
            continue
        if host.kind == "openai":
            sources.append(ModelsSource(name, host))
            if host.base_url_env == _OLLAMA_VARIABLE:
                sources.append(OllamaSource(name, host))
        else:
            sources.append(OwnSource(name, settings, catalogue))
    return sources


class ModelsSource:
    """`GET /models` of a host with an OpenAI-compatible API, including the extra fields of many
    hosts."""

    deadline_s = HOST_DEADLINE_S
    cached = False

    def __init__(self, host_name: str, host: Host) -> None:
        self.host_name, self.host = host_name, host
        self.name = f"host {host_name}"

    async def search(self, category: str, http: httpx2.AsyncClient) -> list[Found]:
        headers = dict(self.host.headers)
        if self.host.key is not None:
            headers["authorization"] = f"Bearer {self.host.key.get_secret_value().strip()}"
        reply = await get_json(http, self.name, f"{self.host.url}/models", headers)
        listed = entries(self.name, reply, "data", "models")
        return read(filter(makes_text, listed), self._fields)

    def _fields(self, entry: Mapping[str, object]) -> dict[str, object]:
        details = [entry, *_places(entry)]
        also = entry.get("hugging_face_id") or entry.get("root")
        free = str(entry.get("id")).lower().endswith((":free", "-free"))
        prices = [c for d in details if (c := cost(d.get("pricing"), free=free))]
        return {
            "source": self.name,
            "host": self.host_name,
            "id": entry.get("id"),
            "also": also if isinstance(also, str) and "/" in also and also[0] != "/" else None,
            "context": max((n for d in details if (n := _context(d))), default=None),
            "cost": min(prices, key=lambda c: c["input"] + c["output"], default=None),
            "licence": entry.get("license") if isinstance(entry.get("license"), str) else None,
        }


class OllamaSource:
    """Ollama's own list, `/api/tags`, which gives family, size and quantisation."""

    deadline_s = HOST_DEADLINE_S
    cached = False

    def __init__(self, host_name: str, host: Host) -> None:
        self.host_name, self.host = host_name, host
        self.name = f"ollama tags of {host_name}"

    async def search(self, category: str, http: httpx2.AsyncClient) -> list[Found]:
        root = (self.host.url or "").removesuffix("/").removesuffix("/v1")
        reply = await get_json(http, self.name, f"{root}/api/tags")
        return read(entries(self.name, reply, "models"), self._fields)

    def _fields(self, entry: Mapping[str, object]) -> dict[str, object]:
        details = entry.get("details")
        known: Mapping[str, object] = details if isinstance(details, dict) else {}
        size = _SIZE.fullmatch(str(known.get("parameter_size", "")).strip())
        return {
            "source": self.name,
            "host": self.host_name,
            "id": entry.get("model") or entry.get("name"),
            "architecture": known.get("family") or None,
            "parameters": float(size[1]) * _UNITS[size[2].upper()] if size else None,
            "context": _positive(known.get("context_length")),
            "cost": {"input": 0.0, "output": 0.0},
        }


class OwnSource:
    """The models of this application's own hosts: the embedded LLaMA and the simulated ones.

    A simulated host has the models of its providers and those that the catalogue gives it.
    """

    deadline_s = HOST_DEADLINE_S
    cached = False

    def __init__(self, host_name: str, settings: Settings, catalogue: Catalogue) -> None:
        self.host_name, self.settings, self.catalogue = host_name, settings, catalogue
        self.name = f"host {host_name}"

    async def search(self, category: str, http: httpx2.AsyncClient) -> list[Found]:
        mine = [p for p in self.settings.providers if p.host == self.host_name and not p.disabled]
        listed: dict[str, Mapping[str, object]] = {}
        if self.settings.hosts[self.host_name].kind == "simulated":
            entries = (e for e in self.catalogue.entries if self.host_name in e.ids)
            listed = {e.ids[self.host_name]: simulated(e, self.host_name) for e in entries}
        listed |= {p.resolved_model: self._fields(p) for p in mine}
        return read(listed.values(), dict)

    def _fields(self, provider: Provider) -> Mapping[str, object]:
        return {
            "source": self.name,
            "host": self.host_name,
            "id": provider.resolved_model,
            "context": provider.context,
            "cost": provider.cost and provider.cost.model_dump(),
        }


def cost(pricing: object, *, free: bool = False) -> dict[str, float] | None:
    """USD per million tokens, from either convention; None if not stated.

    `prompt` and `completion` are USD per token (OpenRouter, Groq), `input` and `output` USD per
    million (Together, Hugging Face). Two zeros at a paid host mean that the fields were not filled
    in; a negative price (OpenRouter's own router) means that it varies.
    """
    if free:
        return {"input": 0.0, "output": 0.0}
    if not isinstance(pricing, dict):
        return None
    for keys, scale in ((("prompt", "completion"), 1e6), (("input", "output"), 1.0)):
        if all(key in pricing for key in keys):
            prices = [number(pricing[key]) for key in keys]
            if None in prices or min(p for p in prices if p is not None) < 0 or not any(prices):
                return None
            given, returned = (round(price * scale, 6) for price in prices if price is not None)
            return {"input": given, "output": returned}
    return None


def number(value: object) -> float | None:
    """A finite number, also if it is written as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if abs(result) < 1e18 else None


def _positive(value: object) -> int | None:
    found = number(value)
    return int(found) if found is not None and found >= 1 else None


def _context(entry: Mapping[str, object]) -> int | None:
    names = ("context_length", "context_window", "max_model_len", "max_context_length")
    return next((n for name in names if (n := _positive(entry.get(name)))), None)


def _places(entry: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """The partners behind one entry of a host that forwards to several (Hugging Face)."""
    listed = entry.get("providers")
    for place in listed if isinstance(listed, list) else ():
        if isinstance(place, dict) and place.get("status", "live") == "live":
            yield place


def makes_text(entry: Mapping[str, object]) -> bool:
    """False for an entry that declares output other than text: images, speech or embeddings."""
    architecture = entry.get("architecture")
    made = architecture.get("output_modalities") if isinstance(architecture, dict) else None
    made = made or entry.get("output_modalities")
    makes = made if made and isinstance(made, list | str) else ["text"]
    kind = entry.get("type", "chat")
    return "text" in makes and kind in ("chat", "language", "model", "code", None)
