"""What can be chosen in the chat: categories, models, waiting times, examples."""

from __future__ import annotations

from config.models import Settings
from graph.router import Router
from ui import wording
from ui.display import DisplayConfig
from ui.wording import say

WAITS = ("0.1", "0.5", "1", "3", "10", "30")
"""Seconds that the first model can be given, beside what is configured."""
FAILURES = ("server", "rate_limited", "connection", "auth", "empty")
"""Errors of a simulated model that come at once: it is not slow."""
TAKEOVER_S = WAITS[0]
TAKEOVER = say("choices.why_is_the")
"""The knowledge base has the answer, so that it can take over."""

EXAMPLES = 3
"""Prompts shown for each category."""
LENGTHS = range(15, 71)
"""Characters of a prompt that says something and still fits a button."""


def categories(settings: Settings) -> list[tuple[str, str]]:
    return [("Automatic", ""), *((name, name) for name in settings.categories)]


def providers(settings: Settings, display: DisplayConfig) -> list[tuple[str, str]]:
    enabled = [p.name for p in settings.providers if p.disabled is None]
    marked = [(f"{n} ({m})" if (m := wording.KINDS[display.kind(n)]) else n, n) for n in enabled]
    return [("Automatic", ""), *marked]


def waits() -> list[tuple[str, str]]:
    named = [(f"{wait} second{'' if wait == '1' else 's'}", wait) for wait in WAITS]
    return [("As configured", ""), *named]


def examples_of(settings: Settings) -> dict[str, object]:
    """A few prompts of each category, for people to click: the first that fit a button and are in
    the page's language, as far as their letters tell."""
    groups = []
    for name, category in settings.categories.items():
        found = category.examples
        firsts = [texts[0] for texts in found.values()] if isinstance(found, dict) else found
        fit = [text for text in firsts if len(text) in LENGTHS and text.isascii()]
        shown = (fit or sorted(firsts, key=len))[:EXAMPLES]
        groups.append({"name": name, "description": category.description, "prompts": shown})
    takeover = {
        "name": "Takeover",
        "prompt": TAKEOVER,
        "label": say("choices.a_slow_model", takeover=TAKEOVER, takeover_s=TAKEOVER_S),
    }
    return {"categories": groups, "takeover": takeover}


def slowest(router: Router) -> str:
    """The model that takes longest to begin, as far as is known, and is not the fallback.

    It is asked by name: so it is asked in any case.
    """
    settings, ranking = router.settings, router.services.routing.ranking
    orders = [name for category in settings.categories for name in settings.order(category)]
    others = [n for n in orders if n != settings.fallback.provider] or orders

    def seconds(name: str) -> float:
        script = settings.provider(name).simulation
        if script is None:
            return ranking.ttft_p95_s(name) or 0.0
        return -1.0 if script.phases[0].error in FAILURES else script.phases[0].ttft_s

    return max(others, key=seconds, default="")
