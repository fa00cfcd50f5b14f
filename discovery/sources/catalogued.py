"""The dated catalogue in the configuration folder: what is known without any network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from config.catalogue import Catalogue, CatalogueEntry
from discovery.scoring import size_value
from discovery.sources.source import Found, read

if TYPE_CHECKING:
    import httpx2


class CatalogueSource:
    """Every entry, with its names at the hosts; the catalogue alone makes none of them servable."""

    name = "catalogue"
    deadline_s = 1.0
    cached = False

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    async def search(self, category: str, http: httpx2.AsyncClient) -> list[Found]:
        return read(self.catalogue.entries, self._fields)

    def _fields(self, entry: CatalogueEntry) -> dict[str, object]:
        ids = list(entry.ids.values())
        return {
            "source": self.name,
            "id": entry.ids.get("huggingface") or next(iter(ids), _slug(entry.name)),
            "title": entry.name,
            "aliases": tuple(ids),
            "bases": (entry.family,),
            "architecture": "llama, by the catalogue",
            "chat": True,
            "parameters": entry.parameters_b * 1e9,
            "active": entry.active_b and entry.active_b * 1e9,
            "thinks": entry.thinks,
            "context": entry.context,
            "licence": entry.licence,
            "commercial": entry.commercial,
            "released": entry.released if len(entry.released) == 10 else f"{entry.released}-01",
            "places": tuple(entry.ids),
            "prices": {name: cost.model_dump() for name, cost in entry.prices.items()},
            "note": entry.note,
            "as_of": self.catalogue.date.isoformat(),
        }


def simulated(entry: CatalogueEntry, host: str) -> Mapping[str, object]:
    """An invented model at a simulated host, which lists what the catalogue gives it.

    Its script follows from its invented size, so that the larger of two is better and slower: with
    a quality of 0.55 at 0.1 billion parameters and 0.99 at 400 billion.
    """
    value = size_value(entry.parameters_b * 1e9)
    cost = entry.prices.get(host)
    return {
        "source": f"host {host}",
        "host": host,
        "id": entry.ids[host],
        "context": entry.context,
        "cost": cost and cost.model_dump(),
        "simulation": {
            "quality": round(0.55 + 0.44 * value, 2),
            "phases": [{"ttft_s": round(0.1 + 0.2 * value, 2), "tokens_per_s": 120}],
        },
    }


def _slug(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name.lower()).strip("-")
