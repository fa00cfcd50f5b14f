"""The Hugging Face Hub: new and popular LLaMAs, and files that this machine can load."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from discovery.identity import tuned
from discovery.sources.hub_client import Bounds, HubPlace, bounded
from discovery.sources.source import Found, Gguf, SourceError, read

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi, ModelInfo

DEADLINE_S = 15.0
PAGE = 40
LOOKED_INTO = 10
"""How many GGUF repositories are asked for their files in one search."""

_EXPAND = (
    "cardData",
    "config",
    "createdAt",
    "downloads",
    "gated",
    "gguf",
    "likes",
    "safetensors",
    "sha",
    "tags",
)
_QUERIES: tuple[dict[str, object], ...] = (
    {"filter": "llama", "pipeline_tag": "text-generation", "sort": "trending_score"},
    {"filter": "llama", "pipeline_tag": "text-generation", "sort": "downloads"},
    {"filter": "gguf", "search": "llama", "sort": "downloads"},
)
SEARCH_WORDS = {"technical": "coder", "creative": "writer"}
_BYTES_A_PARAMETER = 0.6
"""The smallest four-bit weights that are worth loading."""
_PACKED = {"4-bit", "8-bit", "awq", "gptq", "bitsandbytes", "compressed-tensors", "fp8"}
_BASE = re.compile(r"^base_model:(?:(?:finetune|merge|adapter|quantized):)?(?=[^:]+/[^:]+$)")
_TAG = re.compile(r"^[a-z0-9][\w.+-]{0,31}$", re.IGNORECASE)
_PREFERRED = ("q4_k_m", "q4_k_s", "q5_k_m", "q4_0", "q4_1", "q5_k_s", "iq4_xs", "q6_k", "q8_0")
_PART = re.compile(r"-\d{5}-of-\d{5}|mmproj|imatrix", re.IGNORECASE)


class HubSource:
    """Text-generation models of LLaMA's architecture: newest, most used, and for the category.

    `memory` is the size in bytes of the largest weights this machine could load; larger files are
    not offered.
    """

    name = "hub"
    deadline_s = DEADLINE_S
    cached = True

    def __init__(self, memory: int, place: HubPlace | None = None) -> None:
        self.memory = memory
        self.place = place or HubPlace()

    async def search(self, category: str, http: httpx2.AsyncClient) -> list[Found]:
        until = time.time() + self.deadline_s - 0.5
        return await asyncio.to_thread(self._search, category, until)

    def _search(self, category: str, until: float) -> list[Found]:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        hub = self.place.endpoint
        try:
            with bounded(Bounds(hub, until)):
                api = HfApi(endpoint=hub, token=self.place.key)
                return self._with_files(api, self._listed(api, category))
        except OfflineModeIsEnabled:
            raise SourceError("hub: switched off by HF_HUB_OFFLINE") from None
        except HfHubHTTPError as error:
            status = error.response.status_code
            raise SourceError(f"hub: {hub} answered with status {status}") from None

    def _listed(self, api: HfApi, category: str) -> dict[str, Found]:
        found: dict[str, Found] = {}
        for query in _queries(category):
            try:
                found |= {one.id: one for one in self._list(api, query)}
            except SourceError as error:
                raise SourceError(str(error), list(found.values())) from error
        return found

    def _list(self, api: HfApi, query: Mapping[str, object]) -> Iterable[Found]:
        listed = api.list_models(**query, limit=PAGE, expand=list(_EXPAND))  # type: ignore[arg-type]
        return read(_whole(listed), _fields)

    def _with_files(self, api: HfApi, found: dict[str, Found]) -> list[Found]:
        small = [
            f
            for f in found.values()
            if "gguf" in f.tags
            and not f.gated
            and f.parameters
            and f.parameters * _BYTES_A_PARAMETER < self.memory
        ]
        small.sort(key=lambda f: -(f.downloads or 0))
        for candidate in small[:LOOKED_INTO]:
            try:
                info = api.model_info(candidate.id, files_metadata=True)
            except SourceError:
                break  # out of time or rate-limited: the models listed so far are still useful
            gguf = best_file(info, self.memory)
            found[candidate.id] = candidate.model_copy(update={"gguf": gguf})
        return list(found.values())


def _queries(category: str) -> Iterable[dict[str, object]]:
    yield from _QUERIES
    if category in SEARCH_WORDS:
        yield {**_QUERIES[0], "search": SEARCH_WORDS[category]}


def _whole(listed: Iterable[ModelInfo]) -> Iterable[ModelInfo]:
    """The library's objects; an entry of an unknown shape ends the list."""
    try:
        yield from listed
    except (KeyError, TypeError, ValueError, AttributeError):
        return


def _fields(info: ModelInfo) -> dict[str, object]:
    tags = [tag for tag in info.tags or () if isinstance(tag, str)]
    gguf = info.gguf if isinstance(info.gguf, dict) else {}
    config = info.config if isinstance(info.config, dict) else {}
    packed = _PACKED & set(tags)
    weights = info.safetensors.total if info.safetensors and not packed else None
    base = next((tag for tag in tags if tag.startswith("base_model:quantized:")), None)
    return {
        "source": HubSource.name,
        "id": info.id,
        "also": base.removeprefix("base_model:quantized:") if base else None,
        "bases": tuple(dict.fromkeys(_BASE.sub("", t) for t in tags if _BASE.match(t)))[:8],
        "architecture": gguf.get("architecture") or config.get("model_type"),
        "chat": True if "conversational" in tags or tuned(info.id) else None,
        "parameters": gguf.get("total") or weights,
        "context": gguf.get("context_length"),
        "licence": _licence(info, tags),
        "released": info.created_at.date().isoformat() if info.created_at else None,
        "downloads": info.downloads,
        "likes": info.likes,
        "tags": tuple(tag for tag in tags if _TAG.match(tag))[:24],
        "gated": bool(info.gated),
    }


def _licence(info: ModelInfo, tags: Iterable[str]) -> str | None:
    card = vars(info.card_data) if info.card_data else {}
    said = card.get("license")
    if said == "other":
        said = card.get("license_name") or said
    tagged = (t.removeprefix("license:") for t in tags if t.startswith("license:"))
    return said if isinstance(said, str) else next(tagged, None)


def best_file(info: ModelInfo, memory: int) -> Gguf | None:
    """The GGUF file to load here: four-bit first, complete, and small enough."""
    files = {
        sibling.rfilename: sibling.lfs
        for sibling in info.siblings or ()
        if sibling.lfs
        and sibling.rfilename.endswith(".gguf")
        and not _PART.search(sibling.rfilename)
        and sibling.lfs.size <= memory
    }

    def rank(name: str) -> tuple[int, int]:
        said = name.lower().replace("-", "_")
        place = next((i for i, q in enumerate(_PREFERRED) if q in said), len(_PREFERRED))
        return place, files[name].size

    if not files:
        return None
    chosen = min(files, key=rank)
    try:
        return Gguf(
            repository=info.id,
            revision=info.sha or "",
            file=chosen,
            size=files[chosen].size,
            sha256=files[chosen].sha256,
        )
    except ValidationError:
        return None  # a name or hash that no valid file has
