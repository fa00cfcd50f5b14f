"""The page under load: how soon a token is seen, what many tabs cost, what an open tab costs, and
how much is loaded before it can be used.

    python -m benchmarks.page

Prints each figure beside its target and exits 1 if one is missed. The server runs in a process of
its own, so that its CPU is counted alone; the tokens come from a loopback upstream in this one, the
first from behind a gate whose opening starts the clock.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench import Row, print_table, write_config
from benchmarks.page_server import Page, chromium, served
from tests.upstream import Behaviour, Upstream

ROUNDS = 30
TABS = 20
TOKENS, TOKENS_PER_S = 240, 30
FIRST_TOKEN_MS = 60
FRAMES_PER_S = 25
ENOUGH = 0.98 * FRAMES_PER_S
"""The first and the last frame of an answer are not a whole interval apart."""
LOOKS = 10
REFRESHES = 1800
"""As many as a board makes in an hour."""
IDLE_S = 20.0
"""How long the open tabs are watched; a board asks every two seconds, the page itself every four
and ten."""
LOAD_KB = 400
NOISE_MB, NOISE = 0.3, 50
"""What the heap and the document differ by between two looks that nothing lies between."""
HURRY = """const interval = window.setInterval;
window.setInterval = (work, ms, ...more) => interval(work, ms >= 2000 ? ms / 100 : ms, ...more);"""
"""What a page does now and then, a hundred times as often."""
TURNS = (5, 25, 500)
"""Of conversations that are continued: short, as long as what is shown, and long."""
SAID, PACE_S = "".join(f"word{n} " for n in range(200)), 0.01
"""What each turn of them has, as an answer of some length, and the pace of new ones."""
CONTINUED = 5
"""Prompts that go on with each of them."""
HEAP_MB, ELEMENTS, SLOWER = 3.0, 1_000, 1.25
"""How much more the longest may take than the one in the middle: megabytes, elements, times."""
IDLE = "#picture .rt-view[data-phase=idle]"
DONE = "#picture .rt-view[data-phase=done]"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, as shown, and whether the target was met; None has no target."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None

    @property
    def row(self) -> Row:
        words = {True: "yes", False: "MISSED", None: ""}
        return self.what, self.measured, self.target, words[self.met]


async def measure() -> int:
    """0 if every target was met, else 1."""
    limits = {"ttft_s": 30, "deadline_s": 120, "stall_s": 30}
    fallback = {"provider": "cheap", "start": "hedged"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Upstream() as upstream:
            url = upstream.base_url
            config = write_config(url, url, folder, limits=limits, fallback=fallback)
            async with served(config, folder / "data") as page:
                figures = [await first_token(upstream, page)]
                figures += await many_tabs(upstream, page)
                figures += await open_tab(page)
                figures.append(await first_load(page))
                figures.append(await idle_tabs(page))
                figures += await long_conversation(upstream, page)
    print_table("The page", ("what", "measured", "target", "met"), [f.row for f in figures])
    return int(any(figure.met is False for figure in figures))


# -- how soon a token is seen ---------------------------------------------------------------------


async def first_token(upstream: Upstream, page: Page) -> Figure:
    """From the opening of the upstream's gate to the word in the browser's document."""
    async with chromium() as browser:
        tab = await browser.new_page()
        await tab.goto(page.url)
        await tab.wait_for_selector(IDLE)
        await tab.wait_for_selector("#talk [role=log]")
        waits = [await _one_token(upstream, tab) for _ in range(ROUNDS)]
    waits.sort()
    median, p95 = statistics.median(waits), waits[int(len(waits) * 0.95)]
    said = f"median {median:.0f} ms, p95 {p95:.0f} ms"
    target = f"median at most {FIRST_TOKEN_MS} ms"
    return Figure("first token, upstream to screen", said, target, median <= FIRST_TOKEN_MS)


async def _one_token(upstream: Upstream, tab: Any) -> float:
    gate, word = asyncio.Event(), f"w{uuid.uuid4().hex[:8]}"
    upstream.behave("first", Behaviour(text=f"{word} and the rest", gates={0: gate}))
    calls = len(upstream.calls("first"))
    await _watch_for(tab, word)
    await tab.fill("#prompt textarea", "Say a word.")
    await tab.press("#prompt textarea", "Enter")
    await upstream.until(lambda: len(upstream.calls("first")) > calls, within_s=30)
    await asyncio.sleep(0.2)  # nothing else is going on
    opened = time.time()
    gate.set()
    seen = await tab.evaluate("() => window.seen")
    await tab.wait_for_selector(DONE)
    await tab.wait_for_selector("#prompt .submit-button")
    await tab.click("#fresh")
    await tab.wait_for_selector(IDLE)
    return float(seen - opened * 1000)


async def _watch_for(tab: Any, word: str) -> None:
    """`window.seen` becomes the time at which the word is in the document."""
    await tab.evaluate(
        """(word) => { window.seen = new Promise((resolve) => {
            new MutationObserver((_, watcher) => {
                if (!document.querySelector('#talk').textContent.includes(word)) return;
                watcher.disconnect();
                resolve(performance.timeOrigin + performance.now());
            }).observe(document.querySelector('#talk'),
                {childList: true, subtree: true, characterData: true});
        }) }""",
        word,
    )


# -- many tabs at once ----------------------------------------------------------------------------


async def many_tabs(upstream: Upstream, page: Page) -> list[Figure]:
    """Tabs that all stream at once, as the browser's own protocol reads them."""
    import httpx

    upstream.behave("first", Behaviour(tokens=TOKENS, token_s=1 / TOKENS_PER_S))
    async with httpx.AsyncClient(base_url=page.url, timeout=120) as client:
        config = (await client.get("/config")).json()
        await _tab(client, config)
        memory, used, began = page.rss_mb, page.cpu_s, time.monotonic()
        frames = await asyncio.gather(*(_tab(client, config) for _ in range(TABS)))
        wall = time.monotonic() - began
        cores = (page.cpu_s - used) / wall
    rate = statistics.mean(frames) / (TOKENS / TOKENS_PER_S)
    grown = (page.rss_mb - memory) * 1000 / TABS
    at_once = f"{TABS} tabs at once"
    return [
        Figure(f"{at_once}, server CPU", f"{cores:.2f} cores", "under 1", cores < 1),
        Figure(f"{at_once}, frames a tab", f"{rate:.1f}/s", f"{FRAMES_PER_S}/s", rate >= ENOUGH),
        Figure(f"{at_once}, memory a tab", f"{grown:.0f} kB"),
        Figure("server, resident", f"{page.rss_mb:.0f} MB"),
    ]


