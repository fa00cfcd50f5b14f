"""What happened, said in plain sentences; the sentences themselves are in `words.json`, which the
page's scripts read too (`RouterPage.say`)."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache
from pathlib import Path

from nodes.join import FAILURES
from ui.display import ShownAttempt

WORDS = Path(__file__).parent / "words.json"


@cache
def words() -> dict[str, dict[str, str | list[str]]]:
    """By board and name, every sentence of the page; `{name}` stands for a value."""
    found: dict[str, dict[str, str | list[str]]] = json.loads(WORDS.read_text(encoding="utf-8"))
    return found


def say(key: str, **values: object) -> str:
    """The sentence of that board and name, `board.name`, with its values."""
    board, _, name = key.partition(".")
    found = words()[board][name]
    assert isinstance(found, str), key
    return found.format(**values)


def part(board: str) -> dict[str, str]:
    """All sentences of a board by their names."""
    return {name: text for name, text in words()[board].items() if isinstance(text, str)}


def say_all(key: str) -> list[str]:
    """Likewise a list of them."""
    board, _, name = key.partition(".")
    return list(words()[board][name])


STATES = part("states")
KINDS = part("kinds")
"""What is said beside a provider's name, wherever it stands."""
CAPABILITIES = part("capabilities")
"""Capabilities whose names are no plain words."""


PASSAGES = part("passages")
"""What becomes of the passages that were found."""


CHANGES = part("changes")
"""What can be changed from the page, and what came of it."""


def seconds(ms: float | None) -> str:
    """A duration as people say it: `85 ms`, `1.24 s`, `2 min 5 s`."""
    if ms is None:
        return "–"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 99_950:
        return f"{ms / 1000:.2f} s" if ms < 9_995 else f"{ms / 1000:.1f} s"
    minutes, rest = divmod(round(ms / 1000), 60)
    return f"{minutes} min {rest} s"


def usd(cost: float | None) -> str:
    """A price that keeps its first digits, however small; None is unknown, not free."""
    if cost is None:
        return say("calls.price_unknown")
    if cost == 0:
        return say("calls.free")
    if cost < 0.0000005:
        return say("calls.tiny")
    if cost < 0.01:
        return f"${cost:.6f}".rstrip("0")
    return f"${cost:.4f}" if cost < 1 else f"${cost:.2f}"


def price(attempt: ShownAttempt) -> str:
    """What one call cost: nothing to say of one that was skipped, and not known yet of one that was
    too late and may still come."""
    cost = attempt.get("cost_usd")
    if attempt["outcome"] == "skipped":
        return ""
    return (
        say("calls.not_known_yet")
        if cost is None and attempt["outcome"] == "timed_out"
        else usd(cost)
    )


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.0f} %"


def why_failed(kind: str | None) -> str:
    """The log's word for an error, in plain words."""
    return FAILURES.get(kind or "", say("calls.no_reason"))


def took_over(provider: str, reason: str) -> str:
    """That somebody else speaks now, before the whole reason is known: it blames nobody yet."""
    if provider == "passages":
        return say("calls.passages_shown")
    match reason:
        case "timeout":
            cause = say("calls.timeout")
        case "stalled":
            cause = say("calls.stalled")
        case "no_provider":
            cause = say("calls.no_provider")
        case _:
            cause = say("calls.failed_before")
    return say("calls.answers_now", provider=provider, cause=cause)


def sentence(text: str, names: Collection[str] = ()) -> str:
    """With a capital first, unless it begins with one of the names, and a full stop last."""
    text = text.strip()
    begun = text if text.partition(" ")[0] in names else f"{text[:1].upper()}{text[1:]}"
    return f"{begun}{'' if begun.endswith(('.', '!', '?')) else '.'}"


def how_ended(attempt: ShownAttempt) -> str:
    """One attempt's end as a clause that follows the provider's name."""
    first, whole = attempt.get("ttft_ms"), attempt.get("latency_ms")
    match attempt["outcome"]:
        case "ok" if attempt.get("served"):
            return say("calls.ok", whole=seconds(whole), first=seconds(first))
        case "ok":
            return say("calls.unneeded", whole=seconds(whole))
        case "failed":
            return say("calls.failed", whole=seconds(whole), why=why_failed(attempt.get("error")))
        case "timed_out":
            return say("calls.timed_out", whole=seconds(whole))
        case "late":
            return say("calls.late", whole=seconds(whole))
        case "cancelled":
            return say("calls.cancelled")
        case "skipped":
            detail = attempt.get("detail")
            return say("calls.skipped_for", detail=detail) if detail else say("calls.skipped")
        case _:
            return say("calls.running")
