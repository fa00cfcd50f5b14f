"""Takes the pictures of the page that the README and `docs/tour.md` show, and writes the tour.

    python docs/screenshots.py [NAME …]

Drives a real Chromium over the simulated providers of `config/demo`, whose learned order has had
some history to follow. The pictures go to `docs/pictures/`, with as few colours as they need.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from textwrap import wrap
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.page_server import Page, chromium, served  # noqa: E402
from config.environment import quiet  # noqa: E402

PICTURES = Path(__file__).parent / "pictures"
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
COLOURS = 200
HISTORY = {
    "technical": "Why does TCP need a three-way handshake?",
    "creative": "Write a haiku about rain",
    "general": "How long do I boil an egg?",
}
ROUNDS = 34
"""Requests of each category before the pictures are taken: the favourites have failed by then."""

Shot = Callable[[Any], Awaitable[None]]


async def ask(tab: Any, prompt: str) -> None:
    picture = tab.locator("#picture .rt-view")
    before = await picture.get_attribute("data-request")
    await tab.locator("#prompt textarea").fill(prompt)
    await tab.locator("#prompt textarea").press("Enter")
    await tab.wait_for_selector(
        f'#picture .rt-view:is([data-phase="done"]):not([data-request="{before}"])'
    )
    await tab.wait_for_selector("#prompt .submit-button")


async def board(tab: Any, name: str, shows: str) -> None:
    found = tab.get_by_role("tab", name=name, exact=True)
    if await found.is_visible():
        await found.click()
    else:
        await tab.get_by_label("More tabs").click()
        await tab.locator(".overflow-dropdown button", has_text=name).click()
    await tab.wait_for_selector(shows)


async def chat(tab: Any) -> None:
    await ask(tab, "Why does TCP need a three-way handshake?")
    await tab.locator("#picture [data-badge=category]").click()


async def late(tab: Any) -> None:
    """A model that is too slow for its limit is chosen: the fallback answers, and it comes late."""
    await tab.locator("#provider input").click()
    await tab.get_by_role("option", name="sim-slow").click()
    await ask(tab, "Write a haiku about rain")
    await tab.locator("#talk .thought").filter(has_text="answered after all").wait_for()


async def takeover(tab: Any) -> None:
    """The example whose first model has so little time that the knowledge base answers."""
    await tab.locator(".rt-takeover").click()
    await tab.wait_for_selector('#picture .rt-view[data-phase="done"]')
    await tab.wait_for_selector("#prompt .submit-button")
    await tab.locator("#picture .rt-passages-found").wait_for()


async def overview(tab: Any) -> None:
    await board(tab, "Overview", "#overview .rt-tile")


async def changes(tab: Any) -> None:
    await board(tab, "Settings", "#changes [data-ready=true]")
    await tab.get_by_label("What to change").select_option("priorities/technical")
    down = tab.locator("#changes .rt-sortable .rt-step")
    await down.nth(1).click()
    await tab.get_by_label("Reason", exact=True).fill("steadier at night")
    await tab.get_by_role("button", name="Show the difference").click()
    await tab.locator("#changes .rt-diff").wait_for()


async def priorities(tab: Any) -> None:
    await board(tab, "Ranking", "#priorities .rt-course")


async def log(tab: Any) -> None:
    await board(tab, "Log", "#log-rows .rt-link")
    await tab.locator("#log-rows .rt-link").nth(2).click()
    await tab.wait_for_selector('#replay .rt-view[data-phase="done"]')


async def providers(tab: Any) -> None:
    await board(tab, "Providers", "#providers .rt-provider-card")


async def route(tab: Any) -> None:
    await board(tab, "Dry run", "#route-prompt textarea")
    await tab.locator("#route-prompt textarea").fill("Explain this SQL query in a limerick")
    await tab.locator("#route-prompt textarea").press("Enter")
    await tab.wait_for_selector("#route .rt-share")


async def models(tab: Any) -> None:
    await board(tab, "Find models", "#search")
    await tab.locator("#search").click()
    await tab.wait_for_selector("#candidates .rt-candidate")


async def knowledge(tab: Any) -> None:
    await board(tab, "Knowledge", "#documents table")
    await tab.locator("#knowledge-question textarea").fill("Why is the sky blue?")
    await tab.locator("#knowledge-question textarea").press("Enter")
    await tab.wait_for_selector("#passages .rt-passage")


SHOTS: dict[str, tuple[Shot, dict[str, int], str]] = {
    "chat": (chat, DESKTOP, "light"),
    "chat-dark": (late, DESKTOP, "dark"),
    "takeover": (takeover, DESKTOP, "light"),
    "overview": (overview, DESKTOP, "light"),
    "changes": (changes, DESKTOP, "light"),
    "priorities": (priorities, DESKTOP, "light"),
    "priorities-dark": (priorities, DESKTOP, "dark"),
    "log": (log, DESKTOP, "light"),
    "log-dark": (log, DESKTOP, "dark"),
    "providers": (providers, DESKTOP, "light"),
    "route": (route, DESKTOP, "light"),
    "models": (models, DESKTOP, "light"),
    "knowledge": (knowledge, DESKTOP, "light"),
    "phone": (chat, PHONE, "light"),
    "phone-dark": (chat, PHONE, "dark"),
    "phone-priorities": (priorities, PHONE, "light"),
}


TOUR = {
    "chat": (
        "Ask something",
        "`make run`, then http://127.0.0.1:7860. Type a prompt, or click an example. On the"
        " left is the answer; on the right what happens: the category and how sure the router"
        " is of it, which models are called, when each begins and ends, and what they cost."
        " Click a node of the graph to see what it was given and what it found. “Attach”, pasting"
        " and dropping give the models that can take them pictures and text files.",
    ),
    "takeover": (
        "Watch a model be overtaken",
        "Under Examples, Takeover asks a slow model and gives it 0.1 seconds. What the"
        " knowledge base has is shown from the first moment, with sources and scores, and held"
        " back; when the time is up the fallback answers from it. The first model is still"
        " listened to, and its answer comes as an amendment. “Give the first model” sets that"
        " time for any prompt.",
    ),
    "overview": (
        "See how it goes",
        "Overview has requests, success, fallbacks, times, cost and tokens over an hour, a"
        " day or a week. Each column leads to its requests.",
    ),
    "log": (
        "Look into one request",
        "Log lists every request, with filters that stand in the address. A row opens beside"
        " the list and plays again as it happened.",
    ),
    "priorities": (
        "See what was learned",
        "Ranking shows for each category the order that follows from the log, how sure it is,"
        " and why it changed last.",
    ),
    "knowledge": (
        "Add a document",
        "Knowledge takes files, shows what is in the knowledge base, and what it finds for a"
        " question. A document that was added a minute ago answers the next prompt.",
    ),
    "changes": (
        "Change something",
        "Settings changes orders, limits and spending limits. The difference is shown first,"
        " the reason is kept, and one click undoes it. Only at the machine itself, or behind a"
        " login.",
    ),
}
"""What a newcomer does in the first two minutes: picture, heading, words."""


def write_tour() -> None:
    """`docs/tour.md`, around the pictures."""
    parts = ["# A tour of the page", "Made by `python docs/screenshots.py` with simulated models."]
    for number, (name, (heading, text)) in enumerate(TOUR.items(), 1):
        parts += [f"## {number}. {heading}", "\n".join(wrap(text, 105))]
        parts.append(f"![{heading}](pictures/{name}.png)")
    (ROOT / "docs" / "tour.md").write_text("\n\n".join(parts) + "\n")


def shorten(file: Path) -> None:
    """A limit for the creative that the slow one misses."""
    settings = yaml.safe_load(file.read_text())
    settings.setdefault("limits", {})["creative"] = {"ttft_s": 0.8}
    file.write_text(yaml.safe_dump(settings, sort_keys=False))


async def live_a_little(config: Path, data: Path) -> None:
    """Some history for the boards, and a few documents."""
    from graph.router import Router

    async with Router.from_config(config, data, environ={}) as router:
        await router.services.knowledge.ingest(ROOT / "config" / "knowledge", topics=False)
        for _ in range(ROUNDS):
            async with asyncio.TaskGroup() as group:
                for category, prompt in HISTORY.items():
                    group.create_task(router.answer(prompt, category=category))


async def take(page: Page, name: str) -> None:
    shot, size, scheme = SHOTS[name]
    async with chromium() as browser:
        context = await browser.new_context(
            viewport=size, color_scheme=scheme, device_scale_factor=2 if size is PHONE else 1
        )
        tab = await context.new_page()
        await tab.goto(page.url)
        await tab.wait_for_selector("#picture .rt-view[data-phase=idle]")
        await tab.wait_for_selector("#talk [role=log]")
        await shot(tab)
        await tab.evaluate("() => document.fonts.ready")
        await tab.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0) }")
        await tab.mouse.move(0, 0)
        await tab.wait_for_timeout(700)  # what moves comes to rest
        for close in await tab.locator(".rt-toast .rt-close").all():
            await close.click()
        file = PICTURES / f"{name}.png"
        await tab.screenshot(path=file)
    thin(file)
    print(f"{file.relative_to(ROOT)}  {file.stat().st_size / 1000:.0f} kB")


def thin(file: Path) -> None:
    """Few colours are enough for flat areas and letters, and take a quarter of the room."""
    from PIL import Image

    with Image.open(file) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


async def main(names: list[str]) -> None:
    quiet()
    PICTURES.mkdir(exist_ok=True)
    write_tour()
    with tempfile.TemporaryDirectory() as folder:
        config, data = Path(folder) / "config", Path(folder) / "data"
        shutil.copytree(ROOT / "config" / "demo", config)
        shorten(config / "providers.yaml")
        await live_a_little(config, data)
        async with served(config, data) as page:
            for name in names or SHOTS:
                await take(page, name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
