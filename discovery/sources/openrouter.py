"""OpenRouter's public list: market prices, and when each model appeared there.

Needs no key. It does not show where this application could be served: a configured host at
OpenRouter lists its models itself, like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from discovery.sources.hosts import cost, makes_text, number
from discovery.sources.source import Found, SourceError, entries, get_json, read

if TYPE_CHECKING:
    import httpx2

BASE_URL = "https://openrouter.ai/api/v1"
DEADLINE_S = 8.0
PAGES = 5


class OpenRouterSource:
    """`GET /models`, page by page if it is paged."""

    name = "openrouter"
    deadline_s = DEADLINE_S
    cached = True

    def __init__(self, base_url: str = BASE_URL) -> None:
        self.base_url = base_url.rstrip("/")

    async def search(self, category: str, http: httpx2.AsyncClient) -> list[Found]:
        url: str | None = f"{self.base_url}/models"
        found: list[Found] = []
        for _ in range(PAGES):
            if url is None:
                break
            reply = await get_json(http, self.name, url)
            listed = entries(self.name, reply, "data")
            found += read(filter(makes_text, listed), _fields)
            url = self._next(url, reply)
        return found

    def _next(self, url: str, reply: object) -> str | None:
        links = reply.get("links") if isinstance(reply, dict) else None
        following = links.get("next") if isinstance(links, dict) else None
        if not isinstance(following, str) or not following:
            return None
        target = urljoin(url, following)
        if urlsplit(target)[:2] != urlsplit(self.base_url)[:2]:
            raise SourceError(f"{self.name} points to another host for its next page: refused")
        return target


def _fields(entry: Mapping[str, object]) -> dict[str, object]:
    architecture = entry.get("architecture")
    made: Mapping[str, object] = architecture if isinstance(architecture, dict) else {}
    tokenizer = str(made.get("tokenizer") or "").lower()
    created = number(entry.get("created"))
    also = entry.get("hugging_face_id")
    return {
        "source": OpenRouterSource.name,
        "id": entry.get("id"),
        "also": also if isinstance(also, str) and "/" in also else None,
        # It names the tokenizer, which LLaMA's makers share with nobody but LLaMA's children;
        # `Other` and the rest say nothing certain, so the name decides there.
        "architecture": tokenizer if tokenizer.startswith("llama") else None,
        "chat": True if made.get("instruct_type") else None,
        "context": int(length) if (length := number(entry.get("context_length"))) else None,
        "cost": cost(entry.get("pricing"), free=str(entry.get("id")).endswith(":free")),
        "released": _day(created),
    }


def _day(created: float | None) -> str | None:
    """The day of a Unix time, if plausible: LLaMA appeared in 2023."""
    if created is None or not 1.6e9 < created < 4e9:
        return None
    return datetime.fromtimestamp(created, UTC).date().isoformat()
