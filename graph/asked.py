"""Validates a caller's input before anything is done for it. A model's name may stand for `auto`, a
category, the cheapest, the fastest, or a provider.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, cast

from config.errors import NotFoundError, UsageError
from config.models import Settings
from providers.base import Message
from providers.conversation import conversation
from providers.fields import PASSED, SILENT, asks_nothing, sorted_out
from providers.messages import text_of, written
from providers.tool_offers import FIELDS, tool_offers
from race.request import Asked
from race.schema import response_format
from race.state import Options, Wishes
from race.wishes import AUTO, SORTED
from routing.classifier import own_words

MAX_PROMPT_CHARS = 400_000
"""A longer prompt is refused before anything is asked."""
_PLAIN = frozenset({"role", "content"})
_KNOWN = PASSED | {"logprobs", "top_logprobs"}
"""Options passed to a provider unchanged, in addition to tools and a format."""


MOST_SESSION = 256
"""Maximum length of a conversation's name, in characters."""


MOST_TTFT_S = 600.0
"""Seconds that a caller may give the primary for its first sign of life."""


def checked(
    settings: Settings,
    prompt: object,
    history: Sequence[Message] | None = None,
    category: object = None,
    provider: object = None,
    options: Options | None = None,
    rewindable: bool = True,
    *,
    messages: Sequence[Mapping[str, object]] | None = None,
    wishes: Wishes | None = None,
) -> Asked:
    """The validated request; raises UsageError or NotFoundError that says what is wrong.

    `messages` are OpenAI's, instead of a prompt and its history.
    """
    named = checked_category(settings, category), checked_provider(settings, provider)
    options, wishes = _with_host_fields(options or {}, settings), wishes or {}
    session = options.get("session_id") or None
    if session is not None and len(session) > MOST_SESSION:
        raise UsageError(f"`session_id` has more than {MOST_SESSION} characters", "session_id")
    caller = options.get("caller", "")
    options = Options(**{k: v for k, v in options.items() if k not in ("session_id", "caller")})  # type: ignore[typeddict-item]
    if not 0 < options.get("ttft_s", 1.0) <= MOST_TTFT_S:
        raise UsageError(f"`ttft_s` must be more than 0 and at most {MOST_TTFT_S:g}", "ttft_s")
    if messages is not None:
        if prompt or history:
            raise UsageError("give `messages`, or `prompt` and `history`, not both", "messages")
        said = conversation(messages)
        _check_text([written(message) for message in said], "messages", "messages have")
        words, before, whole = _split_conversation(said)
        return Asked(words, before, *named, options, rewindable, whole, wishes, session, caller)
    if prompt is not None and not isinstance(prompt, str):
        raise UsageError(f"`prompt` must be text, not {type(prompt).__name__}", "prompt")
    if prompt is None or not prompt.strip():
        raise UsageError("the prompt is empty; send some text", "prompt")
    _check_text([prompt], "prompt", "prompt has")
    before = list(history or [])
    return Asked(prompt, before, *named, options, rewindable, (), wishes, session, caller)


def checked_category(settings: Settings, name: object) -> str | None:
    """The category as named, None for none; raises NotFoundError that lists the known ones."""
    if name is None or (isinstance(name, str) and name in settings.categories):
        return name
    known = ", ".join(settings.categories)
    raise NotFoundError(f"unknown category {name!r}; known are {known}")


def checked_provider(settings: Settings, name: object) -> str | None:
    """The provider as named, None for none; raises UsageError that says why one is disabled."""
    if name is None:
        return None
    enabled = [p.name for p in settings.providers if p.disabled is None]
    if isinstance(name, str) and name in enabled:
        return name
    for known in settings.providers:
        if known.name == name:
            raise UsageError(f"provider {name!r} is disabled: {known.disabled}", "provider")
    raise NotFoundError(f"unknown provider {name!r}; enabled are {', '.join(enabled) or 'none'}")


