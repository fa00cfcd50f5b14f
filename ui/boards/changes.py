"""Changes of the configuration from the page: one value at a time, through the one editor of
`providers.yaml`, seen as a difference before it is made, and taken back by a click.

Only for whoever signed in, or sits at this machine; never on a Space.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr

from config import editor
from config.addresses import check_upstream
from config.errors import RouterError, UsageError
from config.models import Settings
from graph.router import Router
from ui.blocks import AT_ONCE, widget
from ui.chat_service import ChatService
from ui.permissions import by_whom, is_here, may_change
from ui.wording import CHANGES, say, sentence

LIMITS = ("ttft_s", "think_s", "stall_s", "deadline_s", "late_s")
MOST_REASON = 200
Kind = Literal["order", "number", "whole", "text"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that may be changed; its key is its path in the file, joined by slashes."""

    path: tuple[str, ...]
    kind: Kind
    value: object
    group: str
    note: str = ""

    @property
    def key(self) -> str:
        return "/".join(self.path)

    def assignment(self, given: object) -> editor.Assignment:
        """The change to that value, as the page sends it; UsageError if it is none."""
        return editor.Assignment(self.path[:-1], self.path[-1], self._typed(given))

    def _typed(self, given: object) -> object:
        if self.kind == "order":
            if not isinstance(given, list) or sorted(given) != sorted(map(str, _list(self.value))):
                raise UsageError(say("changes.an_order_has"), "value")
            return given
        text = str(given or "").strip()
        if self.kind == "text":
            if not text:
                raise UsageError(say("changes.needs_a_value", path=self.path[-1]), "value")
            return text
        return _number(text, self.path[-1], whole=self.kind == "whole")


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _number(text: str, name: str, *, whole: bool) -> float | int | None:
    """None for nothing, which takes the value away: the default holds then."""
    if not text:
        return None
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        kind = "a whole number" if whole else "a number"
        raise UsageError(say("changes.must_be_from", name=name, kind=kind), "value")
    return number


def offered(settings: Settings) -> list[Setting]:
    """All that may be changed, with what is in force."""
    return list(_settings(settings))


def _settings(settings: Settings) -> Iterator[Setting]:
    for category, order in settings.priorities.items():
        yield Setting(("priorities", category), "order", list(order), CHANGES["order"])
    for name in LIMITS:
        value = getattr(settings.limits, name)
        yield Setting(("limits", name), "number", value, CHANGES["limits"], CHANGES[name])
    budget = settings.budget
    each = CHANGES["budget_all"]
    yield Setting(("budget", "daily_usd"), "number", budget.daily_usd, CHANGES["budget"], each)
    for provider in settings.providers:
        own = ("budget", "providers", provider.name)
        limit = budget.providers.get(provider.name)
        yield Setting(own, "number", limit, CHANGES["budget"], CHANGES["budget_one"])
    for name, host in settings.hosts.items():
        if host.base_url is not None:
            own = ("hosts", name, "base_url")
            yield Setting(own, "text", host.base_url, CHANGES["hosts"], CHANGES["base_url"])
    for provider in settings.providers:
        group, path = CHANGES["providers"], ("providers", provider.name)
        if provider.model is not None:
            yield Setting((*path, "model"), "text", provider.model, group, CHANGES["model"])
        most, warmth = provider.max_tokens, provider.temperature
        yield Setting((*path, "max_tokens"), "whole", most, group, CHANGES["max_tokens"])
        yield Setting((*path, "temperature"), "number", warmth, group, CHANGES["temperature"])


def reason_of(sent: Mapping[str, Any]) -> str:
    """The reason that came with a change; raises UsageError without one."""
    reason = str(sent.get("reason") or "").strip()
    if not reason:
        raise UsageError(say("changes.say_why_in"), "reason")
    return reason[:MOST_REASON]


async def take_back(router: Router, request: gr.Request) -> dict[str, object]:
    """Undo the last change; what is said then."""
    if not may_change(request):
        return {"problem": CHANGES["refused"]}
    try:
        return {"said": sentence(await router.discovery.undo())}
    except RouterError as error:
        return {"problem": sentence(str(error))}


def changes_part(service: ChatService) -> None:
    """The form, on the board of the settings."""
    router = service.router

    def shown(request: gr.Request, **said: object) -> dict[str, object]:
        settings = router.settings
        every = [
            {"key": s.key, "kind": s.kind, "value": s.value, "group": s.group, "note": s.note}
            for s in offered(settings)
        ]
        return {"may": may_change(request), "settings": every, **said}

    def refresh(request: gr.Request) -> object:
        return shown(request)

    def wanted(sent: Mapping[str, Any], request: gr.Request) -> tuple[editor.Assignment, str]:
        if not may_change(request):
            raise UsageError(CHANGES["refused"], "key")
        key = str(sent.get("key"))
        found = next((s for s in offered(router.settings) if s.key == key), None)
        if found is None:
            raise UsageError(say("changes.this_cannot_be"), "key")
        reason = reason_of(sent)
        one = found.assignment(sent.get("value"))
        if one.key == "base_url":
            host, here = router.settings.hosts[str(one.path[1])], is_here(request)
            check_upstream(str(one.value), here=here, keyed=host.api_key_env is not None)
        return one, reason

    def folders() -> tuple[Any, Any]:
        return router.settings.config_dir, router.settings.data_dir

    async def look(event: gr.EventData, request: gr.Request) -> object:
        try:
            one, _ = await asyncio.to_thread(wanted, event._data or {}, request)
            lines = await asyncio.to_thread(editor.difference, *folders(), one)
        except RouterError as error:
            return shown(request, problem=sentence(str(error)))
        return shown(request, lines=lines, said="" if lines else CHANGES["same"])

    async def make(event: gr.EventData, request: gr.Request) -> object:
        try:
            one, reason = await asyncio.to_thread(wanted, event._data or {}, request)
            by = by_whom(request)
            note = f"{reason} ({by})"
            change = await asyncio.to_thread(editor.make, *folders(), one, note)
        except RouterError as error:
            return shown(request, problem=sentence(str(error)))
        detail = {"reason": reason, "by": by, "value": one.value}
        await router.services.log.audit("config.changed", change.subject, detail)
        return shown(request, said=CHANGES["made"], made=change.id)

    async def undo(request: gr.Request) -> object:
        return shown(request, **await take_back(router, request))

    form = widget("changes", None, elem_id="changes", events=("look", "make", "undo"))
    form.refresh(refresh, None, form, **AT_ONCE)
    form.look(look, None, form, **AT_ONCE)
    form.make(make, None, form, **AT_ONCE)
    form.undo(undo, None, form, **AT_ONCE)
