"""Each provider: may it be asked, how well does it do, what has it cost today?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TypedDict

import gradio as gr

from config.hosts import Cost
from config.models import Ranking, Settings
from race.budget import Allowance
from race.capabilities import Known
from race.permits import is_free
from routing.ranking.evidence import percentile
from routing.ranking.reward import success
from runtime.reports import ProviderHealth
from telemetry.records import InteractionRow
from ui import wording
from ui.blocks import AT_ONCE, widget
from ui.boards.keys import keys_part
from ui.boards.new_model import new_model_part
from ui.chat_service import ChatService
from ui.wording import say, sentence

EVERY_S = 2.0
RECENT = 400
"""Requests that the figures are taken from."""
SUCCESS = say("providers.success_last_requests", recent=RECENT)
UNTIL = say("providers.until_midnight_utc")

_BREAKERS = {
    "closed": ("done", say("providers.breaker_closed_it")),
    "open": ("failed", say("providers.breaker_open_it")),
    "half_open": ("late", say("providers.breaker_half_open")),
}


def providers_tab(service: ChatService, *, write: bool, allow_keys: bool = False) -> None:
    async def refresh() -> object:
        router = service.router
        rows = await router.interactions(limit=RECENT)
        spent = await router.services.log.spent_today()
        return board(router.health()["providers"], rows, spent, service)

    with gr.Tab("Providers", id="providers"):
        shown = widget("providers", None, elem_id="providers", every_s=EVERY_S)
        shown.refresh(refresh, None, shown, **AT_ONCE)
        if write:
            keys_part(service, allow_keys=allow_keys)
            new_model_part(service)


def board(
    health: Mapping[str, ProviderHealth],
    rows: Iterable[InteractionRow],
    spent: Mapping[str, float],
    service: ChatService,
) -> dict[str, object]:
    figures = seen(rows, service.router.settings.ranking)
    allowance = Allowance(service.router.settings.budget, spent)
    unseen: Seen = {"calls": 0, "ok": 0, "first": []}
    settings = service.router.settings
    unset = [name for name in health if settings.provider(name).disabled]
    cards = [
        _card(name, one, figures.get(name, unseen), allowance, service)
        for name, one in health.items()
        if name not in unset
    ]
    return {
        "cards": sorted(cards, key=lambda card: card["state"] == "off"),
        "unset": _unset(unset, settings),
        "budget": overall(allowance),
    }


def _unset(names: list[str], settings: Settings) -> dict[str, object] | None:
    """One card for all that lack a key or an address; each with its reason."""
    if not names:
        return None
    said = say("providers.more", n=len(names)) if len(names) > 1 else say("providers.more_one")
    each = [{"name": name, "why": settings.provider(name).disabled} for name in names]
    return {"said": said, "how": say("providers.more_how"), "each": each}


def overall(allowance: Allowance) -> dict[str, object]:
    """What today cost of what it may cost, and what follows from that, in words."""
    limit, lean = allowance.budget.daily_usd, allowance.lean
    spent = say("providers.spent_today", total=spent_so_far(allowance.total))
    if limit is None:
        return {
            "state": "",
            "said": say("providers.without_a_limit", spent=spent),
            "word": "",
            "share": None,
        }
    said = f"{spent} of {wording.usd(limit)}."
    if lean >= 1.0:
        state, word = "failed", say("providers.limit_reached_paid", until=UNTIL)
    elif lean > 0.0:
        state, word = "late", say("providers.leaning_to_cheap")
    else:
        state, word = "done", say("providers.within_the_limit")
    share = 1.0 if limit <= 0 else min(1.0, allowance.total / limit)
    return {"state": state, "said": said, "word": word, "share": share}


class Seen(TypedDict):
    """What a provider's last calls came to."""

    calls: int
    ok: float  # a late answer is worth a part of one
    first: list[float]  # milliseconds to the first token


