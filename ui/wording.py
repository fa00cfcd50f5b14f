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


def say_all(key: str) -> list[str]:
    """Likewise a list of them."""
    board, _, name = key.partition(".")
    return list(words()[board][name])


STATES = {
    "waiting": "Waiting",
    "running": "Running",
    "done": "Done",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "skipped": "Skipped",
    "late": "Late",
}
KINDS = {"simulated": "simulation", "embedded": "demo quality", "remote": ""}
"""What is said beside a provider's name, wherever it stands."""
CAPABILITIES = {
    "json_schema": "JSON schemas",
    "json_object": "JSON",
    "images": "pictures",
    "logprobs": "log probabilities",
}
"""Capabilities whose names are no plain words."""


PASSAGES = {
    "held": "Held back: this is the answer if the first model is not in time.",
    "speaking": "Held back: a model is answering.",
    "used": "The answer was made from these.",
    "unused": "Not needed: a model answered in time.",
    "unlike": "Nothing is close enough to the question to be an answer.",
}
"""What becomes of the passages that were found."""


CHANGES = {
    "order": "Order of the models, best first",
    "limits": "Limits, in seconds",
    "budget": "Spending limits a day, in US dollars",
    "providers": "Models",
    "hosts": "Addresses",
    "base_url": "Where the host is reached. Its key is not sent to another address until it is"
    " given anew, on the board of the providers.",
    "ttft_s": "How long the first model may take to begin; then the fallback answers.",
    "think_s": "How long a model that thinks may take from its first thought to its first word.",
    "stall_s": "The longest silence in the middle of an answer.",
    "deadline_s": "The longest that a request may take in all.",
    "late_s": "How long an answer is still listened to that comes after the fallback's.",
    "budget_all": "For all models together; those that cost money are skipped beyond it.",
    "budget_one": "For this model alone; it is skipped beyond it.",
    "model": "The name by which its host knows the model.",
    "max_tokens": "The longest answer, in tokens.",
    "temperature": "From 0, always the likeliest word, to 2.",
    "refused": "Changes can be made at this machine, or by whoever signed in.",
    "same": "That is what the file says already.",
    "made": "Made. It is in force within a few seconds.",
}
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
        return "price unknown"
    if cost == 0:
        return "free"
    if cost < 0.0000005:
        return "under $0.000001"
    if cost < 0.01:
        return f"${cost:.6f}".rstrip("0")
    return f"${cost:.4f}" if cost < 1 else f"${cost:.2f}"


def price(attempt: ShownAttempt) -> str:
    """What one call cost: nothing to say of one that was skipped, and not known yet of one that was
    too late and may still come."""
    cost = attempt.get("cost_usd")
    if attempt["outcome"] == "skipped":
        return ""
    return "not known yet" if cost is None and attempt["outcome"] == "timed_out" else usd(cost)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.0f} %"


def why_failed(kind: str | None) -> str:
    """The log's word for an error, in plain words."""
    return FAILURES.get(kind or "", "no reason given")


def took_over(provider: str, reason: str) -> str:
    """That somebody else speaks now, before the whole reason is known: it blames nobody yet."""
    if provider == "passages":
        return "No model answered, so the best passages of the knowledge base are shown."
    match reason:
        case "timeout":
            cause = "no first word came in time"
        case "stalled":
            cause = "the answer fell silent"
        case "no_provider":
            cause = "no preferred model could be asked"
        case _:
            cause = "a call before it failed"
    return f"{provider} answers now: {cause}."


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
            return f"answered in {seconds(whole)}, first word after {seconds(first)}"
        case "ok":
            return f"was ready after {seconds(whole)}, and was not needed"
        case "failed":
            return f"failed after {seconds(whole)}: {why_failed(attempt.get('error'))}"
        case "timed_out":
            return f"was too late after {seconds(whole)}"
        case "late":
            return f"came late, after {seconds(whole)}"
        case "cancelled":
            return "was stopped, as it was not needed any more"
        case "skipped":
            detail = attempt.get("detail")
            return f"was skipped: {detail}" if detail else "was skipped"
        case _:
            return "is being asked"
