"""What if: sliders for the ranking's weights; the order and the bill of the last days under them.

Nothing is changed: the estimate is that of `--replay FILE --weights`, over the log's own requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import gradio as gr

from config.errors import RouterError, UsageError
from config.models import Ranking as Weights
from runtime.whatif import MOST, WhatIf, changed, last_days
from ui.blocks import AT_ONCE, widget
from ui.chat_service import ChatService
from ui.wording import say, sentence

SLIDERS: Mapping[str, str] = {
    "cost_weight": say("whatif.what_cost_takes"),
    "latency_weight": say("whatif.what_latency_takes"),
    "feedback_weight": say("whatif.what_a_thumb"),
    "late_credit": say("whatif.what_a_late"),
}
"""The weights that have a slider, each from 0 to 1."""
DAYS = {"1": 1.0, "7": 7.0, "30": 30.0}


def what_if_part(service: ChatService) -> None:
    """Below the ranking, in its tab."""
    router, one_at_a_time = service.router, asyncio.Lock()
    shown = widget("whatif", None, elem_id="whatif", events=("ask",))

    def offer() -> object:
        return {"sliders": sliders(router.settings.ranking), "days": [*DAYS]}

    async def ask(event: gr.EventData) -> object:
        sent = event._data or {}
        try:
            weights = changed(router.settings.ranking, str(sent.get("weights")))
            days = days_of(sent.get("days"))
            async with one_at_a_time:
                found = await last_days(router.services, weights, days)
        except RouterError as error:
            return {"problem": sentence(str(error))}
        return answer(found)

    shown.refresh(offer, None, shown, **AT_ONCE)
    shown.ask(ask, None, shown, **AT_ONCE)


def sliders(weights: Weights) -> list[dict[str, object]]:
    """Each slider at the weight in force."""
    return [
        {"name": name, "label": label, "value": getattr(weights, name)}
        for name, label in SLIDERS.items()
    ]


def days_of(sent: object) -> float:
    if str(sent) not in DAYS:
        raise UsageError(say("whatif.choose_days", days=", ".join(DAYS)), "days")
    return DAYS[str(sent)]


def answer(found: WhatIf) -> dict[str, object]:
    """What was and what would have been, ready to be drawn."""
    counted = say("whatif.of_requests_were", drawn=found.drawn, requests=found.requests)
    if found.requests >= MOST:
        counted += say("whatif.of_more_than", most=f"{MOST:,}")
    return {
        "orders": [
            {"category": name, "was": " > ".join(was), "would": " > ".join(would)}
            for name, (was, would) in found.orders.items()
        ],
        "figures": [list(one) for one in found.figures()],
        "counted": f"{counted}.",
        "missing": sentence(found.missing) if found.missing else None,
    }
