"""LMArena's ratings from its public data set on the hub (CC-BY-4.0), newer than the shipped ones.

The data set has one row for each model and prompt category: `model_name`, `rating`, `rating_lower`,
`rating_upper`, `category`, `leaderboard_publish_date`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from config.evidence import Evidence
from discovery.identity import family, key
from discovery.sources.hub_client import Bounds, HubPlace, bounded
from discovery.sources.source import Found, SourceError, read

if TYPE_CHECKING:
    import httpx2

REPOSITORY = "lmarena-ai/leaderboard-dataset"
DEADLINE_S = 20.0
ENOUGH = 8
"""How many models of the shipped file a live answer must rate before it replaces its figures."""


class ArenaSource:
    """Figures of the LLaMAs in the arena; they alone do not make a candidate."""

    name = "lmarena"
    deadline_s = DEADLINE_S
    cached = True

    def __init__(self, known: Evidence, place: HubPlace | None = None) -> None:
        self.known = known
        self.place = place or HubPlace()

    async def search(self, category: str, http: httpx2.AsyncClient) -> list[Found]:
        until = time.time() + self.deadline_s - 0.5
        return await asyncio.to_thread(self._search, until)

    def _search(self, until: float) -> list[Found]:
        wanted = {b.arena: name for name, b in self.known.benchmarks.items() if b.arena}
        subsets = {place.split("/")[0] for place in wanted}
        found: dict[str, dict[str, dict[str, object]]] = {}
        with bounded(Bounds(self.place.endpoint, until, elsewhere=True)):
            rows = [(subset, row) for subset in sorted(subsets) for row in self._rows(subset)]
        for subset, row in rows:
            benchmark = wanted.get(f"{subset}/{row.get('category')}")
            model = str(row.get("model_name"))
            if benchmark and (name := self._hub_name(model)):
                found.setdefault(name, {}).setdefault(benchmark, self._figure(row))
        described = ({"id": name, "figures": figures} for name, figures in found.items())
        return read(described, lambda one: {"source": self.name, "evidence_only": True, **one})

    def _hub_name(self, model: str) -> str | None:
        """The hub's name for a model, or the arena's own if that names a LLaMA."""
        return self.known.arena_names.get(model) or (model if family(model).llama else None)

    def _figure(self, row: Mapping[str, Any]) -> dict[str, object]:
        low, high = row.get("rating_lower"), row.get("rating_upper")
        return {
            "value": round(float(row["rating"]), 1),
            "error": round((high - low) / 2, 1) if low is not None and high is not None else 0.0,
            "date": str(row.get("leaderboard_publish_date"))[:10],
            "source": f"https://huggingface.co/datasets/{REPOSITORY}",
        }

    def _rows(self, subset: str) -> Iterator[Mapping[str, object]]:
        import pyarrow
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
        from pyarrow import parquet

        file = f"{subset}/latest-00000-of-00001.parquet"
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = hf_hub_download(
                    REPOSITORY,
                    file,
                    repo_type="dataset",
                    endpoint=self.place.endpoint,
                    token=self.place.key,
                    cache_dir=folder,
                )
                rows: Iterable[Mapping[str, object]] = parquet.read_table(path).to_pylist()
        except (HfHubHTTPError, LocalEntryNotFoundError):
            raise SourceError(f"{self.name}: {file} is not at {self.place.endpoint}") from None
        except (pyarrow.ArrowInvalid, OSError):
            raise SourceError(f"{self.name}: {file} is not a readable table") from None
        yield from rows


def newest(known: Evidence, found: Iterable[Found]) -> set[str]:
    """The benchmarks that live figures replace as a whole, since ratings of two days do not mix.

    Only if enough of the known models are rated: they link the scales.
    """
    names = {key(model) for model, row in known.figures.items() if row}
    counts = Counter(n for one in found if key(one.id) in names for n in one.figures)
    return {n for n, count in counts.items() if n in known.benchmarks and count >= ENOUGH}
