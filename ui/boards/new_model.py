"""A model that somebody adds on the page: through the one editor of `providers.yaml`, seen as a
difference before it is made, and taken back by a click."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from typing import Any

import gradio as gr

from config import editor
from config.addresses import check_key_variable, check_upstream, origin
from config.environment import wrong_base_url
from config.errors import RouterError, UsageError
from config.models import Settings
from ui.blocks import AT_ONCE, widget
from ui.boards.changes import reason_of, take_back
from ui.chat_service import ChatService
from ui.permissions import by_whom, is_here, may_change
from ui.wording import CHANGES, say, sentence

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
LONGEST = 300


def wanted(settings: Settings, sent: Mapping[str, Any], *, here: bool) -> editor.NewModel:
    """The model as it was filled in; raises UsageError in a sentence. Blocks for a name's lookup.

    `here`: whoever sent it sits at this machine, and may name addresses that are not public.
    """
    name, address, model = (_needed(sent, key) for key in ("name", "address", "model"))
    variable = _text(sent, "variable")
    if not _NAME.fullmatch(name):
        raise UsageError(say("add.bad_name"), "name")
    if wrong := wrong_base_url(address):
        raise UsageError(f"`{say('add.address')}` {wrong}", "address")
    if variable:
        check_key_variable(variable)
    check_upstream(address, here=here, keyed=bool(variable))
    host, known = _host(settings, name, address.rstrip("/"), variable)
    entry: dict[str, object] = {"name": name, "host": host, "model": model}
    if cost := _cost(sent):
        entry["cost"] = cost
    return editor.NewModel(entry, known, first=sent.get("place") == "first")


def _text(sent: Mapping[str, Any], key: str) -> str:
    return str(sent.get(key) or "").strip()[:LONGEST]


def _needed(sent: Mapping[str, Any], key: str) -> str:
    if text := _text(sent, key):
        return text
    raise UsageError(say("add.needed", field=say(f"add.{key}")), key)


def _host(
    settings: Settings, name: str, address: str, variable: str
) -> tuple[str, dict[str, object] | None]:
    """The host to use, and its entry where it is not there yet.

    A key that goes to one address already is not taken for another: the form of the keys would put
    a new key in its place.
    """
    for known, host in settings.hosts.items():
        if host.url == address and (host.api_key_env or "") == variable:
            return known, None
        where = origin(host.url) if host.url else ""
        if variable and host.api_key_env == variable and where not in ("", origin(address)):
            said = say("add.taken", variable=variable, host=known, origin=where)
            raise UsageError(said, "variable")
    entry: dict[str, object] = {"base_url": address}
    if variable:
        entry |= {"api_key_env": variable, "bound_key": True}
    return name, entry


def _cost(sent: Mapping[str, Any]) -> dict[str, object]:
    given = [_text(sent, key) for key in ("input", "output")]
    if not any(given):
        return {}
    try:
        prices = [float(one) for one in given]
    except ValueError:
        prices = [math.nan]
    if not all(math.isfinite(one) and one >= 0 for one in prices):
        raise UsageError(say("add.bad_price"), "input")
    return dict(zip(("input", "output"), prices, strict=True))


def new_model_part(service: ChatService) -> None:
    """The form, on the board of the providers."""
    router = service.router

    def shown(request: gr.Request, **said: object) -> dict[str, object]:
        return {"may": may_change(request), **said}

    async def chosen(event: gr.EventData, request: gr.Request) -> editor.NewModel:
        if not may_change(request):
            raise UsageError(CHANGES["refused"], "name")
        sent, here = event._data or {}, is_here(request)
        return await asyncio.to_thread(wanted, router.settings, sent, here=here)

    def folders() -> tuple[Any, Any]:
        return router.settings.config_dir, router.settings.data_dir

    def refresh(request: gr.Request) -> object:
        return shown(request)

    async def look(event: gr.EventData, request: gr.Request) -> object:
        try:
            one = await chosen(event, request)
            reason_of(event._data or {})
            lines = await asyncio.to_thread(editor.difference, *folders(), one)
        except RouterError as error:
            return shown(request, problem=sentence(str(error)))
        return shown(request, lines=lines)

    async def make(event: gr.EventData, request: gr.Request) -> object:
        try:
            one, reason = await chosen(event, request), reason_of(event._data or {})
            by = by_whom(request)
            change = await asyncio.to_thread(editor.make, *folders(), one, f"{reason} ({by})")
        except RouterError as error:
            return shown(request, problem=sentence(str(error)))
        detail = {"reason": reason, "by": by, "value": {"entry": one.entry, "host": one.host}}
        await router.services.log.audit("config.changed", change.subject, detail)
        keyed = bool(_text(event._data or {}, "variable"))
        return shown(request, said=say("add.made_keyed" if keyed else "add.made"), made=change.id)

    async def undo(request: gr.Request) -> object:
        return shown(request, **await take_back(router, request))

    form = widget("add", None, elem_id="add", events=("look", "make", "undo"))
    form.refresh(refresh, None, form, **AT_ONCE)
    form.look(look, None, form, **AT_ONCE)
    form.make(make, None, form, **AT_ONCE)
    form.undo(undo, None, form, **AT_ONCE)
