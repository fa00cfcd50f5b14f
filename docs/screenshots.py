"""Takes the pictures of the page that the README shows.

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
