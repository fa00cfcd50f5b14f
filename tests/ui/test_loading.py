"""The page is loaded behind the service: whoever comes before it is told, or waits."""

from __future__ import annotations

import asyncio
import selectors
import sys
from pathlib import Path
from typing import cast

import httpx
import pytest
from fastapi import FastAPI

from graph.router import Router
from tests.ui.conftest import write_config
from ui.loading import LoadingPage

BROWSER = {"accept": "text/html,application/xhtml+xml;q=0.9"}


def client_of(page: LoadingPage) -> httpx.AsyncClient:
    app = FastAPI()
    app.add_api_route("/health", lambda: "here")
    app.mount("/", page)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1")


async def test_a_browser_gets_a_waiting_page_that_reloads_and_everything_else_waits(tmp_path: Path):
    write_config(tmp_path / "config", "http://127.0.0.1:9/v1", lambda _: None)
    router = Router.from_config(tmp_path / "config", tmp_path / "data", environ={}, dotenv=None)
    page = LoadingPage(router, write=True)
    async with client_of(page) as client:
        early = await client.get("/", headers=BROWSER)
        assert early.status_code == 503
        assert early.headers["retry-after"] == "1"
        assert 'http-equiv="refresh"' in early.text
        program = asyncio.create_task(client.get("/config"))
        assert (await client.get("/health")).text == '"here"'
        assert not program.done()
        async with page.loaded():
            assert (await program).json()["title"] == "LLM Router"
            seen = await client.get("/", headers=BROWSER)
            assert seen.status_code == 200
            assert 'http-equiv="refresh"' not in seen.text


async def test_the_first_event_of_a_page_imports_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Gradio imported matplotlib on the event loop: requests beside it took up to 19 s."""
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    write_config(tmp_path / "config", "http://127.0.0.1:9/v1", lambda _: None)
    router = Router.from_config(tmp_path / "config", tmp_path / "data", environ={}, dotenv=None)
    async with LoadingPage(router, write=True).loaded():
        assert "matplotlib.pyplot" in sys.modules


async def test_the_api_goes_on_without_a_page_that_cannot_be_built(
    capsys: pytest.CaptureFixture[str],
):
    page = LoadingPage(cast("Router", None), write=True)
    async with client_of(page) as client, page.loaded():
        assert (await client.get("/health")).status_code == 200
        broken = await client.get("/", headers=BROWSER)
        assert broken.status_code == 503
        assert "could not be loaded" in broken.json()["error"]["message"]
    assert "page_failed" in "".join(capsys.readouterr())


class Counting(selectors.DefaultSelector):
    """Counts how often an event loop wakes up."""

    turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.turns += 1
        return super().select(timeout)


def test_a_page_that_nobody_looks_at_lets_the_process_sleep(tmp_path: Path):
    write_config(tmp_path / "config", "http://127.0.0.1:9/v1", lambda _: None)
    selector = Counting()

    async def turns_in(seconds: float) -> int:
        async with Router.from_config(
            tmp_path / "config", tmp_path / "data", environ={}, dotenv=None
        ) as router:
            page = LoadingPage(router, write=True)
            async with page.loaded():
                before = selector.turns
                await asyncio.sleep(seconds)
                return selector.turns - before

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        assert runner.run(turns_in(0.5)) < 150