def seen(rows: Iterable[InteractionRow], weights: Ranking) -> dict[str, Seen]:
    """By provider: calls, calls that succeeded, and times to the first token, of these requests.

    What succeeded is what the ranking says: a call that was cancelled or skipped, and one that
    failed by its caller's fault, say nothing about the provider.
    """
    found: dict[str, Seen] = defaultdict(lambda: {"calls": 0, "ok": 0, "first": []})
    for row in rows:
        for attempt in row.get("attempts") or []:
            worth = success(attempt["outcome"], attempt.get("error"), weights)
            if worth is None:
                continue
            mine = found[attempt["provider"]]
            mine["calls"] += 1
            mine["ok"] += worth
            if (first_ms := attempt.get("ttft_ms")) is not None:
                mine["first"].append(first_ms)
    return dict(found)


def spent_so_far(usd: float) -> str:
    return wording.usd(usd) if usd else "$0"


def _card(
    name: str,
    one: ProviderHealth,
    mine: Seen,
    allowance: Allowance,
    service: ChatService,
) -> dict[str, object]:
    settings, kind = service.router.settings, service.display.kind(name)
    barred = allowance.barred(name, free=is_free(settings, settings.provider(name)))
    state, word, why = _may_be_asked(one, barred)
    calls, first = mine["calls"], mine["first"]
    limit, cost = allowance.budget.providers.get(name), allowance.spent.get(name, 0.0)
    return {
        "name": name,
        "kind": kind,
        "mark": wording.KINDS[kind],
        "model": one["model"],
        "host": one["host"],
        "state": state,
        "word": word,
        "why": why,
        "figures": [
            [
                say("providers.success_last_requests", recent=RECENT),
                wording.percent(mine["ok"] / calls) if calls else "–",
            ],
            ["Calls", str(calls)],
            [say("providers.first_word_median"), wording.seconds(percentile(first, 0.5))],
            ["First word, 95 %", wording.seconds(percentile(first, 0.95))],
            ["Cost today", spent_so_far(cost)],
            ["Daily limit", "none" if limit is None else wording.usd(limit)],
            *_old_price(settings.provider(name).cost),
        ],
        "abilities": abilities(one["capabilities"]),
        "share": None if limit is None else 1.0 if limit <= 0 else min(1.0, cost / limit),
        "spending": "failed" if limit is not None and cost >= limit else "done",
    }


def abilities(known: Known) -> list[list[str]]:
    """What it can do beside text: declared, missing, and refused by its host."""
    declared, lacks, learned = known["declared"], known["lacks"], known["learned"]
    if declared is not None:
        said = [["Declared", _names(declared) or "text alone"]]
    elif lacks and not learned:
        said = [["Not declared", say("providers.text_alone_as")]]
    else:
        said = [["Not declared", say("providers.asked_for_everything")]]
    said += [["Cannot", _names(lacks)]] if lacks else []
    return said + [[f"Refused {_names([name])}", words] for name, words in learned.items()]


def _names(capabilities: Iterable[str]) -> str:
    return ", ".join(wording.CAPABILITIES.get(name, name) for name in capabilities)


def _old_price(cost: Cost | None) -> list[list[str]]:
    """A mark for a price that nobody has looked at for ninety days."""
    days = cost.days_old(datetime.now(UTC).date()) if cost else None
    return [["Price", say("providers.days_old", days=days)]] if days else []


def _may_be_asked(one: ProviderHealth, barred: str | None) -> tuple[str, str, str]:
    """State, the state in words, and why."""
    breaker = one["breaker"]
    if one["unavailable"]:
        return "off", "Not available", one["unavailable"]
    if barred:
        return "failed", say("providers.limit_reached_it", until=UNTIL), sentence(barred)
    state, word = _BREAKERS[breaker["state"]]
    if breaker["state"] == "open":
        word += say("providers.for_s_more", retry_in_s=f"{breaker['retry_in_s']:.0f}")
    return state, word, breaker["why"] if breaker["state"] != "closed" else ""