def with_tools(
    options: Options | None,
    tools: Sequence[Mapping[str, object]] | None,
    tool_choice: object,
    response_format: Mapping[str, object] | None,
) -> Options:
    """The options with these added to what goes to the provider unchanged."""
    extra: dict[str, object] = dict((options or {}).get("extra") or {})
    given = {"tools": tools, "tool_choice": tool_choice, "response_format": response_format}
    extra |= {name: value for name, value in given.items() if value}
    if not extra:
        return options or {}
    return cast(Options, {**(options or {}), "extra": extra})


def _with_host_fields(options: Options, settings: Settings) -> Options:
    """The options with the additional fields that hosts accept; raises UsageError that names one
    that no host does."""
    extra = options.get("extra")
    if not extra:
        return options
    kept = {name: v for name, v in extra.items() if name in _KNOWN and not asks_nothing(v)}
    kept |= tool_offers(extra)
    if form := response_format(extra.get("response_format")):
        kept["response_format"] = form
    known = _KNOWN.union(FIELDS, SILENT, ("response_format",))
    unknown = {name: value for name, value in extra.items() if name not in known}
    passed, _ = sorted_out(unknown, settings.passes())
    readied = Options(**{**options, "extra": kept})
    if passed:
        readied["passes"] = {**options.get("passes", {}), **passed}
    return readied


def _split_conversation(said: list[Message]) -> tuple[str, list[Message], Sequence[Message]]:
    """The user's own words, the turns before them, and the conversation if it contains more than
    those."""
    last = said[-1]
    if last["role"] == "user" and all(
        m.keys() <= _PLAIN and isinstance(m["content"], str) for m in said
    ):
        text = text_of(last)
        if own_words.own_words(text) == text:
            return text, said[:-1], ()
    prompt, turns = own_words.conversation([(m["role"], text_of(m)) for m in said])
    before = [cast(Message, dict(turn)) for turn in turns]
    return prompt, before, said


def _check_text(texts: Sequence[str], param: str, what: str) -> None:
    """Raises UsageError for text that is too long, or that no host could be sent."""
    if (size := sum(map(len, texts))) > MAX_PROMPT_CHARS:
        said = f"the {what} {size} characters; at most {MAX_PROMPT_CHARS} are accepted"
        raise UsageError(said, param)
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the {what} a lone surrogate: send valid UTF-8", param) from None


@dataclass(frozen=True, slots=True)
class Target:
    """A category, a provider, or an order; none of these for `auto`."""

    category: str | None = None
    provider: str | None = None
    sort: Literal["price", "latency"] | None = None

    def wishes(self, given: Wishes) -> Wishes:
        """The caller's preferences combined with those in the name itself."""
        return {**given, "sort": self.sort} if self.sort and "sort" not in given else given


def target_of(settings: Settings, model: str, wishes: Wishes | None = None) -> Target:
    """The meaning of the name, by `aliases` if it is not one of ours; raises NotFoundError if it is
    unknown.

    With plain `auto`, the category of the first name in `models` applies.
    """
    found = _own(settings, model)
    if found == Target() and (models := (wishes or {}).get("models")):
        with suppress(NotFoundError):  # hosts may be named there too
            return Target(category=target_of(settings, models[0]).category)
    if found is None:
        named = (to for name, to in settings.aliases.items() if fnmatchcase(model, name))
        found = _own(settings, next(named, ""))
    if found is None:
        off = next((p.disabled for p in settings.providers if p.name == model and p.disabled), None)
        why = f"is disabled: {off}" if off else "does not exist; GET /v1/models lists what does"
        raise NotFoundError(f"the model {model[:80]!r} {why}")
    return found


def _own(settings: Settings, model: str) -> Target | None:
    kind, _, what = model.partition(":")
    if model == AUTO:
        return Target()
    if kind == AUTO and what in settings.categories:
        return Target(category=what)
    if kind == AUTO and what in SORTED:
        return Target(sort=SORTED[what])
    return Target(provider=model) if settings.enabled(model) else None