async def _tab(client: Any, config: dict[str, Any]) -> int:
    """Ask once as a tab does; the number of frames that came."""
    session = uuid.uuid4().hex
    begin, respond = _steps(config)
    asked = {
        "data": ["Say many words.", "", "", "", None],
        "fn_index": begin["id"],
        "session_hash": session,
    }
    (await client.post("/gradio_api/run/predict", json=asked)).raise_for_status()
    joined = {"data": [None], "fn_index": respond["id"], "session_hash": session}
    (await client.post("/gradio_api/queue/join", json=joined)).raise_for_status()
    frames = 0
    async with client.stream("GET", f"/gradio_api/queue/data?session_hash={session}") as stream:
        async for line in stream.aiter_lines():
            if not line.startswith("data:"):
                continue
            message = json.loads(line[5:])["msg"]
            frames += int(message == "process_generating")
            if message == "process_completed":
                return frames
    raise RuntimeError("the stream ended before the answer")


def _steps(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The events that a prompt sets off: its beginning, and what streams after it."""
    box = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "prompt")
    found = config["dependencies"]
    begin = next(d for d in found if [box, "submit"] in d["targets"])
    return begin, next(d for d in found if d.get("trigger_after") == begin["id"])


# -- a tab that stays open ------------------------------------------------------------------------


async def open_tab(page: Page) -> list[Figure]:
    """A board that refreshes many times: neither the heap nor the document may grow with it."""
    async with chromium() as browser:
        tab = await browser.new_page()
        await tab.add_init_script(HURRY)
        await tab.goto(page.url)
        await tab.wait_for_selector(IDLE)
        await tab.get_by_role("tab", name="Providers", exact=True).click()
        await tab.wait_for_selector("#providers .rt-provider-card")
        devtools = await tab.context.new_cdp_session(tab)
        asked: list[str] = []

        def count(request: Any) -> None:
            if "run/predict" in request.url:
                asked.append(request.url)

        tab.on("requestfinished", count)
        for times in (60, REFRESHES):
            before = await _weight(devtools)
            asked.clear()
            while len(asked) < times:  # noqa: ASYNC110 - the browser counts, no event tells
                await asyncio.sleep(0.1)
        after = await _weight(devtools)
    heap, nodes = after[0] - before[0], after[1] - before[1]
    return [
        Figure(
            f"heap after {REFRESHES} refreshes", f"{heap:+.2f} MB", "no growth", heap < NOISE_MB
        ),
        Figure(f"nodes after {REFRESHES} refreshes", f"{nodes:+.0f}", "no growth", nodes < NOISE),
    ]


# -- tabs in which nothing happens ----------------------------------------------------------------


async def first_load(page: Page) -> Figure:
    """All that a browser with an empty cache is sent before the page can be used, as it is sent."""
    sent: list[float] = []
    async with chromium() as browser:
        tab = await browser.new_page()
        devtools = await tab.context.new_cdp_session(tab)
        await devtools.send("Network.enable")
        devtools.on(
            "Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"])
        )
        await tab.goto(page.url)
        await tab.wait_for_selector(IDLE)
        await tab.wait_for_selector("#examples .rt-example")
    kilobytes = sum(sent) / 1000
    return Figure("first load", f"{kilobytes:.0f} kB", f"under {LOAD_KB} kB", kilobytes < LOAD_KB)


async def idle_tabs(page: Page) -> Figure:
    """Tabs of a real browser, all in sight of it, on the board that asks most often."""
    asked: list[str] = []
    async with chromium() as browser:
        for _ in range(TABS):
            tab = await browser.new_page()
            tab.on("request", lambda request: asked.append(request.url))
            await tab.goto(page.url)
            await tab.wait_for_selector(IDLE, timeout=120_000)
            await tab.get_by_role("tab", name="Providers", exact=True).click()
            await tab.wait_for_selector("#providers .rt-provider-card", timeout=120_000)
        asked.clear()
        used, began = page.cpu_s, time.monotonic()
        await asyncio.sleep(IDLE_S)
        wall = time.monotonic() - began
        cores = (page.cpu_s - used) / wall
    said = f"{cores:.2f} cores, {len(asked) / wall:.0f} requests/s"
    return Figure(f"{TABS} idle tabs, server CPU", said, "under 1", cores < 1)


async def _weight(devtools: Any) -> tuple[float, float]:
    """Megabytes of heap and number of nodes, after garbage was collected: the least of a few looks,
    since a refresh that is under way weighs a megabyte."""
    looks = []
    for _ in range(LOOKS):
        await devtools.send("HeapProfiler.collectGarbage")
        counters = await devtools.send("Memory.getDOMCounters")
        usage = await devtools.send("Runtime.getHeapUsage")
        looks.append((usage["usedSize"] / 1e6, counters["nodes"]))
        await asyncio.sleep(0.1)
    return min(heap for heap, _ in looks), min(nodes for _, nodes in looks)


# -- a long conversation --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Continued:
    """One more prompt in a conversation of so many turns. Times are milliseconds, medians."""

    turns: int
    heap_mb: float
    elements: float
    first_ms: float
    """From Enter to the first word in the document; the upstream answers at once."""
    token_ms: float
    """What the browser's main thread works for a token, of which 100 come in a second."""


async def long_conversation(upstream: Upstream, page: Page) -> list[Figure]:
    """Conversations as a browser keeps them, each opened anew and continued, in turns."""
    async with chromium() as browser:
        tabs = {turns: await _kept_tab(browser, page, turns) for turns in TURNS}
        times: dict[int, list[tuple[float, float]]] = {turns: [] for turns in TURNS}
        for _ in range(CONTINUED):
            for turns, tab in tabs.items():
                times[turns].append(await _continued(upstream, tab))
        found = [await _weighed(turns, tabs[turns], times[turns]) for turns in TURNS]
    shown = [
        Figure(
            f"{one.turns} turns and {CONTINUED} more",
            f"{one.heap_mb:.1f} MB, {one.elements:.0f} elements, first word"
            f" {one.first_ms:.0f} ms, a token {one.token_ms:.1f} ms",
        )
        for one in found
    ]
    middle, longest = found[-2:]
    heap, elements = longest.heap_mb - middle.heap_mb, longest.elements - middle.elements
    first, token = longest.first_ms / middle.first_ms, longest.token_ms / middle.token_ms
    what = f"{longest.turns} against {middle.turns} turns"
    return [
        *shown,
        Figure(f"{what}, heap", f"{heap:+.1f} MB", f"under {HEAP_MB:g}", heap < HEAP_MB),
        Figure(f"{what}, elements", f"{elements:+.0f}", f"< {ELEMENTS}", elements < ELEMENTS),
        Figure(f"{what}, first word", f"{first:.2f} x", f"under {SLOWER}", first < SLOWER),
        Figure(f"{what}, a token", f"{token:.2f} x", f"under {SLOWER}", token < SLOWER),
    ]


async def _kept_tab(browser: Any, page: Page, turns: int) -> Any:
    """A tab of its own browser storage in which that conversation is open."""
    about = {"category": None, "provider": None, "phase": "done", "answered_by": "first"}
    kept = [
        {**about, "request_id": f"r{n}", "number": n, "prompt": f"Question {n}?", "text": SAID}
        for n in range(turns)
    ]
    chat = {"id": "long", "title": "Long", "at": 1, "turns": kept}
    context = await browser.new_context()
    tab = await context.new_page()
    await tab.goto(page.url)
    await tab.wait_for_selector(IDLE)
    await tab.evaluate(
        "(chat) => localStorage.setItem('router-chat:long', JSON.stringify(chat))", chat
    )
    await tab.goto(f"{page.url}/#/chat/long")
    await tab.reload()
    await tab.wait_for_selector(f'#picture [data-request="r{turns - 1}"]')
    await tab.wait_for_selector("#prompt .submit-button")
    return tab


async def _continued(upstream: Upstream, tab: Any) -> tuple[float, float]:
    """Milliseconds to the first word, and of work for each token after it."""
    word, last = (f"w{uuid.uuid4().hex[:8]}" for _ in range(2))
    upstream.behave("first", Behaviour(text=f"{word} {SAID}{last}", token_s=PACE_S))
    await tab.bring_to_front()
    devtools = await tab.context.new_cdp_session(tab)
    await devtools.send("Performance.enable")
    await _watch_for(tab, word)
    await tab.fill("#prompt textarea", "And now?")
    asked = await tab.evaluate("() => performance.timeOrigin + performance.now()")
    await tab.press("#prompt textarea", "Enter")
    seen = await tab.evaluate("() => window.seen")
    before = await _worked_s(devtools)
    shown = "(word) => document.querySelector('#talk').textContent.includes(word)"
    await tab.wait_for_function(shown, arg=last, polling=100)
    work = await _worked_s(devtools) - before
    await tab.wait_for_selector(DONE)
    await tab.wait_for_selector("#prompt .submit-button")
    await devtools.detach()
    return seen - asked, work * 1000 / len(SAID.split())


async def _worked_s(devtools: Any) -> float:
    """Seconds that the main thread has worked so far."""
    metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


async def _weighed(turns: int, tab: Any, times: list[tuple[float, float]]) -> Continued:
    devtools = await tab.context.new_cdp_session(tab)
    heap, _ = await _weight(devtools)
    elements = await tab.evaluate("() => document.querySelectorAll('*').length")
    first = statistics.median(one for one, _ in times)
    token = statistics.median(one for _, one in times)
    return Continued(turns, heap, elements, first, token)


if __name__ == "__main__":
    sys.exit(asyncio.run(measure()))
