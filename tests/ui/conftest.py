"""The page as people meet it: one server on loopback, a real Chromium, a fresh visitor a test.

The server, the router and the misbehaving upstream share a thread and an event loop of their own;
the tests drive the browser from outside. A visitor fails its test on any page error, console error
or request that leaves the origin. Visitors share a window, which keeps files and compiled scripts
but nothing that a page stored.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.environment import quiet
from tests.conftest import CATEGORIES
from tests.upstream import Behaviour, Upstream

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # A window's address bar would make a page of its own for its suggestions, which takes as long
    # as ours. The last list counts, so what Playwright switches off stands here again.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,AvoidUnnecessaryBeforeUnloadCheckSync,"
    "DestroyProfileOnBrowserClose,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable,LensOverlay,"
    "MediaRouter,PaintHolding,ThirdPartyStoragePartitioning,AvoidCorsURLLoaderRestartOnRedirect,"
    "OptimizationHints,NetworkTimeServiceQuerying,AimEnabled,PreconnectToSearch",
]
CALM = "Hello, how are you today?"
"""A prompt of a category in which nobody loses patience, however slow the machine is: only creative
prompts are raced against the clock."""
ENDLESS = Behaviour(tokens=100_000, token_s=0.1)
"""Ten words a second until the client leaves; many more would keep a slow machine from clicking."""
WINDOW = {"width": 1440, "height": 900}
STORED = "cookies,local_storage,indexeddb,cache_storage,service_workers"
WITHIN_MS = 20_000
"""A step that takes longer than this on a busy machine hangs."""


class Site:
    """A served page. `run` carries out a coroutine on the server's loop."""

    def __init__(
        self,
        config: Path,
        data: Path,
        *,
        write: bool = True,
        allow_keys: bool = False,
        environ: dict[str, str] | None = None,
        demo: bool = False,
        edit: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        quiet()
        self._edit = edit
        self._demo = demo
        self.config = config
        self._how = {"write": write, "allow_keys": allow_keys}
        self.dotenv = data.parent / ".env"
        self._ready = threading.Event()
        self._over: asyncio.Event
        self._data, self._environ = data, environ or {}
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="site")

    def __enter__(self) -> Site:
        self._thread.start()
        self._ready.wait()
        if self._problem is not None:
            raise self._problem
        return self

    def __exit__(self, *error: object) -> None:
        self.loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def run(self, work: Awaitable[Any]) -> Any:
        async def waited() -> Any:
            return await work

        return asyncio.run_coroutine_threadsafe(waited(), self.loop).result(30)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the upstream sees."""
        self.run(self.upstream.until(condition, within_s=20))

    async def _serve(self) -> None:
        import uvicorn
        from fastapi import FastAPI

        from graph.router import Router
        from ui.page import mount

        self.loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with Upstream() as self.upstream:
                if self._demo:
                    shutil.copytree("config/demo", self.config)
                else:
                    write_config(self.config, self.upstream.base_url, self._edit)
                self.router = Router.from_config(
                    self.config, self._data, environ=self._environ, dotenv=self.dotenv
                )
                async with self.router:
                    app = mount(FastAPI(), self.router, **self._how)
                    with socket.socket() as listener:
                        listener.bind(("127.0.0.1", 0))
                        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
                        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
                        server.install_signal_handlers = lambda: None
                        serving = asyncio.create_task(server.serve([listener]))
                        while not server.started:  # noqa: ASYNC110 - uvicorn has no event
                            await asyncio.sleep(0.02)
                        self._ready.set()
                        await self._over.wait()
                        server.should_exit = server.force_exit = True
                        await serving
        except BaseException as error:
            self._problem = error
            raise
        finally:
            self._ready.set()


def write_config(folder: Path, upstream: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Providers that behave on a script; `ttft_s` is far from what the quick ones need.

    `edit` changes what is about to be written.
    """
    cost = {"input": 0.5, "output": 1.0}

    def simulated(name: str, tokens: int = 24, **phase: Any) -> dict[str, Any]:
        steady = {"ttft_s": 0.02, "jitter": 0, "tokens_per_s": 400, **phase}
        script = {"tokens": tokens, "phases": [steady]}
        return {"name": name, "host": "theatre", "model": f"{name}-1", "cost": cost} | {
            "simulation": script
        }

    def remote(name: str) -> dict[str, Any]:
        return {"name": name, "host": "upstream", "model": name, "cost": cost}

    providers = [
        simulated("swift"),
        simulated("steady"),
        simulated("tardy", ttft_s=1.8),
        simulated("broken", error="server"),
        simulated("staller", error="stall"),
        simulated("cheap"),
        remote("remote"),
        remote("hostile"),
    ]
    order = [p["name"] for p in providers if p["name"] != "cheap"]
    written = {
        "hosts": {
            "theatre": {"kind": "simulated"},
            "upstream": {"base_url": upstream},
            "locked": {"base_url": "https://api.example.com/v1", "api_key_env": "LOCKED_KEY"},
        },
        "providers": [*providers, {"name": "unkeyed", "host": "locked", "model": "m"}],
        "priorities": dict.fromkeys(CATEGORIES, order),
        "fallback": {"provider": "cheap"},
        "limits": {
            "ttft_s": 1.0,
            "stall_s": 0.5,
            "deadline_s": 60,
            "late_s": 20,
            "general": {"ttft_s": 50, "stall_s": 50},
            "technical": {"ttft_s": 50, "stall_s": 50},
        },
        "ranking": {"explore_min": 0, "explore_max": 0},
        "breaker": {"failures": 1000, "window": 1000, "share": 1.0},
        "log": {"text": True},
    }
    edit(written)
    folder.mkdir(parents=True)
    (folder / "providers.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    (folder / "categories.yaml").write_text(yaml.safe_dump(CATEGORIES, sort_keys=False))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Chromium's build without windows, which takes a quarter less CPU, or else the whole one."""
    path = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if path is None:
        reason = "Chromium is not installed: apt-get install -y chromium-headless-shell"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The page with everything allowed."""
    folder = tmp_path_factory.mktemp("site")
    with Site(folder / "config", folder / "data") as site:
        site.upstream.behave("remote", Behaviour(text="A remote answer."))
        yield site


@pytest.fixture(scope="session")
def launched(chromium: str) -> Iterator[tuple[Any, asyncio.AbstractEventLoop]]:
    """The only Chromium of this process, and the loop of its synchronous interface.

    Playwright leaves that loop marked as the running one between its calls. Asynchronous tests of
    other modules need a loop in this thread too, so the mark is taken away between modules.
    """
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WITHIN_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture(scope="module")
def browser(launched: tuple[Any, asyncio.AbstractEventLoop]) -> Iterator[Any]:
    """Chromium for the tests of a module."""
    browser, loop = launched
    asyncio._set_running_loop(loop)
    yield browser
    asyncio._set_running_loop(None)


def new_context(browser: Any, **how: Any) -> Any:
    context = browser.new_context(**{"viewport": WINDOW} | how)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    return context


class Window:
    """One window for one visitor after the other.

    A new one would compile the page's scripts again, which takes longer than most tests. A blank
    page keeps the browser open while nobody is there.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._context: Any = None
        self.free = True

    def take(self, site: Site) -> Any:
        """The window's context, with nothing stored by earlier visits to that site."""
        if self._context is None:
            self._context = new_context(self._browser)
            self._blank = self._context.new_page()
            self._devtools = self._context.new_cdp_session(self._blank)
        self.free = False
        stored = {"origin": site.url, "storageTypes": STORED}
        self._devtools.send("Storage.clearDataForOrigin", stored)
        return self._context

    def leave(self) -> None:
        for page in self._context.pages:
            if page is not self._blank:
                page.close()
        self._context.set_offline(False)
        self._context.clear_cookies()
        self.free = True


@pytest.fixture(scope="session")
def window(launched: tuple[Any, asyncio.AbstractEventLoop]) -> Window:
    return Window(launched[0])


class Visitor:
    """One person at the page, with what a person would complain of."""

    def __init__(self, context: Any, site: Site, leave: Callable[[], None]) -> None:
        self.site = site
        self.context = context
        self._leave = leave
        self._watching = {"request": self._requested, "requestfailed": self._failed}
        self.problems: list[str] = []
        self.blocked: list[str] = []
        """What the page's policy kept from loading or running."""
        self.outside: list[str] = []
        for event, watch in self._watching.items():
            context.on(event, watch)
        self.page = self._watched(context.new_page())

    def _watched(self, page: Any) -> Any:
        page.set_default_timeout(WITHIN_MS)
        page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        page.on("console", self._said)
        page.on("dialog", self._dialog)
        return page

    def leave(self) -> None:
        """Close all pages; a second time does nothing."""
        leave, self._leave = self._leave, lambda: None
        leave()
        for event, watch in self._watching.items():
            self.context.remove_listener(event, watch)
        self._watching.clear()

    def open(self) -> Any:
        self.page.goto(self.site.url)
        self.page.wait_for_selector("#picture .rt-view[data-phase=idle]")
        return self.page

    def tab(self, name: str) -> None:
        """Open a board, wherever the width of the window puts its name."""
        tab = self.page.get_by_role("tab", name=name, exact=True)
        if not tab.is_visible():
            self.page.get_by_label("More tabs").click()
            self.page.locator(".overflow-dropdown button", has_text=name).click()
        else:
            tab.click()

    def choose(self, dropdown: str, option: str) -> None:
        self.page.locator(f"#{dropdown} input").click()
        self.page.get_by_role("option", name=option, exact=False).first.click()

    def ask(self, prompt: str, provider: str | None = None) -> None:
        if provider is not None:
            self.choose("provider", provider)
        self.page.locator("#prompt textarea").fill(prompt)
        self.page.locator("#prompt textarea").press("Enter")

    def see(self, phase: str, *, other_than: str | None = None) -> str:
        """Wait until the picture shows that phase; the request that it shows."""
        unlike = f':not([data-request="{other_than}"])' if other_than else ""
        found = self.page.wait_for_selector(f'#picture .rt-view[data-phase="{phase}"]{unlike}')
        return str(found.get_attribute("data-request"))

    def answered(self, prompt: str, provider: str | None = None) -> str:
        """Ask and wait for the whole answer; the request's id."""
        before = self.page.locator("#picture .rt-view").get_attribute("data-request")
        self.ask(prompt, provider)
        return self.see("done", other_than=before)

    def answer(self) -> Any:
        """The last answer in the chat."""
        return self.page.locator("#talk .bot-row").last.locator(".message-content").first

    def node(self, name: str) -> Any:
        return self.page.locator(f'#picture [data-node="{name}"]')

    def _said(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.blocked.append(message.text)
        elif message.type == "error" and "ERR_BLOCKED_BY_CSP" not in message.text:
            self.problems.append(f"console: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        self.problems.append(f"a dialog opened: {dialog.message}")
        dialog.dismiss()

    def _failed(self, request: Any) -> None:
        """What the policy blocked was announced, and never sent."""
        if "csp" in (request.failure or "").lower() and request.url in self.outside:
            self.outside.remove(request.url)
            self.blocked.append(request.url)

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((self.site.url, "data:", "blob:")):
            self.outside.append(request.url)


@pytest.fixture
def visitor_at(browser: Any, window: Window) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors; one who brings a size or a colour scheme has a window alone."""
    visitors: list[Visitor] = []

    def arrive(site: Site, **how: Any) -> Visitor:
        if window.free and not how:
            arrived = Visitor(window.take(site), site, window.leave)
        else:
            context = new_context(browser, **how)
            arrived = Visitor(context, site, context.close)
        visitors.append(arrived)
        return arrived

    yield arrive
    for visitor in visitors:
        visitor.leave()
    assert [p for v in visitors for p in v.problems] == []
    assert [u for v in visitors for u in v.outside] == []


@pytest.fixture
def visitor(site: Site, visitor_at: Callable[..., Visitor]) -> Visitor:
    arrived = visitor_at(site)
    arrived.open()
    return arrived
