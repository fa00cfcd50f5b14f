"""The dry run: where would this prompt go, and why? No model is called."""

from __future__ import annotations

import asyncio

import gradio as gr

from config.errors import RouterError
from race.breaker import Snapshot
from ui import wording
from ui.blocks import AT_ONCE, widget
from ui.chat_service import ChatService
from ui.picture import shown_route
from ui.wording import say, sentence


def route_tab(service: ChatService) -> None:
    async def show(prompt: str) -> object:
        if not (prompt or "").strip():
            return None
        try:
            return await board(service, prompt)
        except RouterError as error:
            return {"problem": sentence(str(error))}

    with gr.Tab("Dry run", id="route"):
        box = gr.Textbox(
            label="Prompt",
            show_label=False,
            placeholder=say("route.where_would_this"),
            submit_btn=say("route.show_the_route"),
            elem_id="route-prompt",
            elem_classes="rt-prompt",
        )
        shown = widget("route", None, elem_id="route")
        box.submit(show, box, shown, trigger_mode="multiple", **AT_ONCE)


async def board(service: ChatService, prompt: str) -> dict[str, object]:
    """The route with what each of its models is, and which would be passed over now."""
    router = service.router
    route = await asyncio.to_thread(router.route, prompt)
    health = router.health()["providers"]
    order = [_step(name, health[name]["breaker"], service) for name in route["order"]]
    fallback = router.settings.fallback.provider
    limits = router.settings.limits_for(route["category"])
    return {
        **shown_route(route),
        "confidence": wording.percent(route["confidence"]),
        "margin": wording.percent(route["margin"]),
        "steps": order,
        "fallback": _step(fallback, health[fallback]["breaker"], service),
        "limit": wording.seconds(limits.ttft_s * 1000),
        "propensity": wording.percent(route["propensity"]),
    }


def _step(name: str, breaker: Snapshot, service: ChatService) -> dict[str, object]:
    kind = service.display.kind(name)
    left = breaker["state"] == "open"
    why = (
        say("route.left_alone_for", retry_in_s=f"{breaker['retry_in_s']:.0f}", why=breaker["why"])
        if left
        else ""
    )
    return {"name": name, "kind": kind, "mark": wording.KINDS[kind], "why": why}
