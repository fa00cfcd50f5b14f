"""Makes a request of the log a probe of its category, through the editor of the configuration.

Only for whoever signed in, or sits at this machine; never on a Space.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import gradio as gr

from config.errors import RouterError, UsageError
from config.made_probes import KINDS, LEVELS, NewProbe, add_probe, difference
from ui.blocks import AT_ONCE, widget
from ui.boards.changes import reason_of, take_back
from ui.chat_service import ChatService
from ui.permissions import by_whom, may_change
from ui.wording import CHANGES, say, sentence

_NO_ID = re.compile(r"[^a-z0-9]")


def probes_part(service: ChatService) -> None:
    """The form beside a request that is open in the Log."""
    router = service.router

    def shown(request: gr.Request, **said: object) -> dict[str, object]:
        return {
            "may": may_change(request),
            "categories": list(router.settings.categories),
            "kinds": [{"kind": kind, "label": say(f"probes.{kind}")} for kind in KINDS],
            "levels": list(LEVELS),
            **said,
        }

    def wanted(sent: Mapping[str, Any], request: gr.Request) -> NewProbe:
        if not may_change(request):
            raise UsageError(CHANGES["refused"], "probe")
        category = str(sent.get("category"))
        if category not in router.settings.categories:
            raise UsageError(say("probes.no_category"), "category")
        given = {name: str(sent.get(name) or "") for name in ("prompt", "kind", "expected")}
        return NewProbe(named(sent), category, level=str(sent.get("level")), **given)

    def refresh(request: gr.Request) -> object:
        return shown(request)

    async def look(event: gr.EventData, request: gr.Request) -> object:
        settings, sent = router.settings, event._data or {}
        folders = settings.config_dir, settings.data_dir
        try:
            lines = await asyncio.to_thread(difference, *folders, wanted(sent, request))
        except RouterError as error:
            return shown(request, problem=sentence(str(error)))
        return shown(request, lines=lines)

    async def make(event: gr.EventData, request: gr.Request) -> object:
        settings, sent = router.settings, event._data or {}
        folders = settings.config_dir, settings.data_dir
        try:
            one, reason, by = wanted(sent, request), reason_of(sent), by_whom(request)
            change = await asyncio.to_thread(add_probe, *folders, one, f"{reason} ({by})")
        except RouterError as error:
            return shown(request, problem=sentence(str(error)))
        detail = {"reason": reason, "by": by, "category": one.category}
        await router.services.log.audit("config.changed", change.subject, detail)
        return shown(request, said=say("probes.made", category=one.category), made=change.id)

    async def undo(request: gr.Request) -> object:
        return shown(request, **await take_back(router, request))

    form = widget("probe", None, elem_id="probe", events=("look", "make", "undo"))
    form.refresh(refresh, None, form, **AT_ONCE)
    form.look(look, None, form, **AT_ONCE)
    form.make(make, None, form, **AT_ONCE)
    form.undo(undo, None, form, **AT_ONCE)


def named(sent: Mapping[str, Any]) -> str:
    """The probe's name, by its request's."""
    return f"request-{_NO_ID.sub('', str(sent.get('request_id')).lower())[:24]}"
