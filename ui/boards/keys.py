"""A key for a provider: pasted, tried beside another model, and kept in `.env`; never shown again.

The key travels once, with the test. From then on the page speaks of it by a name, and the service
holds it in memory until it is kept or forgotten.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import gradio as gr

from config.addresses import origin
from config.env_file import check_key, write_key
from config.errors import RouterError, UsageError
from config.hosts import Host, Provider
from config.models import Settings
from config.redaction import keep_secret
from graph.router import Router
from ui.blocks import AT_ONCE, STREAMED, widget
from ui.chat_service import ChatService
from ui.key_trial import Column, Held, HeldKeys, tried
from ui.permissions import by_whom, may_change, may_give_keys
from ui.wording import say, say_all, sentence

IN_FORCE_S = 5.0
"""How long the page waits until the running service has a new key, before it says so as it is."""


def offered(settings: Settings) -> list[dict[str, object]]:
    """Every provider whose host takes a key, and whether it has one."""
    return [
        {
            "name": provider.name,
            "label": say("keys.option", name=provider.name, model=model, host=provider.host),
            "has": host.key is not None,
            "goes": say("keys.goes", origin=origin(host.url), variable=host.api_key_env),
            "barred": _from_environment(settings, host),
        }
        for provider, host in _keyed(settings)
        if (model := provider.resolved_model) and host.url
    ]


def _keyed(settings: Settings) -> list[tuple[Provider, Host]]:
    pairs = [(provider, settings.hosts[provider.host]) for provider in settings.providers]
    return [(p, host) for p, host in pairs if host.kind == "openai" and host.api_key_env]


def _from_environment(settings: Settings, host: Host) -> str:
    variable = host.api_key_env or ""
    if settings.variables.get(variable) != "environment":
        return ""
    return say("keys.from_environment", variable=variable)


def host_for(settings: Settings, name: str) -> Host:
    """The host that a key for this provider would go to; raises UsageError where none may."""
    known = {str(one["name"]): one for one in offered(settings)}
    if name not in known:
        raise UsageError(say("keys.unknown"), "provider")
    if barred := known[name]["barred"]:
        raise UsageError(str(barred), "provider")
    return settings.hosts[settings.provider(name).host]


def keys_part(service: ChatService, *, allow_keys: bool) -> None:
    """The form, on the board of the providers."""
    router, held = service.router, HeldKeys()

    def shown(request: gr.Request, **said: object) -> dict[str, object]:
        settings = router.settings
        barred = "" if may_give_keys(request, allow_keys=allow_keys) else say("keys.barred")
        if settings.dotenv is None:
            barred = say("keys.no_file")
        may = may_change(request) and not barred
        return {"barred": barred, "offered": offered(settings) if may else [], **said}

    def allowed(request: gr.Request) -> None:
        if not may_give_keys(request, allow_keys=allow_keys):
            raise UsageError(say("keys.barred"), "key")

    def refresh(request: gr.Request) -> object:
        return shown(request)

    async def test(event: gr.EventData, request: gr.Request) -> object:
        """Take the key; what it is tried on comes as `compare`, by the name given here."""
        sent = event._data or {}
        try:
            allowed(request)
            name = str(sent.get("provider"))
            host = host_for(router.settings, name)
            key = check_key(str(sent.get("key") or ""))
        except RouterError as error:
            return shown(request, problem=sentence(str(error)))
        keep_secret(key)
        trial = held.hold(key, name, host.url or "", str(request.session_hash))
        return shown(request, trial=trial, begin=True, said=say("keys.testing"))

    async def compare(event: gr.EventData, request: gr.Request) -> AsyncIterator[object]:
        trial = str((event._data or {}).get("trial"))
        found = held.find(trial, str(request.session_hash))
        try:
            allowed(request)
            one = _still(router.settings, found)
        except RouterError as error:
            yield shown(request, problem=sentence(str(error)))
            return
        async with aclosing(tried(router, one)) as frames:  # type: ignore[type-var]
            async for columns in frames:
                if held.find(trial, one.tab) is None:
                    return  # another key was given meanwhile: nobody looks at this one's answers
                yield shown(request, trial=trial, said=say("keys.testing"), table=table(columns))
        usable = any(cell.state == "done" for cell in columns[0].cells)
        yield shown(request, trial=trial, table=table(columns), over=True, usable=usable)

    async def keep(event: gr.EventData, request: gr.Request) -> object:
        trial = str((event._data or {}).get("trial"))
        try:
            allowed(request)
            one = _still(router.settings, held.find(trial, str(request.session_hash)))
            said = await _keep(router, one, by_whom(request))
        except RouterError as error:
            return shown(request, problem=sentence(str(error)))
        held.forget(trial)
        return shown(request, said=said, kept=True)

    form = widget("keys", None, elem_id="keys", events=("test", "compare", "keep"))
    form.refresh(refresh, None, form, **AT_ONCE)
    form.test(test, None, form, **AT_ONCE)
    form.compare(compare, None, form, **STREAMED)
    form.keep(keep, None, form, **AT_ONCE)


def _still(settings: Settings, found: Held | None) -> Held:
    """A held key whose provider is where it was when the key was pasted."""
    if found is None:
        raise UsageError(say("keys.forgotten"), "key")
    host = host_for(settings, found.provider)
    if host.url != found.url:
        raise UsageError(say("keys.moved", host=settings.provider(found.provider).host), "key")
    return found


async def _keep(router: Router, one: Held, by: str) -> str:
    """Write the key, and wait until it is in force; what is said then."""
    settings = router.settings
    host = host_for(settings, one.provider)
    variable, path = host.api_key_env or "", settings.dotenv
    if path is None:
        raise UsageError(say("keys.no_file"), "key")
    key = one.key.get_secret_value()
    await asyncio.to_thread(write_key, path, settings.data_dir, variable, key, one.url)
    detail = {"reason": say("keys.audit"), "by": by, "host": origin(one.url)}
    await router.services.log.audit("key.kept", variable, detail)
    if not await _in_force(router, one):
        return say("keys.kept_soon", variable=variable)
    disabled = router.settings.provider(one.provider).disabled
    name, where = one.provider, origin(one.url)
    if disabled:
        return say("keys.kept_but", variable=variable, name=name, why=disabled)
    return say("keys.kept", variable=variable, name=name, origin=where)


async def _in_force(router: Router, one: Held) -> bool:
    until = time.monotonic() + IN_FORCE_S
    while time.monotonic() < until:
        settings = router.settings
        hosts = [settings.hosts[p.host] for p in settings.providers if p.name == one.provider]
        if any(host.key == one.key for host in hosts):
            return True
        await asyncio.sleep(0.05)
    return False


def table(columns: list[Column]) -> dict[str, object]:
    """Both models side by side, prompt by prompt, ready to be drawn."""
    rows = zip(*(column.cells for column in columns), strict=True)
    return {
        "heads": [say("keys.prompt"), *(column.provider.name for column in columns)],
        "rows": [
            {"prompt": prompt, "cells": [cell.shown() for cell in cells]}
            for prompt, cells in zip(say_all("keys.prompts"), rows, strict=True)
        ],
        "summaries": [column.summary() for column in columns]
        + ([say("keys.no_other")] if len(columns) == 1 else []),
    }
