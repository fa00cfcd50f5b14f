"""What passed through in an hour, a day or a week: how much, how well, how quickly, at what price.

Requests are counted; where there are many in a part of the time, all other figures come from a
sample of them (see `telemetry.traffic`), and the board says so.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import gradio as gr

from config.errors import RouterError
from config.models import Settings
from routing.ranking.evidence import percentile
from telemetry.traffic import Part, Passed
from ui import wording
from ui.blocks import AT_ONCE, widget
from ui.chat_service import ChatService
from ui.wording import say

EVERY_S = 10.0
PERIODS = {"hour": (3_600.0, 30), "day": (86_400.0, 24), "week": (7 * 86_400.0, 28)}
"""Seconds, and in how many parts they are drawn."""
SHARES = 6
"""Models and categories that are named; the rest are one."""


def overview_tab(service: ChatService) -> None:
    with gr.Tab("Overview", id="overview"):
        shown = widget("overview", None, elem_id="overview", every_s=EVERY_S)

    async def look(event: gr.EventData) -> object:
        period = str((event._data or {}).get("period", "day"))
        seconds, parts = PERIODS.get(period, PERIODS["day"])
        now = time.time()
        try:
            found = await service.router.services.log.traffic(now - seconds, now, parts)
        except RouterError as error:
            return {"problem": wording.sentence(str(error))}
        return {"period": period, **board(found, service.router.settings)}

    shown.refresh(look, None, shown, **AT_ONCE)


def board(parts: Sequence[Part], settings: Settings) -> dict[str, object]:
    """The figures of all parts together, and each part for the chart."""
    figures = Figures(parts)
    seen = [one for part in parts for one in part.sample]
    return {
        "figures": [*figures.tiles(), *_saved(figures, settings)],
        "parts": [_part(part) for part in parts],
        "models": _shares(one.winner or "nobody" for one in seen),
        "categories": _shares(one.category or "none" for one in seen),
        "requests": figures.requests,
        "sampled": len(seen) if len(seen) < figures.requests else None,
    }


@dataclass(frozen=True)
class Figures:
    """Sums over a sample are scaled, part by part, to all requests of the part."""

    parts: Sequence[Part]

    @property
    def requests(self) -> int:
        return sum(part.requests for part in self.parts)

    def share(self, of: Callable[[Passed], bool]) -> float | None:
        return self.total(of) / self.requests if self.requests else None

    def total(self, of: Callable[[Passed], float]) -> float:
        sums = ((p, sum(of(one) for one in p.sample)) for p in self.parts if p.sample)
        return sum(found * part.requests / len(part.sample) for part, found in sums)

    def percentile(self, of: Callable[[Passed], float | None], share: float) -> str:
        values = [of(one) for part in self.parts for one in part.sample]
        return wording.seconds(percentile([v for v in values if v is not None], share))

    def tiles(self) -> list[list[str]]:
        """Name, value and a note of each figure."""
        done = self.share(lambda one: one.success)
        spoken = self.share(lambda one: bool(one.success and one.fallback_used))
        left = self.share(lambda one: bool(one.stopped))
        tokens = self.total(tokens_of)
        return [
            ["Requests", f"{self.requests:,}", ""],
            ["Answered", wording.percent(done), say("overview.of_all_requests")],
            [
                say("overview.by_the_fallback"),
                wording.percent(spoken),
                say("overview.of_all_requests"),
            ],
            ["Stopped", wording.percent(left), say("overview.by_whoever_asked")],
            ["First word", self.percentile(first, 0.5), f"95 %: {self.percentile(first, 0.95)}"],
            ["Whole answer", self.percentile(whole, 0.5), f"95 %: {self.percentile(whole, 0.95)}"],
            ["Cost", wording.usd(self.total(cost)) if self.requests else "–", _unpriced(self)],
            ["Tokens", f"{tokens:,.0f}", say("overview.of_the_answers")],
        ]


def first(one: Passed) -> float | None:
    return one.ttft_ms if one.success else None


def whole(one: Passed) -> float | None:
    return one.latency_ms if one.success else None


def cost(one: Passed) -> float:
    return one.cost_usd or 0.0


def tokens_of(one: Passed) -> int:
    return (one.tokens_in or 0) + (one.tokens_out or 0)


def _unpriced(figures: Figures) -> str:
    unknown = figures.share(lambda one: one.cost_usd is None)
    return say("overview.with_a_price", unknown=wording.percent(unknown)) if unknown else ""


def _saved(figures: Figures, settings: Settings) -> list[list[str]]:
    """What the same tokens would have cost more at the dearest model; nothing where none has a
    price."""
    priced = [(p.name, p.cost) for p in settings.providers if p.cost and p.disabled is None]
    if not priced or not figures.requests:
        return []
    name, dearest = max(priced, key=lambda one: one[1].input + one[1].output)

    def there(one: Passed) -> float:
        taken, given = one.tokens_in or 0, one.tokens_out or 0
        return (taken * dearest.input + given * dearest.output) / 1e6

    saved = max(0.0, figures.total(there) - figures.total(cost))
    return [
        [
            "Saved, estimated",
            wording.usd(saved) if saved else "$0",
            say("overview.against_always", name=name),
        ]
    ]


def _part(part: Part) -> dict[str, object]:
    """One bar: how many, of which so many failed or were answered by the fallback."""
    scale = part.requests / len(part.sample) if part.sample else 0.0
    failed = sum(not one.success and not one.stopped for one in part.sample)
    spoken = sum(bool(one.success and one.fallback_used) for one in part.sample)
    late = percentile([one.ttft_ms for one in part.sample if one.ttft_ms is not None], 0.95)
    return {
        "start": part.start,
        "end": part.end,
        "requests": part.requests,
        "failed": round(failed * scale),
        "fallback": round(spoken * scale),
        "first": wording.seconds(late),
    }


def _shares(names: Iterable[str]) -> list[dict[str, object]]:
    counted = Counter(names)
    total, most = counted.total(), counted.most_common(SHARES)
    rest = total - sum(count for _, count in most)
    named = [*most, ("all others", rest)] if rest else most
    return [
        {"name": name, "share": count / total, "text": wording.percent(count / total)}
        for name, count in named
    ]
