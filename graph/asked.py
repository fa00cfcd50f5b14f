"""What a caller asks for, checked before anything is done for it."""

from __future__ import annotations

from collections.abc import Sequence

from config.errors import NotFoundError, UsageError
from config.models import Settings
from providers.base import Message
from race.request import Asked
from race.state import Options

MAX_PROMPT_CHARS = 400_000
"""A longer prompt is refused before anything is asked."""


def checked(
    settings: Settings,
    prompt: object,
    history: Sequence[Message] | None = None,
    category: object = None,
    provider: object = None,
    options: Options | None = None,
    rewindable: bool = True,
) -> Asked:
    """The request; UsageError or NotFoundError say what is wrong with it."""
    if prompt is not None and not isinstance(prompt, str):
        raise UsageError(f"`prompt` must be text, not {type(prompt).__name__}", "prompt")
    if prompt is None or not prompt.strip():
        raise UsageError("the prompt is empty; send some text", "prompt")
    if len(prompt) > MAX_PROMPT_CHARS:
        raise UsageError(
            f"the prompt has {len(prompt)} characters; at most {MAX_PROMPT_CHARS} are taken",
            "prompt",
        )
    return Asked(
        prompt,
        list(history or []),
        checked_category(settings, category),
        checked_provider(settings, provider),
        options or {},
        rewindable,
    )


def checked_category(settings: Settings, name: object) -> str | None:
    """The category as named, None for none; NotFoundError names those that there are."""
    if name is None or (isinstance(name, str) and name in settings.categories):
        return name
    known = ", ".join(settings.categories)
    raise NotFoundError(f"unknown category {name!r}; known are {known}")


def checked_provider(settings: Settings, name: object) -> str | None:
    """The provider as named, None for none; UsageError says why one is disabled."""
    if name is None:
        return None
    enabled = [p.name for p in settings.providers if p.disabled is None]
    if isinstance(name, str) and name in enabled:
        return name
    for known in settings.providers:
        if known.name == name:
            raise UsageError(f"provider {name!r} is disabled: {known.disabled}", "provider")
    raise NotFoundError(f"unknown provider {name!r}; enabled are {', '.join(enabled) or 'none'}")
